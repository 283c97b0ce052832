"""Rules of users on several classes, each against a slow, obvious reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interseg.clicks.layout import Click, clicks_of, no_clicks
from interseg.clicks.users import BrsUser, ClusterUser, RandomUser, RitmUser
from tests.helpers.scenes import (
    depth_of,
    random_classes,
    random_masks,
    slow_components,
    wrong_where,
)

SIZES = {
    "height": st.integers(1, 24),
    "width": st.integers(1, 24),
    "smoothness": st.sampled_from([0.0, 0.5, 1.0, 3.0]),
}


def deepest(region, clicks):
    """Depth and pixel of the first maximum; None where nothing is left."""
    depth = depth_of(region, clicks)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (depth[y, x], int(y), int(x)) if depth[y, x] else None


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), **SIZES)
def test_ritm_clicks_the_class_whose_missed_pixels_are_deepest(seed, height, width, smoothness):
    prediction, mask, clicks = random_classes(seed, height, width, smoothness)
    best, expected = 0.0, None
    for label in range(4):  # the lower class among equals
        found = deepest(wrong_where(prediction, mask) & (mask == label), clicks)
        if found and found[0] > best:
            best, expected = found[0], Click(*found[1:], label)
    assert RitmUser().next_click(prediction, mask, clicks, np.random.default_rng(0)) == expected


def test_ritm_clicks_the_lower_of_two_classes_that_are_as_deep():
    mask = np.zeros((5, 11), np.uint8)
    mask[1:4, 1:4], mask[1:4, 7:10] = 3, 2
    prediction = np.zeros_like(mask)
    assert RitmUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(0)) == Click(
        2, 8, 2
    )
    assert RitmUser().next_click(
        prediction, mask, clicks_of([(2, 8, 2)]), np.random.default_rng(0)
    ) == Click(2, 2, 3)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), **SIZES)
def test_brs_clicks_the_class_with_most_missed_pixels_that_were_not_all_clicked(
    seed, height, width, smoothness
):
    prediction, mask, clicks = random_classes(seed, height, width, smoothness)
    missed = {label: wrong_where(prediction, mask) & (mask == label) for label in range(4)}
    expected = None
    for label in sorted(missed, key=lambda c: (missed[c].sum(), c), reverse=True):
        found = deepest(missed[label], clicks)
        if found:
            expected = Click(*found[1:], label)
            break
    assert BrsUser().next_click(prediction, mask, clicks, np.random.default_rng(0)) == expected


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), scene=st.sampled_from([random_masks, random_classes]), **SIZES)
def test_the_cluster_user_clicks_a_clusters_deepest_pixel_as_what_it_is(
    seed, scene, height, width, smoothness
):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    allowed = set()
    for pixels in slow_components(wrong_where(prediction, mask)):
        region = np.zeros(mask.shape, bool)
        region[tuple(np.transpose(list(pixels)))] = True
        found = deepest(region, clicks)
        allowed |= {Click(*found[1:], int(mask[found[1:]]))} if found else set()
    click = ClusterUser().next_click(prediction, mask, clicks, np.random.default_rng(seed))
    assert click in allowed or (click is None and not allowed)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), scene=st.sampled_from([random_masks, random_classes]), **SIZES)
def test_the_random_user_clicks_a_wrong_pixel_as_what_it_is(seed, scene, height, width, smoothness):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    clicked = {(y, x) for y, x, *_ in clicks.tolist()}
    allowed = {
        Click(y, x, int(mask[y, x]))
        for y, x in np.argwhere(wrong_where(prediction, mask)).tolist()
        if (y, x) not in clicked
    }
    click = RandomUser().next_click(prediction, mask, clicks, np.random.default_rng(seed))
    assert click in allowed or (click is None and not allowed)


def test_chance_falls_on_classes_as_on_objects():
    mask = np.array([[3, 2, 0, 255, 1, 0, 2, 2]], np.uint8)
    prediction = np.array([[3, 0, 3, 1, 1, 0, 0, 0]], np.uint8)
    drawn = [
        RandomUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(800)
    ]
    assert set(drawn) == {Click(0, 1, 2), Click(0, 2, 0), Click(0, 6, 2), Click(0, 7, 2)}
    assert all(0.2 < drawn.count(click) / 800 < 0.3 for click in set(drawn))
    mask = np.zeros((20, 60), np.uint8)
    mask[5:14, 5:14] = 3  # 81 pixels
    mask[8:11, 40:43] = 2  # 9 pixels
    prediction = np.where(mask > 0, 1, 0).astype(np.uint8)
    clicks = [
        ClusterUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(400)
    ]
    assert set(clicks) == {Click(9, 9, 3), Click(9, 41, 2)}
    assert 0.85 < clicks.count(Click(9, 9, 3)) / 400 < 0.95
