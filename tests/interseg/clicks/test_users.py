import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from interseg.clicks.layout import no_clicks
from interseg.clicks.users import BrsUser, ClusterUser, ItisUser, RandomUser, RitmUser, User

USERS = [RitmUser(), BrsUser(), ItisUser(), ClusterUser(), RandomUser()]


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
    return int(y), int(x), int(positive)


def random_masks(seed, height, width, smoothness, ignore=True):
    """A truth with ignored pixels and a prediction that differs from it, blobs of the given size."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal((height, width)), smoothness, mode="wrap") for _ in range(3)]
    mask = (fields[0] > 0).astype(np.uint8)
    prediction = fields[0] + fields[1] > 0
    if ignore:
        mask[fields[2] > np.quantile(fields[2], 0.9)] = 255
    clicks = np.column_stack([rng.integers(0, height, 4), rng.integers(0, width, 4), rng.integers(0, 2, 4)]).astype(np.int64)
    return prediction, mask, clicks


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    smoothness=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 12.0]),
)
def test_ritm_clicks_where_two_exact_transforms_would(seed, height, width, smoothness):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    assert RitmUser().next_click(prediction, mask, clicks, np.random.default_rng(0)) == ritm_reference(prediction, mask, clicks)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), height=st.integers(1, 12), width=st.integers(1, 12))
def test_ritm_breaks_ties_in_row_major_order(data, height, width):
    def bits():
        drawn = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
        return np.array(drawn).reshape(height, width)

    prediction, mask = bits(), bits().astype(np.uint8)
    clicks = no_clicks()
    assert RitmUser().next_click(prediction, mask, clicks, np.random.default_rng(0)) == ritm_reference(prediction, mask, clicks)


def test_ritm_many_components_fall_back_to_one_transform():
    rng = np.random.default_rng(0)
    mask = (rng.random((200, 200)) > 0.8).astype(np.uint8)
    prediction = np.zeros((200, 200), bool)
    assert RitmUser().next_click(prediction, mask, no_clicks(), rng) == ritm_reference(prediction, mask, no_clicks())


def test_ritm_tie_between_signs_is_negative():
    mask = np.zeros((5, 11), np.uint8)
    mask[1:4, 1:4] = 1
    prediction = np.zeros((5, 11), bool)
    prediction[1:4, 7:10] = True
    assert RitmUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(0)) == (2, 8, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(3, 40), st.integers(0, 4))
def test_brs_clicks_the_more_frequent_error_where_it_is_deepest(seed, height, width, smoothness):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    click = BrsUser().next_click(prediction, mask, clicks, np.random.default_rng(0))
    missed, excess = (mask == 1) & ~prediction, (mask == 0) & prediction
    label = int(missed.sum() >= excess.sum())
    depth = ndimage.distance_transform_edt(np.pad(missed if label else excess, 1))[1:-1, 1:-1].astype(np.float32)
    depth[clicks[:, 0], clicks[:, 1]] = 0
    if depth.any():
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        assert click == (y, x, label)
    elif click is not None:
        assert click[2] == 1 - label


def itis_reference(prediction, mask, clicks):
    """All maxima that ITIS' rule allows, by plain loops over the pixels of the largest cluster."""
    wrong = (mask != 255) & (prediction != (mask == 1))
    labels, count = ndimage.label(wrong, np.ones((3, 3)))
    order = sorted(range(1, count + 1), key=lambda c: -(labels == c).sum())
    height, width = mask.shape
    for cluster in order:
        inside = {tuple(p) for p in np.argwhere(labels == cluster)}
        outside = [(y, x) for y in range(-1, height + 1) for x in range(-1, width + 1) if (y, x) not in inside]
        stops = outside + [(y, x) for y, x, _ in clicks.tolist() if (y, x) in inside]
        distance = {p: min((p[0] - y) ** 2 + (p[1] - x) ** 2 for y, x in stops) for p in inside}
        inner = {p: d for p, d in distance.items() if 0 < p[0] < height - 1 and 0 < p[1] < width - 1 and d > 0}
        candidates = inner or {p: d for p, d in distance.items() if d > 0}
        if candidates:
            return {p for p, d in candidates.items() if d == max(candidates.values())}
    return set()


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(2, 14), width=st.integers(2, 14), smoothness=st.sampled_from([0.0, 1.0, 3.0]))
def test_itis_clicks_on_a_maximum_of_the_largest_cluster(seed, height, width, smoothness):
    prediction, mask, clicks = random_masks(seed, height, width, smoothness)
    sizes = ndimage.sum(np.ones_like(mask), *_labels(prediction, mask))
    if len(set(np.atleast_1d(sizes))) < np.size(sizes):
        return  # equally large clusters: which of them comes first is not the rule's business
    allowed = itis_reference(prediction, mask, clicks)
    click = ItisUser().next_click(prediction, mask, clicks, np.random.default_rng(seed))
    assert (click is None) == (not allowed)
    if click is not None:
        assert click[:2] in allowed
        assert click[2] == mask[click[0], click[1]]


def _labels(prediction, mask):
    labels, count = ndimage.label((mask != 255) & (prediction != (mask == 1)), np.ones((3, 3)))
    return labels, range(1, count + 1)


def test_itis_breaks_ties_at_random_and_reproducibly():
    mask = np.zeros((20, 40), np.uint8)
    mask[5:10, 5:35] = 1
    prediction = np.zeros((20, 40), bool)
    clicks = {ItisUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed)) for seed in range(40)}
    again = {ItisUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed)) for seed in range(40)}
    assert len(clicks) > 5
    assert clicks == again
    assert {y for y, _, _ in clicks} == {7}


def test_cluster_user_draws_clusters_by_size_and_clicks_their_centre():
    mask = np.zeros((20, 60), np.uint8)
    mask[5:14, 5:14] = 1  # 81 pixels
    mask[8:11, 40:43] = 1  # 9 pixels
    prediction = np.zeros((20, 60), bool)
    clicks = [ClusterUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed)) for seed in range(400)]
    assert set(clicks) == {(9, 9, 1), (9, 41, 1)}
    assert 0.85 < clicks.count((9, 9, 1)) / 400 < 0.95


def test_random_user_is_uniform_over_wrong_pixels():
    mask = np.array([[1, 1, 0, 255]], np.uint8)
    prediction = np.array([[False, True, True, True]])
    clicks = [RandomUser().next_click(prediction, mask, no_clicks(), np.random.default_rng(seed)) for seed in range(400)]
    assert set(clicks) == {(0, 0, 1), (0, 2, 0)}
    assert 0.42 < clicks.count((0, 0, 1)) / 400 < 0.58


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
def test_every_user_stops_at_a_perfect_mask_and_never_repeats_a_pixel(user):
    rng = np.random.default_rng(1)
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4, 2:4] = 1
    mask[0, 0] = 255
    assert user.next_click(mask == 1, mask, no_clicks(), rng) is None
    clicks, prediction = no_clicks(), np.zeros((6, 6), bool)
    while (click := user.next_click(prediction, mask, clicks, rng)) is not None:
        assert click[:2] not in {tuple(c[:2]) for c in clicks.tolist()}
        clicks = np.concatenate([clicks, [click]])
    assert len(clicks) == 4


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
def test_batched_clicks_equal_single_ones(user: User):
    games = [random_masks(seed, 30, 40, 3.0) for seed in range(6)]
    single = [user.next_click(*game, np.random.default_rng(i)) for i, game in enumerate(games)]
    batched = user.next_clicks(*zip(*games, strict=True), [np.random.default_rng(i) for i in range(6)])
    assert batched == single
