"""Agreement of two outlines: boundary IoU and the boundary F-measure.

The sources are Cheng et al. 2021 and Perazzi et al. 2016.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE, Mask
from interseg.clicks.outlines import outline
from interseg.distance import distance_to

IOU_WIDTH = 0.02
"""Width of the band inside an outline, of the image's diagonal (Cheng et al. 2021, section 5.1, for
whole images)."""
F_TOLERANCE = 0.008
"""Distance at which outlines match, of the image's diagonal (the official code of DAVIS)."""


class Agreement(NamedTuple):
    """Agreement of an outline with the true one, two figures from 0 to 1."""

    iou: float
    """Intersection over union of the bands inside the two outlines."""
    f: float
    """Harmonic mean of the shares of both outlines that lie near the other."""


def boundary_agreement(prediction: Mask, mask: NDArray[np.uint8]) -> Agreement:
    """Measure an outline against the true one.

    With several classes, it is the mean over the classes that the truth has. Ignored pixels are
    removed from prediction and truth first: where an ignored band surrounds the object, as in
    GrabCut, both outlines are the band's inner edge.

    Args:
        prediction: (H, W) bool, or uint8 classes.
        mask: (H, W) in {0, 1, 255 = ignore}, or classes.
    """
    valid = mask != IGNORE
    if prediction.dtype == bool:
        return outlines_agree(prediction.astype(bool, copy=False) & valid, mask == 1)
    classes = np.unique(mask[valid]).tolist()
    if not classes:
        return Agreement(1.0, 1.0)
    found = [outlines_agree((prediction == k) & valid, mask == k) for k in classes]
    return Agreement(*np.mean(found, axis=0).tolist())


def outlines_agree(region: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Agreement:
    """Measure both figures of two regions (H, W).

    They are 1 if neither has an outline, 0 if one has none.
    """
    diagonal = math.hypot(*region.shape)
    left, top, width, height = cv2.boundingRect((region | truth).view(np.uint8))
    rows = slice(max(0, top - 1), top + height + 1)  # no outline lies beyond
    columns = slice(max(0, left - 1), left + width + 1)
    region = np.ascontiguousarray(region[rows, columns])
    truth = np.ascontiguousarray(truth[rows, columns])
    return Agreement(
        band_iou(region, truth, max(1, round(IOU_WIDTH * diagonal))),
        outline_f(region, truth, math.ceil(F_TOLERANCE * diagonal)),
    )


def band(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Find a region's pixels (H, W) within `width` pixels of its outside, along rows and columns.

    Pixels beyond the image are outside. The official code erodes `width` times by 3 x 3 pixels.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return region > cv2.erode(
        region.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )


def band_iou(region: NDArray[np.bool_], truth: NDArray[np.bool_], width: int) -> float:
    """Measure the IoU of two regions' bands (Cheng et al. 2021, eq. 3); 1 if both are empty."""
    ours, theirs = band(region, width), band(truth, width)
    union = int(np.count_nonzero(ours | theirs))
    return int(np.count_nonzero(ours & theirs)) / union if union else 1.0


def outline_f(region: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance: float) -> float:
    """Measure the F-measure of two regions' outlines, which match within `tolerance` pixels.

    The image's border is the outline of a region that fills the image, and of no other. (In DAVIS'
    code such a region has none, so that an empty mask would agree with it.)
    """
    ours, theirs = outline(region), outline(truth)
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    precision = _share_near(ours, theirs, region.shape, tolerance)
    recall = _share_near(theirs, ours, region.shape, tolerance)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_near(
    pixels: NDArray[np.int64],
    others: NDArray[np.int64],
    shape: tuple[int, ...],
    tolerance: float,
) -> float:
    """Measure the share of pixels (n, 2) within a tolerance of any of the others (m, 2)."""
    canvas = np.zeros(shape, bool)
    canvas[tuple(others.T)] = True
    return float(np.mean(distance_to(canvas)[tuple(pixels.T)] <= tolerance))
