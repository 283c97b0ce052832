"""Outlines of regions, and the pixel of an outline or of a cluster that corrects an error.

The geometry behind the users of two-in-one refinement (`interseg/clicks/boundary.py`), section 3.3
of the paper.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import Cluster
from interseg.clicks.layout import Clicks, Mask
from interseg.distance import distance_to, interior_distance

Pixels = NDArray[np.int64]
"""(n, 2) int64: y, x."""


def boundary_click(
    cluster: Cluster,
    missed: bool,
    prediction: Mask,
    boundary: Pixels,
    allowed: NDArray[np.bool_],
    reach: float = np.inf,
) -> tuple[int, int] | None:
    """Find the pixel of an object's boundary that corrects an error (eq. 5); None if none is left.

    For a missed cluster, the candidates are the object's boundary pixels in the cluster, and the
    one farthest from the predicted boundary round the cluster is taken (directed Hausdorff
    distance). If the object's boundary does not meet the cluster (a hole), or no predicted boundary
    touches it, all of the object's or of the prediction's boundary takes its place. For an excess
    cluster, the boundary pixel nearest to it is taken. Among equals, the middle one counts.

    Args:
        cluster: Cluster of missed or of excess pixels.
        missed: Whether the cluster's pixels were missed.
        prediction: (H, W) bool.
        boundary: (n, 2) pixels of the object's boundary.
        allowed: (n,) bool, True for pixels that may be clicked.
        reach: Distance in pixels that a click beside an excess cluster or a hole may lie farther
            from it than the boundary's nearest pixel.
    """
    region = cluster.region()
    within = region[tuple(boundary.T)]
    directed = missed and within.any()
    candidates = boundary[within & allowed if directed else allowed]
    if len(candidates) == 0:
        return None
    if directed:
        away = distance_to(predicted_outline(region, prediction))[tuple(candidates.T)]
        return middle(candidates[away == away.max()])
    near = distance_to(region)[tuple(candidates.T)]
    if near.min() > distance_to(region)[tuple(boundary.T)].min() + reach:
        return None
    return middle(candidates[near == near.min()])


def centre_of(
    cluster: Cluster, clicks: Clicks, spacing: float = 1.0, earlier: Clicks | None = None
) -> tuple[int, int] | None:
    """Find a cluster's deepest pixel that may be clicked; None if none may.

    Args:
        cluster: Cluster of wrong pixels.
        clicks: Clicks from which it is at least `spacing` pixels away.
        spacing: Distance in pixels.
        earlier: Further clicks, whose pixels alone are not taken.
    """
    depth = cluster.distance_to_boundary()
    corner = np.array((cluster.top, cluster.left))
    pixels = np.argwhere(depth > 0) + corner
    far = distances(pixels, clicks) >= spacing
    if earlier is not None:
        far &= distances(pixels, earlier) > 0
    if not far.any():
        return None
    pixels = pixels[far]
    best = depth[tuple((pixels - corner).T)].argmax()
    return int(pixels[best, 0]), int(pixels[best, 1])


def distances(pixels: Pixels, clicks: Clicks) -> NDArray[np.float64]:
    """Measure the distance (n,) in pixels from each pixel to the nearest click.

    It is infinite without clicks.
    """
    nearest = np.full(len(pixels), np.inf)
    for click in clicks:  # all at once would take gigabytes on a large photo
        np.minimum(nearest, ((pixels - click[:2]) ** 2).sum(1), out=nearest)
    return np.sqrt(nearest)


def predicted_outline(cluster: NDArray[np.bool_], prediction: Mask) -> NDArray[np.bool_]:
    """Find the prediction's boundary pixels (H, W) that touch a cluster, also by a corner.

    If none does, all of the prediction's boundary is returned.
    """
    pixels = np.zeros(prediction.shape, bool)
    pixels[tuple(outline(prediction.astype(bool, copy=False)).T)] = True
    grown = cv2.dilate(cluster.view(np.uint8), np.ones((3, 3), np.uint8))
    touching = pixels & (grown > 0)
    return touching if touching.any() else pixels


def outline(region: NDArray[np.bool_], padding: NDArray[np.bool_] | None = None) -> Pixels:
    """Find a region's boundary pixels: those with one of four neighbours outside the region.

    The image's border counts as boundary only if the region has no other.

    Args:
        region: (H, W) bool.
        padding: (H, W) bool pixels that a view shows beyond its image; their edge is not boundary.

    Returns:
        (n, 2) pixels in row-major order.
    """
    filled = region if padding is None else region | padding
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(filled.view(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    found = np.argwhere(region & (inner == 0))
    if len(found) == 0 and region.any():
        found = np.argwhere(interior_distance(region) == 1)
    return found


def middle(pixels: Pixels) -> tuple[int, int]:
    """Find the pixel nearest to the mean of all, the first in row-major order among equals."""
    squares = ((pixels - pixels.mean(0)) ** 2).sum(1)
    y, x = pixels[squares.round(9).argmin()]  # equal up to rounding errors counts as equal
    return int(y), int(x)
