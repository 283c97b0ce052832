"""Users of two-in-one against slow references that follow eq. 5 pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interseg.clicks.boundary import BoundaryUser, CentreUser, error_kinds
from interseg.clicks.layout import BOUNDARY, REGION, Click, clicks_of, no_clicks
from interseg.clicks.outlines import outline, predicted_outline
from interseg.errors import InputError
from tests.helpers.scenes import neighbours, slow_components, slow_outline, square

RNG = np.random.default_rng


def blobs(seed, height=24, width=31):
    """A mask of some blobs, with void pixels, and a prediction that errs."""
    rng = RNG(seed)
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=(height, width)), 3)
    mask = (field > np.quantile(field, 0.6)).astype(np.uint8)
    prediction = gaussian_filter(rng.normal(size=(height, width)), 2) * 0.5 + gaussian_filter(
        field, 1
    ) > np.quantile(field, 0.6)
    mask[rng.random((height, width)) < 0.02] = 255
    return prediction, mask


def slow_middle(pixels):
    centre = [sum(p[a] for p in pixels) / len(pixels) for a in (0, 1)]
    return min(sorted(pixels), key=lambda p: round(math.dist(p, centre) ** 2, 9))


def slow_boundary_clicks(prediction, mask, clicks, spacing):
    """All clicks that the rule allows next.

    Those beside each of the largest clusters of equal size.
    """
    truth = mask == 1
    clusters = [(c, True) for c in slow_components(truth & ~prediction)]
    clusters += [(c, False) for c in slow_components((mask == 0) & prediction)]
    large = [c for c in clusters if len(c[0]) >= 0.01 * truth.sum()] or sorted(
        clusters, key=lambda c: -len(c[0])
    )[:1]
    boundary, predicted = slow_outline(truth), slow_outline(prediction)
    for least, reach in ((spacing, spacing), (1, math.inf)):
        allowed = {
            b for b in boundary if all(math.dist(b, c[:2]) >= least for c in clicks[1:].tolist())
        }
        answers = {}
        for cluster, missed in large:
            own = [b for b in boundary if b in cluster]
            if missed and own:
                touching = [
                    p
                    for p in predicted
                    if any(q in cluster for q in neighbours(*p, mask.shape, True))
                ] or predicted
                away = {
                    b: min((math.dist(b, p) for p in touching), default=math.inf)
                    for b in own
                    if b in allowed
                }
                best = max(away.values(), default=None)
            else:
                near = {b: min(math.dist(b, p) for p in cluster) for b in boundary}
                away = {b: d for b, d in near.items() if b in allowed}
                best = min(away.values(), default=None)
                if best is not None and best > min(near.values()) + reach:
                    away = {}
            if away:
                equal = [
                    b for b in away if away[b] == best or math.isclose(away[b], best, abs_tol=1e-5)
                ]
                answers.setdefault(len(cluster), []).append(slow_middle(equal))
        if answers:
            return answers[max(answers)]
    return []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from([1.0, 4.0, 10.0]))
@example(656, 0, 1.0)  # a tie but for rounding
def test_boundary_clicks_are_the_equations(seed, earlier, spacing):
    prediction, mask = blobs(seed)
    boundary = outline(mask == 1)
    rows = boundary[RNG(seed).choice(len(boundary), min(earlier, len(boundary)), replace=False)]
    clicks = clicks_of([(0, 0, 1), *((y, x, 1, BOUNDARY) for y, x in rows.tolist())])
    found = BoundaryUser(spacing=spacing).next_click(prediction, mask, clicks, RNG(0))
    wanted = slow_boundary_clicks(prediction, mask, clicks, spacing)
    if not wanted:
        assert found is None
    else:
        assert found[:2] in wanted
        assert found[2:] == (1, BOUNDARY)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_clusters_are_the_slow_ones(seed):
    prediction, mask = blobs(seed)
    found = {
        (frozenset(map(tuple, np.argwhere(c.region()).tolist())), missed)
        for c, missed in error_kinds(prediction, mask, 0.0)
    }
    slow = {(frozenset(c), True) for c in slow_components((mask == 1) & ~prediction)}
    slow |= {(frozenset(c), False) for c in slow_components((mask == 0) & prediction)}
    assert found == {(frozenset((int(y), int(x)) for y, x in c), m) for c, m in slow}


def test_a_missed_corner_is_clicked_at_its_far_end_and_an_excess_at_its_contact():
    mask = square()
    prediction = mask.astype(bool)
    prediction[10:20, 10:20] = False
    first = clicks_of([(19, 19, 1)])
    assert BoundaryUser().next_click(prediction, mask, first, RNG(0)) == Click(10, 10, 1, BOUNDARY)
    prediction = mask.astype(bool)
    prediction[5:10, 14:21] = True
    assert BoundaryUser().next_click(prediction, mask, first, RNG(0)) == Click(10, 17, 1, BOUNDARY)


def test_a_hole_and_an_empty_prediction_have_boundary_clicks_too():
    mask, first = square(), clicks_of([(19, 19, 1)])
    prediction = mask.astype(bool)
    prediction[20:26, 18:22] = False
    assert BoundaryUser().next_click(prediction, mask, first, RNG(0))[0] == 29
    nothing = np.zeros(mask.shape, bool)
    y, x, label, kind = BoundaryUser().next_click(nothing, mask, first, RNG(0))
    assert (label, kind) == (1, BOUNDARY)
    assert (y, x) in slow_outline(mask == 1)


def test_an_object_that_fills_the_image_has_the_border_as_boundary():
    mask = np.ones((20, 30), np.uint8)
    prediction = mask.astype(bool)
    prediction[:8, :8] = False
    assert BoundaryUser().next_click(prediction, mask, clicks_of([(10, 15, 1)]), RNG(0)) == Click(
        0, 0, 1, BOUNDARY
    )


def test_clicks_keep_their_distance_until_no_other_pixel_is_left():
    mask = square()
    prediction = np.zeros(mask.shape, bool)
    clicks = clicks_of([BoundaryUser().next_click(prediction, mask, no_clicks(), RNG(0))])
    assert clicks[0].tolist()[2:] == [1, REGION]
    for _ in range(len(slow_outline(mask == 1))):
        click = BoundaryUser().next_click(prediction, mask, clicks, RNG(0))
        clicks = np.concatenate([clicks, clicks_of([click])])
    spread = clicks[1:6, :2]
    assert min(math.dist(a, b) for i, a in enumerate(spread) for b in spread[:i]) >= 10
    assert len({tuple(c) for c in clicks.tolist()}) == len(clicks)
    assert BoundaryUser().next_click(prediction, mask, clicks, RNG(0)) is None


@pytest.mark.parametrize("user", [BoundaryUser(), CentreUser()])
def test_the_pixel_of_the_first_click_is_not_clicked_again(user):
    mask = np.zeros((12, 40), np.uint8)
    mask[6, 5:30] = 1  # a line, all of it boundary
    nothing = np.zeros(mask.shape, bool)
    first = user.next_click(nothing, mask, no_clicks(), RNG(0))
    second = user.next_click(nothing, mask, clicks_of([first]), RNG(0))
    assert (first.y, first.x) != (second.y, second.x)


def test_both_users_begin_at_the_centre_and_stop_when_nothing_is_wrong():
    mask = square()
    for user in (BoundaryUser(), CentreUser()):
        assert user.next_click(np.zeros(mask.shape, bool), mask, no_clicks(), RNG(0)) == Click(
            20, 20, 1
        )
        assert user.next_click(mask == 1, mask, no_clicks(), RNG(0)) is None
        assert user.next_click(mask == 1, mask, clicks_of([(20, 20, 1)]), RNG(0)) is None


def test_the_centre_user_clicks_the_largest_error_with_its_sign():
    mask, first = square(), clicks_of([(19, 19, 1)])
    prediction = mask.astype(bool)
    prediction[10:15, 10:15] = False
    assert CentreUser().next_click(prediction, mask, first, RNG(0)) == Click(12, 12, 1)
    prediction[31:38, 31:38] = True
    assert CentreUser().next_click(prediction, mask, first, RNG(0)) == Click(34, 34, 0)
    again = clicks_of([(19, 19, 1), (34, 34, 0)])
    assert CentreUser().next_click(prediction, mask, again, RNG(0)) == Click(12, 12, 1)
    assert CentreUser(spacing=2).next_click(prediction, mask, again, RNG(0)) == Click(32, 32, 0)


def test_where_the_network_does_not_follow_both_users_go_on_to_the_next_error():
    mask = square(100, 200, 20, 20, 60, 60)
    prediction = mask.astype(bool)
    prediction[22:50, 60:100] = True  # excess, the larger
    prediction[40:60, 20:45] = False  # missed
    for user, said in (
        (BoundaryUser(), {(1, BOUNDARY)}),
        (CentreUser(), {(0, REGION), (1, REGION)}),
    ):
        clicks = clicks_of([(40, 40, 1)])
        for _ in range(14):
            clicks = np.concatenate(
                [clicks, clicks_of([user.next_click(prediction, mask, clicks, RNG(0))])]
            )
        assert {(label, kind) for *_, label, kind in clicks[1:].tolist()} == said
        left = clicks[1:, 1] < 46
        assert 0 < left.sum() < 14  # clicks at both errors
        gaps = [
            math.dist(a[:2], b[:2])
            for i, a in enumerate(clicks[1:7].tolist())
            for b in clicks[1:7].tolist()[:i]
        ]
        assert min(gaps) >= 10


def test_a_batch_is_clicked_as_its_objects():
    scenes = [blobs(seed) for seed in range(6)]
    clicks = [no_clicks(), *[clicks_of([(1, 1, 1)])] * 5]
    for user in (BoundaryUser(), CentreUser()):
        batched = user.next_clicks(
            [p for p, _ in scenes], [m for _, m in scenes], clicks, [RNG(i) for i in range(6)]
        )
        assert batched == [
            user.next_click(p, m, c, RNG(i))
            for i, ((p, m), c) in enumerate(zip(scenes, clicks, strict=True))
        ]


@pytest.mark.parametrize("user", [BoundaryUser(), CentreUser()], ids=lambda u: type(u).__name__)
@pytest.mark.parametrize("clicks", [no_clicks(), clicks_of([(20, 20, 1)])], ids=["first", "later"])
def test_users_of_one_object_refuse_classes(user, clicks):
    with pytest.raises(
        InputError,
        match="this user clicks one object against background, not classes; use another one",
    ):
        user.next_click(np.zeros((40, 40), np.uint8), square(), clicks, RNG(0))


def test_the_predicted_outline_of_a_cluster_is_what_touches_it_or_else_all():
    prediction = np.zeros((20, 20), bool)
    prediction[5:10, 5:10] = True
    edge = np.zeros_like(prediction)
    edge[tuple(outline(prediction).T)] = True
    beside, far = np.zeros_like(prediction), np.zeros_like(prediction)
    beside[10:14, 7] = far[16, 16] = True
    touching = np.zeros_like(prediction)
    touching[9, 6:9] = True  # by a corner too
    assert np.array_equal(predicted_outline(beside, prediction), touching)
    assert np.array_equal(predicted_outline(far, prediction), edge)
