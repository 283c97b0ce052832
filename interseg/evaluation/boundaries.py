"""Agreement of two outlines: boundary IoU (Cheng et al. 2021) and the boundary F-measure (Perazzi et al. 2016)."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.outlines import outline
from interseg.clicks.layout import IGNORE, Mask
from interseg.distance import distance_to

IOU_WIDTH = 0.02
"""Width of the band inside an outline, of the image's diagonal (Cheng et al. 2021, section 5.1, for
whole images)."""
F_TOLERANCE = 0.008
"""Distance at which outlines match, of the image's diagonal (the official code of DAVIS)."""


class Agreement(NamedTuple):
    """How well an outline was met, both from 0 to 1."""

    iou: float
    """Intersection over union of the bands inside the two outlines."""
    f: float
    """Harmonic mean of the shares of both outlines that lie near the other."""


def boundary_agreement(prediction: Mask, mask: NDArray[np.uint8]) -> Agreement:
    """Measure an outline against the true one; of several classes, the mean over those that the truth has.

    What is predicted on ignored pixels is taken away first, from a true object too: where an
    ignored band surrounds the object, as in GrabCut, both outlines are the band's inner edge.

    Args:
        prediction: (H, W) bool, or uint8 classes.
        mask: (H, W) in {0, 1, 255 = ignore}, or classes.
    """
    valid = mask != IGNORE
    if prediction.dtype == bool:
        return outlines_agree(prediction.astype(bool, copy=False) & valid, mask == 1)
    found = [
        outlines_agree((prediction == k) & valid, mask == k)
        for k in np.unique(mask[valid]).tolist()
    ]
    return Agreement(*np.mean(found, axis=0).tolist()) if found else Agreement(1.0, 1.0)


def outlines_agree(region: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Agreement:
    """Measure both figures of two regions (H, W); 1 where neither has an outline, 0 where one has none."""
    diagonal = math.hypot(*region.shape)
    left, top, width, height = cv2.boundingRect((region | truth).view(np.uint8))
    rows, columns = (
        slice(max(0, top - 1), top + height + 1),
        slice(max(0, left - 1), left + width + 1),
    )
    region, truth = (
        np.ascontiguousarray(part[rows, columns]) for part in (region, truth)
    )  # no outline lies beyond
    return Agreement(
        band_iou(region, truth, max(1, round(IOU_WIDTH * diagonal))),
        outline_f(region, truth, math.ceil(F_TOLERANCE * diagonal)),
    )


def band(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Find a region's pixels (H, W) within some pixels of its outside, along rows and columns; beyond the image is outside.

    As the official code's erosions by 3 x 3 pixels, `width` of them.
    """
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return region > cv2.erode(
        region.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )


def band_iou(region: NDArray[np.bool_], truth: NDArray[np.bool_], width: int) -> float:
    """Intersection over union of two regions' bands (Cheng et al. 2021, eq. 3); 1 where both are empty."""
    ours, theirs = band(region, width), band(truth, width)
    union = int(np.count_nonzero(ours | theirs))
    return int(np.count_nonzero(ours & theirs)) / union if union else 1.0


def outline_f(region: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance: float) -> float:
    """F-measure of two regions' outlines, which match within a tolerance in pixels; the image's border is no outline."""
    ours, theirs = outline(region), outline(truth)
    if not len(ours) or not len(theirs):
        return float(len(ours) == len(theirs))
    precision = np.mean(distance_to(drawn(theirs, region.shape))[tuple(ours.T)] <= tolerance)
    recall = np.mean(distance_to(drawn(ours, region.shape))[tuple(theirs.T)] <= tolerance)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def drawn(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Draw pixels (n, 2) into an empty image (H, W)."""
    canvas = np.zeros(shape, bool)
    canvas[tuple(pixels.T)] = True
    return canvas
