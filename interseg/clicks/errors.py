"""Errors of a prediction: clusters of wrong pixels, and the pixel deepest in them."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE, Click, Clicks, Mask
from interseg.distance import interior_distance


class Cluster:
    """One 8-connected component of wrong pixels, cut out of the image by its bounding box."""

    def __init__(
        self,
        pixels: NDArray[np.bool_],
        top: int,
        left: int,
        area: int,
        image_shape: tuple[int, ...],
    ) -> None:
        self.pixels, self.area, self.image_shape = pixels, area, image_shape
        self.top, self.left = top, left

    def region(self) -> NDArray[np.bool_]:
        """Mark the cluster's pixels (H, W) in the image."""
        height, width = self.pixels.shape
        rows = slice(self.top, self.top + height)
        columns = slice(self.left, self.left + width)
        region = np.zeros(self.image_shape, bool)
        region[rows, columns] = self.pixels
        return region

    def distance_to_boundary(self) -> NDArray[np.float32]:
        """Measure each pixel's distance (h, w) to the nearest pixel outside the cluster."""
        return interior_distance(self.pixels)

    def distance_to_boundary_and(self, clicks: Clicks) -> NDArray[np.float32]:
        """Measure each pixel's distance (h, w) to the boundary or to the nearest click."""
        return interior_distance(self.clear_clicked(self.pixels, clicks))

    def clear_clicked(self, values: np.ndarray, clicks: Clicks) -> np.ndarray:
        """Return a copy of (h, w) values with the clicked pixels set to 0."""
        values = values.copy()
        zero_clicked(values, clicks, self.top, self.left)
        return values

    def without_image_border(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a copy of (h, w) values with the image's outermost pixels set to 0."""
        height, width = self.image_shape
        values = values.copy()
        if self.top == 0:
            values[0] = 0
        if self.left == 0:
            values[:, 0] = 0
        if self.top + values.shape[0] == height:
            values[-1] = 0
        if self.left + values.shape[1] == width:
            values[:, -1] = 0
        return values

    def click_at(
        self, pixel: Sequence[int] | NDArray[np.integer], mask: NDArray[np.uint8]
    ) -> Click:
        """Return the click on a pixel of the box, with the sign of the truth there."""
        y, x = self.top + int(pixel[0]), self.left + int(pixel[1])
        return Click(y, x, int(mask[y, x]))


def wrong_pixels(prediction: Mask, mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the wrong valid pixels (H, W) of an object's mask (bool), or of classes (uint8)."""
    truth = mask == 1 if prediction.dtype == bool else mask
    return (mask != IGNORE) & (prediction != truth)


def missed_by_label(prediction: Mask, mask: NDArray[np.uint8]) -> dict[int, NDArray[np.bool_]]:
    """Find, for each label in ascending order, the valid pixels (H, W) that miss it.

    These are the pixels that a click of that label may correct.
    """
    if prediction.dtype != bool:
        labels = [label for label in np.unique(mask).tolist() if label != IGNORE]
        return {label: (mask == label) & (prediction != label) for label in labels}
    excess = mask == 0
    excess &= prediction  # in place: few passes over what may be a large image
    return {0: excess, 1: (mask == 1) > prediction}


def error_clusters(prediction: Mask, mask: NDArray[np.uint8]) -> list[Cluster]:
    """Find the 8-connected clusters of wrong valid pixels, in row-major order of discovery."""
    return connected_clusters(wrong_pixels(prediction, mask))


def connected_clusters(region: NDArray[np.bool_]) -> list[Cluster]:
    """Find the 8-connected components of a region."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        region.view(np.uint8), connectivity=8
    )
    clusters = []
    for label in range(1, count):
        left, top, width, height, area = boxes[label].tolist()
        pixels = labels[top : top + height, left : left + width] == label
        clusters.append(Cluster(pixels, top, left, area, region.shape))
    return clusters


def zero_clicked(values: np.ndarray, clicks: Clicks, top: int = 0, left: int = 0) -> None:
    """Set the clicked pixels of a window (h, w) that begins at (top, left) to 0, in place."""
    y, x = clicks[:, 0] - top, clicks[:, 1] - left
    inside = (y >= 0) & (y < values.shape[0]) & (x >= 0) & (x < values.shape[1])
    values[y[inside], x[inside]] = 0


def deepest_pixel(region: NDArray[np.bool_], clicks: Clicks) -> tuple[float, int, int]:
    """Find the pixel of a region that is farthest from its outside.

    Pixels beyond the image are outside; clicked pixels have depth 0.

    Returns:
        (depth, y, x) of the first maximum in row-major order; (0, 0, 0) if no pixel is left.
    """
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    if width == 0:
        return 0.0, 0, 0
    crop = np.ascontiguousarray(region[top : top + height, left : left + width])
    clicks = clicks - np.array([top, left, 0, 0], np.int64)
    depth, y, x = _deepest_in_cores(crop, clicks)
    if depth < 2:
        depth, y, x = _deepest_in_rim(crop, clicks)
    return (depth, top + y, left + x) if depth else (0.0, 0, 0)


def _deepest_in_cores(region: NDArray[np.bool_], clicks: Clicks) -> tuple[float, int, int]:
    """Find the deepest pixel of a region if its depth is at least 2; otherwise any shallower one.

    Pixels of depth 2 and more are those that one erosion leaves. The open disk of such a pixel's
    depth lies within two pixels of the eroded component that holds it. So each component is
    measured in its own widened box, the largest first, until no remaining box can hold a larger
    disk. If the boxes overlap and measuring them costs more than the region, the whole region is
    measured instead.
    """
    core = _erode(region, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = np.array([cv2.boundingRect(c) for c in contours], np.int64).reshape(-1, 4)
    corners, ends = np.maximum(boxes[:, :2] - 2, 0), boxes[:, :2] + boxes[:, 2:] + 2
    (left, top), (right, bottom) = corners.T, ends.T
    bounds: NDArray[np.float64] = ((ends - corners).min(1) + 1) / 2
    best, measured = (0.0, 0, 0), 0
    for i in np.lexsort((top, -bounds)):
        if (-bounds[i], top[i]) > (-best[0], best[1]):
            break
        measured += (right[i] - left[i]) * (bottom[i] - top[i])
        if measured > region.size:
            return _deepest_in_box(region, 0, 0, clicks)
        box = region[top[i] : bottom[i], left[i] : right[i]]
        found = _deepest_in_box(box, int(top[i]), int(left[i]), clicks)
        if (-found[0], *found[1:]) < (-best[0], *best[1:]):
            best = found
    return best


def _deepest_in_box(
    pixels: NDArray[np.bool_], top: int, left: int, clicks: Clicks
) -> tuple[float, int, int]:
    depth = interior_distance(np.ascontiguousarray(pixels))
    zero_clicked(depth, clicks, top, left)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(depth[y, x]), top + int(y), left + int(x)


def _deepest_in_rim(region: NDArray[np.bool_], clicks: Clicks) -> tuple[float, int, int]:
    """Find the deepest pixel of a region whose unclicked pixels all have a depth below 2.

    The depth is root 2 where all four neighbours are in the region, else 1.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    root_2 = float(np.sqrt(np.float32(2)))
    for kernel, depth in ((cross, root_2), (np.ones((1, 1), np.uint8), 1.0)):
        left = _erode(region, kernel)
        zero_clicked(left, clicks)
        y, x = divmod(int(left.argmax()), left.shape[1])
        if left[y, x]:
            return depth, y, x
    return 0.0, 0, 0


def _erode(region: NDArray[np.bool_], kernel: NDArray[Any]) -> NDArray[Any]:
    return cv2.erode(region.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
