"""Overlap of a prediction and the truth on the valid pixels of an image: of one object, or of several classes."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE


def iou(prediction: NDArray[np.bool_], mask: NDArray[np.uint8]) -> float:
    """Intersection over union on the valid pixels of one object; 1 where the union is empty.

    Args:
        prediction: (H, W) bool.
        mask: (H, W) in {0, 1, 255 = ignore}.
    """
    truth = mask == 1
    union = int(np.count_nonzero((prediction & (mask != IGNORE)) | truth))
    return int(np.count_nonzero(prediction & truth)) / union if union else 1.0


def confusion(
    prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """(C, C) valid pixels of each true class (rows) that were given each class."""
    valid = mask != IGNORE
    return np.bincount(
        mask[valid].astype(np.int64) * classes + prediction[valid], minlength=classes**2
    ).reshape(classes, classes)


def class_ious(
    prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
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
    """Compute the official code's variant: classes weigh by their true area."""
    ious = class_ious(prediction, mask, classes)
    areas = np.bincount(mask[mask != IGNORE].astype(np.int64), minlength=classes)
    return float(np.nansum(ious * areas) / areas.sum()) if areas.sum() else float("nan")
