"""What a learner gains and keeps along a sequence of tasks: the matrix R[t, i] and CLIS' three figures of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE


def confusion(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(C, C) valid pixels of each true class (rows) that were given each class."""
    valid = mask != IGNORE
    return np.bincount(mask[valid].astype(np.int64) * classes + prediction[valid], minlength=classes**2).reshape(classes, classes)


def class_ious(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """(C,) IoU of each class on the valid pixels; NaN for a class that the truth has not.

    Args:
        prediction: (H, W) classes.
        mask: (H, W) true classes, 255 = ignore.
        classes: C.
    """
    pairs = confusion(prediction, mask, classes)
    true, predicted, both = pairs.sum(1), pairs.sum(0), np.diag(pairs)
    return np.where(true > 0, both / np.maximum(true + predicted - both, 1), np.nan)


def mean_iou(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> float:
    """Mean IoU over the classes that an image's truth has; NaN where no pixel is valid."""
    ious = class_ious(prediction, mask, classes)
    return float(np.nanmean(ious)) if np.isfinite(ious).any() else float("nan")


def weighted_iou(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> float:
    """The official code's variant: classes weigh by their true area."""
    ious = class_ious(prediction, mask, classes)
    areas = np.bincount(mask[mask != IGNORE].astype(np.int64), minlength=classes)
    return float(np.nansum(ious * areas) / areas.sum()) if areas.sum() else float("nan")


def transfer(matrix: NDArray[np.float64], basic: Sequence[float], forward_after: int, backward_after: int) -> dict[str, float]:
    """CLIS' figures of one sequence.

    Args:
        matrix: (T, T) R[t, i], the figure on task i's image after task t was learned; NaN where it was not taken.
        basic: (T,) of each task's own image, refined, without its annotated pixels.
        forward_after: tasks learned before all later images are answered (the paper's 4).
        backward_after: likewise before all earlier ones are (its 8).

    Returns:
        `basic`, `forward` and `backward`, means over images, and `drop`, from basic to backward on the images that backward counts.
    """
    earlier = slice(0, backward_after - 1)
    return {
        "basic": float(np.mean(basic)),
        "forward": float(np.mean(matrix[forward_after - 1, forward_after:])),
        "backward": float(np.mean(matrix[backward_after - 1, earlier])),
        "drop": float(np.mean(np.asarray(basic)[earlier] - matrix[backward_after - 1, earlier])),
    }
