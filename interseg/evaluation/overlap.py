"""Overlap of a prediction and the truth on an image's valid pixels, for an object or classes."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE


def iou(prediction: NDArray[np.bool_], mask: NDArray[np.uint8]) -> float:
    """Measure an object's intersection over union on the valid pixels; 1 if the union is empty.

    Args:
        prediction: (H, W) bool.
        mask: (H, W) in {0, 1, 255 = ignore}.
    """
    truth = mask == 1
    both = int(np.count_nonzero(prediction & truth))
    union = int(np.count_nonzero((prediction & (mask != IGNORE)) | truth))
    return both / union if union else 1.0


def confusion(
    prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Count the valid pixels (C, C) of each true class (rows) and predicted class (columns)."""
    valid = mask != IGNORE
    pairs = mask[valid].astype(np.int64) * classes + prediction[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_ious(
    prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
    """Measure the IoU (C,) of each class on the valid pixels; NaN for a class not in the truth.

    Args:
        prediction: (H, W) classes.
        mask: (H, W) true classes, 255 = ignore.
        classes: Number of classes, C.
    """
    pairs = confusion(prediction, mask, classes)
    true, predicted, both = pairs.sum(1), pairs.sum(0), np.diag(pairs)
    return np.where(true > 0, both / np.maximum(true + predicted - both, 1), np.nan)


def mean_iou(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> float:
    """Average the IoU over the classes that an image's truth has; NaN if no pixel is valid."""
    ious = class_ious(prediction, mask, classes)
    return float(np.nanmean(ious)) if np.isfinite(ious).any() else float("nan")


def weighted_iou(prediction: NDArray[np.integer], mask: NDArray[np.integer], classes: int) -> float:
    """Average the IoU over classes, weighted by their true areas: the official code's variant."""
    ious = class_ious(prediction, mask, classes)
    areas = np.bincount(mask[mask != IGNORE].astype(np.int64), minlength=classes)
    total = areas.sum()
    return float(np.nansum(ious * areas) / total) if total else float("nan")
