"""Clusters of wrong pixels and the deepest pixel in them, against plain loops and transforms of
the whole image.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from interseg.clicks.errors import (
    deepest_pixel,
    error_clusters,
    missed_by_label,
    wrong_pixels,
    zero_clicked,
)
from interseg.clicks.layout import Click, clicks_of, no_clicks
from tests.helpers.scenes import (
    depth_of,
    random_classes,
    random_masks,
    slow_components,
    wrong_where,
)

SCENES = [random_masks, random_classes]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("seed", range(4))
def test_wrong_pixels_are_those_of_the_truth_that_are_not_ignored(scene, seed):
    prediction, mask, _ = scene(seed, 23, 31, 2.0)
    before = prediction.copy(), mask.copy()
    assert np.array_equal(wrong_pixels(prediction, mask), wrong_where(prediction, mask))
    assert np.array_equal(prediction, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("seed", range(4))
def test_what_a_label_may_correct_are_the_wrong_pixels_of_that_label(scene, seed):
    prediction, mask, _ = scene(seed, 23, 31, 2.0)
    before = prediction.copy(), mask.copy()
    found = missed_by_label(prediction, mask)
    assert list(found) == [label for label in range(4) if (mask == label).any()]
    wrong = wrong_where(prediction, mask)
    for label, region in found.items():
        assert region.dtype == bool
        assert np.array_equal(region, wrong & (mask == label))
    assert np.array_equal(prediction, before[0])
    assert np.array_equal(mask, before[1])


def test_a_class_that_the_truth_has_not_is_never_missed():
    mask = np.array([[0, 0, 3, 255]], np.uint8)
    prediction = np.array([[0, 2, 2, 1]], np.uint8)
    found = missed_by_label(prediction, mask)
    assert {label: region.tolist() for label, region in found.items()} == {
        0: [[False, True, False, False]],
        3: [[False, False, True, False]],
    }
    assert missed_by_label(prediction, np.full((1, 4), 255, np.uint8)) == {}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scene=st.sampled_from(SCENES),
    height=st.integers(1, 16),
    width=st.integers(1, 16),
    smoothness=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_clusters_are_the_slow_ones_and_know_their_boxes_depths_and_clicks(
    seed, scene, height, width, smoothness
):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    clusters = error_clusters(prediction, mask)
    regions = [frozenset(map(tuple, np.argwhere(c.region()).tolist())) for c in clusters]
    assert sorted(map(sorted, regions)) == sorted(
        map(sorted, slow_components(wrong_where(prediction, mask)))
    )
    for cluster, pixels in zip(clusters, regions, strict=True):
        assert cluster.area == len(pixels)
        box = (
            slice(cluster.top, cluster.top + cluster.pixels.shape[0]),
            slice(cluster.left, cluster.left + cluster.pixels.shape[1]),
        )
        assert (cluster.top, cluster.left) == tuple(min(p[axis] for p in pixels) for axis in (0, 1))
        assert (box[0].stop - 1, box[1].stop - 1) == tuple(
            max(p[axis] for p in pixels) for axis in (0, 1)
        )
        region = cluster.region()
        depth = depth_of(region, no_clicks())
        assert np.allclose(cluster.distance_to_boundary(), depth[box])
        assert np.allclose(
            cluster.clear_clicked(cluster.distance_to_boundary(), clicks),
            depth_of(region, clicks)[box],
        )
        region[clicks[:, 0], clicks[:, 1]] = False
        assert np.allclose(
            cluster.distance_to_boundary_and(clicks), depth_of(region, no_clicks())[box]
        )
        inner = depth.copy()
        inner[[0, -1]] = inner[:, [0, -1]] = 0
        assert np.allclose(cluster.without_image_border(cluster.distance_to_boundary()), inner[box])
        y, x = min(pixels)
        assert cluster.click_at((y - cluster.top, x - cluster.left), mask) == Click(
            y, x, int(mask[y, x])
        )


def test_clicks_are_taken_out_of_a_window_and_only_of_it():
    values = np.ones((3, 4))
    zero_clicked(
        values,
        clicks_of(
            [(10, 20, 1), (12, 23, 0), (9, 20, 1), (10, 24, 1), (13, 20, 1), (10, 19, 1), (0, 0, 1)]
        ),
        10,
        20,
    )
    assert np.argwhere(values == 0).tolist() == [[0, 0], [2, 3]]


def slow_deepest(region, clicks):
    depth = depth_of(region, clicks)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (depth[y, x], y, x) if depth[y, x] else (0, 0, 0)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    smoothness=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]),
    threshold=st.sampled_from([-1.0, 0.0, 0.7]),
    count=st.integers(0, 6),
)
def test_the_deepest_pixel_is_that_of_one_transform_of_the_whole_region(
    seed, height, width, smoothness, threshold, count
):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((height, width)), smoothness, mode="wrap")
    region = field > threshold * field.std()
    clicks = clicks_of(rng.integers(0, (height, width, 2), (count, 3)).tolist())
    found = deepest_pixel(region, clicks)
    assert found == (
        pytest.approx(slow_deepest(region, clicks)[0]),
        *slow_deepest(region, clicks)[1:],
    )


def test_many_components_fall_back_to_one_transform():
    rng = np.random.default_rng(0)
    region = rng.random((200, 200)) > 0.8
    found = deepest_pixel(region, no_clicks())
    assert found == (
        pytest.approx(slow_deepest(region, no_clicks())[0]),
        *slow_deepest(region, no_clicks())[1:],
    )
