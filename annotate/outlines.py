"""Outlines of masks as polygons: exact, or as coarse as a person likes.

Holes are cut out by keyholes, since COCO and LabelMe know none.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import find_contours

Ring = NDArray[np.float64]
"""(n, 2) x, y of a closed outline, the first point not repeated; pixel (row, column) covers
[column, column + 1) x [row, row + 1)."""


def polygons(mask: NDArray[np.bool_], tolerance: float = 0.0) -> list[Ring]:
    """Outline each part of a mask (H, W), its holes cut out by a way in and back.

    Parts that share only a corner are apart.

    Args:
        mask: Mask of an object.
        tolerance: Distance in pixels by which an outline may leave the mask's own (Douglas and
            Peucker 1973); with 0 exactly the mask's pixels have their centres inside. A part that
            is too small for it keeps its own outline.
    """
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    cut = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    # through the middles between pixel centres; padding moves by 1, centres lie half a pixel inside
    rings = [
        ring[:-1, ::-1] + (left - 0.5, top - 0.5)
        for ring in find_contours(cut.astype(np.float32), 0.5)
    ]
    outer = [ring for ring in rings if signed_area(ring) > 0]
    holes: list[list[Ring]] = [[] for _ in outer]
    shapes = [ring.astype(np.float32)[:, None] for ring in outer]
    sizes = [signed_area(ring) for ring in outer]
    for ring in rings:
        if signed_area(ring) <= 0:
            x, y = ring[0].astype(float).tolist()
            around = [
                k
                for k, shape in enumerate(shapes)
                if cv2.pointPolygonTest(shape, (x, y), False) > 0
            ]
            holes[min(around, key=sizes.__getitem__)].append(ring)
    found = []
    for ring, inner in zip(outer, holes, strict=True):
        simple = simplify(ring, tolerance)
        kept = [hole for given in inner if (hole := simplify(given, tolerance)) is not None]
        found.append(join_holes(ring if simple is None else simple, kept))
    return found


def signed_area(ring: Ring) -> float:
    """Measure the area of a ring, negative for holes.

    `find_contours` goes round high values one way and round low ones the other.
    """
    x, y = ring.T
    return float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1))) / 2


def simplify(ring: Ring, tolerance: float) -> Ring | None:
    """Leave points out; None where nothing of an area remains."""
    if tolerance > 0:
        ring = cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0].astype(
            np.float64
        )
    return ring if len(ring) >= 3 else None


def join_holes(ring: Ring, holes: list[Ring]) -> Ring:
    """Join holes to a ring, each by the shortest way between their points, there and back."""
    for hole in holes:
        distances, nearest = cKDTree(ring).query(hole)
        j = int(np.argmin(distances))
        i = int(nearest[j])
        ring = np.concatenate([ring[: i + 1], hole[j:], hole[: j + 1], ring[i:]])
    return ring
