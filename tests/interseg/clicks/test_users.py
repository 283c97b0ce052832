"""Rules of users on an object against background, each against a slow, obvious reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from interseg.clicks.layout import Click, no_clicks
from interseg.clicks.users import BrsUser, ClusterUser, DeepUser, ItisUser, RandomUser, RitmUser
from tests.helpers.scenes import random_classes, random_masks, slow_components, wrong_where


def ritm_reference(prediction, mask, clicks):
    """The protocol, word by word: two exact transforms of the whole padded image."""
    depths = []
    for error in ((mask == 1) & ~prediction, (mask == 0) & prediction):
        depth = ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1]
        depth[clicks[:, 0], clicks[:, 1]] = 0
        depths.append(depth)
    missed, excess = depths
    if max(missed.max(), excess.max()) == 0:
        return None
    positive = missed.max() > excess.max()
    y, x = np.unravel_index((missed if positive else excess).argmax(), mask.shape)
    return Click(int(y), int(x), int(positive))


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    smoothness=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 12.0]),
)
def test_ritm_clicks_where_two_exact_transforms_would(seed, height, width, smoothness):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    assert RitmUser().next_click(
        prediction, mask, clicks, np.random.default_rng(0)
    ) == ritm_reference(prediction, mask, clicks)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), height=st.integers(1, 12), width=st.integers(1, 12))
def test_ritm_breaks_ties_in_row_major_order(data, height, width):
    def bits():
        drawn = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
        return np.array(drawn).reshape(height, width)

    prediction, mask = bits(), bits().astype(np.uint8)
    clicks = no_clicks()
    assert RitmUser().next_click(
        prediction, mask, clicks, np.random.default_rng(0)
    ) == ritm_reference(prediction, mask, clicks)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    smoothness=st.sampled_from([0.0, 1.0, 5.0]),
)
def test_deep_clicks_are_in_the_inner_half_of_the_error_that_ritm_clicks(
    seed, height, width, smoothness
):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    click = DeepUser().next_click(prediction, mask, clicks, np.random.default_rng(seed))
    expected = ritm_reference(prediction, mask, clicks)
    assert (click is None) == (expected is None)
    if expected is not None:
        error = (mask == 1) & ~prediction if expected.label else (mask == 0) & prediction
        depth = ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1]
        depth[clicks[:, 0], clicks[:, 1]] = 0
        assert click.label == expected.label
        assert depth[click.y, click.x] > depth.max() / 2 - 1e-5


def test_deep_clicks_are_uniform_over_that_half():
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:32] = 1
    nothing = np.zeros(mask.shape, bool)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    inner = {(y, x) for y, x in np.argwhere(depth > depth.max() / 2).tolist()}
    generator = np.random.default_rng(0)
    drawn = [
        DeepUser().next_click(nothing, mask, no_clicks(), generator)[:2]
        for _ in range(30 * len(inner))
    ]
    counts = np.array([drawn.count(pixel) for pixel in inner])
    assert set(drawn) == inner
    assert ((counts - 30) ** 2 / 30).sum() < len(inner) + 4 * np.sqrt(2 * len(inner))  # chi-square


def test_ritm_tie_between_signs_is_negative():
    mask = np.zeros((5, 11), np.uint8)
    mask[1:4, 1:4] = 1
    prediction = np.zeros((5, 11), bool)
    prediction[1:4, 7:10] = True
    assert RitmUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(0)) == Click(
        2, 8, 0
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(3, 40), st.integers(0, 4))
def test_brs_clicks_the_more_frequent_error_where_it_is_deepest(seed, height, width, smoothness):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    click = BrsUser().next_click(prediction, mask, clicks, np.random.default_rng(0))
    missed, excess = (mask == 1) & ~prediction, (mask == 0) & prediction
    label = int(missed.sum() >= excess.sum())
    depth = ndimage.distance_transform_edt(np.pad(missed if label else excess, 1))[
        1:-1, 1:-1
    ].astype(np.float32)
    depth[clicks[:, 0], clicks[:, 1]] = 0
    if depth.any():
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        assert click == Click(y, x, label)
    elif click is not None:
        assert click[2:] == (1 - label, 0)


def itis_reference(prediction, mask, clicks):
    """All maxima that ITIS' rule allows, by plain loops over the pixels of the largest cluster."""
    height, width = mask.shape
    for inside in sorted(slow_components(wrong_where(prediction, mask)), key=lambda c: -len(c)):
        outside = [
            (y, x)
            for y in range(-1, height + 1)
            for x in range(-1, width + 1)
            if (y, x) not in inside
        ]
        stops = outside + [(y, x) for y, x, *_ in clicks.tolist() if (y, x) in inside]
        distance = {p: min((p[0] - y) ** 2 + (p[1] - x) ** 2 for y, x in stops) for p in inside}
        inner = {
            p: d
            for p, d in distance.items()
            if 0 < p[0] < height - 1 and 0 < p[1] < width - 1 and d > 0
        }
        candidates = inner or {p: d for p, d in distance.items() if d > 0}
        if candidates:
            return {p for p, d in candidates.items() if d == max(candidates.values())}
    return set()


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scene=st.sampled_from([random_masks, random_classes]),
    height=st.integers(2, 14),
    width=st.integers(2, 14),
    smoothness=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_itis_clicks_on_a_maximum_of_the_largest_cluster(seed, scene, height, width, smoothness):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    sizes = [len(c) for c in slow_components(wrong_where(prediction, mask))]
    if len(set(sizes)) < len(sizes):
        return  # equally large clusters: which of them comes first is not the rule's business
    allowed = itis_reference(prediction, mask, clicks)
    click = ItisUser().next_click(prediction, mask, clicks, np.random.default_rng(seed))
    assert (click is None) == (not allowed)
    if click is not None:
        assert click[:2] in allowed
        assert click[2:] == (mask[click[0], click[1]], 0)


def test_itis_breaks_ties_at_random_and_reproducibly():
    mask = np.zeros((20, 40), np.uint8)
    mask[5:10, 5:35] = 1
    prediction = np.zeros((20, 40), bool)
    clicks = {
        ItisUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(40)
    }
    again = {
        ItisUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(40)
    }
    assert len(clicks) > 5
    assert clicks == again
    assert {(y, label) for y, _, label, _ in clicks} == {(7, 1)}


def test_cluster_user_draws_clusters_by_size_and_clicks_their_centre():
    mask = np.zeros((20, 60), np.uint8)
    mask[5:14, 5:14] = 1  # 81 pixels
    mask[8:11, 40:43] = 1  # 9 pixels
    prediction = np.zeros((20, 60), bool)
    clicks = [
        ClusterUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(400)
    ]
    assert set(clicks) == {Click(9, 9, 1), Click(9, 41, 1)}
    assert 0.85 < clicks.count(Click(9, 9, 1)) / 400 < 0.95


def test_random_user_is_uniform_over_wrong_pixels():
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    prediction = np.array([[False, True, True, True]])
    clicks = [
        RandomUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed))
        for seed in range(400)
    ]
    assert set(clicks) == {Click(0, 0, 1), Click(0, 2, 0)}
    assert 0.42 < clicks.count(Click(0, 0, 1)) / 400 < 0.58
