"""Polygons hold their masks' pixels, exactly without tolerance; holes are holes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Shape
from pycocotools import mask as coco_mask

from annotate.outlines import polygons

RING = np.zeros((40, 50), bool)
RING[5:35, 5:45] = True
RING[10:20, 10:20] = RING[12:30, 25:40] = False
RING[15:18, 30:33] = True


def filled(rings, size):
    """Pixels whose centres are inside, even and odd."""
    y, x = np.indices(size)
    centres = np.column_stack([x.ravel() + 0.5, y.ravel() + 0.5])
    inside = np.zeros(size, bool)
    for ring in rings:
        inside ^= even_odd(ring, centres).reshape(size)
    return inside


def even_odd(ring, points):
    """Count how often a ray to the right crosses the ring, edge by edge."""
    odd = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
        over = (points[:, 1] < y0) != (points[:, 1] < y1)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (points[:, 1] - y0) * (x1 - x0) / (y1 - y0)
        odd ^= over & (points[:, 0] < at)
    return odd


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_without_tolerance_the_pixels_centres_inside_are_the_mask(seed, height, width):
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    assert np.array_equal(filled(polygons(mask), mask.shape), mask)


def test_a_part_that_is_too_small_for_the_tolerance_keeps_its_own_outline():
    mask = np.zeros((30, 30), bool)
    mask[2:5, 2:5] = mask[10, 3:20] = mask[20, 20] = True
    assert np.array_equal(filled(polygons(mask, 5.0), mask.shape), mask)


def test_coco_reads_holes_and_what_lies_in_them():
    rings = polygons(RING)
    assert len(rings) == 2
    runs = coco_mask.merge(
        coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], *RING.shape)
    )
    assert (coco_mask.decode(runs).astype(bool) != RING).sum() <= 8, "corners alone"
    assert not coco_mask.decode(runs)[14, 26]
    assert coco_mask.decode(runs)[16, 31]


@pytest.mark.parametrize("tolerance", [0.5, 1, 3])
def test_more_tolerance_takes_fewer_points_and_leaves_the_outline_by_no_more(tolerance):
    y, x = np.indices((80, 90))
    disk = (y - 40) ** 2 + (x - 45) ** 2 < 30**2
    (fine,), (coarse,) = polygons(disk), polygons(disk, tolerance)
    assert len(coarse) < len(fine) / 2
    distance = np.abs(np.hypot(coarse[:, 0] - 45.5, coarse[:, 1] - 40.5) - 30)
    assert distance.max() < 1
    assert Shape(coarse).contains_point((45.5, 40.5))
    changed = filled([coarse], disk.shape) ^ disk
    radius = np.hypot(y - 40, x - 45)
    assert np.abs(radius[changed] - 30).max(initial=0) <= tolerance + 1


def test_nothing_has_no_outline():
    assert polygons(np.zeros((5, 6), bool)) == []
