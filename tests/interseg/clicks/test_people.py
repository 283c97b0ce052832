"""Users who click less well than the field's rules assume, each against an obvious reference."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interseg.clicks.layout import BOUNDARY, REGION, Click, clicks_of, no_clicks
from interseg.clicks.users import (
    BorderUser,
    ExtremeUser,
    JitterUser,
    MistakenUser,
    NeedlessUser,
    NegativeFirstUser,
    RepeatingUser,
    RitmUser,
    SampledUser,
)
from interseg.clicks.users.extreme import Foreseen, thin
from interseg.errors import InputError
from tests.helpers.scenes import depth_of, random_classes, random_masks, wrong_where

HONEST = [
    SampledUser(),
    SampledUser(3),
    BorderUser(),
    NegativeFirstUser(),
    RepeatingUser(),
    NeedlessUser(),
]
USERS = [*HONEST, JitterUser(), JitterUser(percent=10), MistakenUser(0.5)]
SCENE = {
    "seed": st.integers(0, 10**6),
    "scene": st.sampled_from([random_masks, random_classes]),
    "height": st.integers(1, 16),
    "width": st.integers(1, 16),
    "smoothness": st.sampled_from([0.0, 1.0, 3.0]),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def depths(prediction, mask, clicks):
    """Depth of every wrong pixel among the wrong pixels of its label."""
    wrong = wrong_where(prediction, mask)
    return sum(depth_of(wrong & (mask == label), clicks) for label in range(4))


@settings(max_examples=80, deadline=None)
@given(decile=st.sampled_from([None, 1, 4, 10]), **SCENE)
def test_sampled_clicks_are_drawn_along_the_sorted_depths(
    decile, seed, scene, height, width, smoothness
):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    depth = depths(prediction, mask, clicks).astype(np.float32)
    ranked = sorted((-float(depth[p]), p) for p in np.ndindex(depth.shape) if depth[p] > 0)
    low, high = (0, 1) if decile is None else ((decile - 1) / 10, decile / 10)
    click = SampledUser(decile).next_click(prediction, mask, clicks, rng(seed))
    assert (click is None) == (not ranked)
    if ranked:
        left = rng(seed).uniform(low, high) * math.fsum(-d for d, _ in ranked)
        at = 0
        while left >= -ranked[at][0] and at + 1 < len(ranked):
            left += ranked[at][0]
            at += 1
        near = (
            {ranked[i][1] for i in (at - 1, at, at + 1) if 0 <= i < len(ranked)}
            if abs(left) < 1e-3
            else {ranked[at][1]}
        )
        assert click[:2] in near
        assert click.label == mask[click[:2]]


def test_sampled_clicks_are_as_frequent_as_they_are_deep_and_deciles_go_from_deep_to_shallow():
    mask = np.zeros((9, 20), np.uint8)
    mask[1:8, 2:18] = 1
    nothing, generator = np.zeros(mask.shape, bool), rng()
    depth = depth_of(mask == 1, no_clicks())
    drawn = np.zeros(mask.shape)
    for _ in range(4000):
        drawn[SampledUser().next_click(nothing, mask, no_clicks(), generator)[:2]] += 1
    expected = 4000 * depth / depth.sum()
    inside = depth > 0
    assert ((drawn - expected)[inside] ** 2 / expected[inside]).sum() < inside.sum() + 4 * np.sqrt(
        2 * inside.sum()
    )
    means = []
    for decile in range(1, 11):
        clicks = [
            SampledUser(decile).next_click(nothing, mask, no_clicks(), generator) for _ in range(50)
        ]
        means.append(np.mean([depth[c[:2]] for c in clicks]))
    assert means == sorted(means, reverse=True)
    assert means[0] == depth.max()
    with pytest.raises(InputError, match="decile is 11"):
        SampledUser(11)


@settings(max_examples=80, deadline=None)
@given(reach=st.sampled_from([0.0, 1.0, 2.5]), **SCENE)
def test_border_clicks_are_wrong_pixels_near_another_label(
    reach, seed, scene, height, width, smoothness
):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    clicked = {tuple(c[:2]) for c in clicks.tolist()}
    valid = [p for p in np.ndindex(mask.shape) if mask[p] != 255]
    away = {}
    for p in np.argwhere(wrong_where(prediction, mask)).tolist():
        if tuple(p) not in clicked:
            away[tuple(p)] = min(
                (math.dist(p, q) for q in valid if mask[q] != mask[tuple(p)]), default=math.inf
            )
    click = BorderUser(reach).next_click(prediction, mask, clicks, rng(seed))
    assert (click is None) == (not away)
    if away:
        assert away[click[:2]] <= max(reach, min(away.values())) + 1e-4
        assert click.label == mask[click[:2]]


def test_border_clicks_are_uniform_over_the_band():
    mask = np.zeros((12, 12), np.uint8)
    mask[3:9, 3:9] = 1
    drawn = [
        BorderUser(1).next_click(np.zeros(mask.shape, bool), mask, no_clicks(), rng(seed))[:2]
        for seed in range(600)
    ]
    rim = {(y, x) for y in range(3, 9) for x in range(3, 9) if y in (3, 8) or x in (3, 8)}
    assert set(drawn) == rim
    assert max(drawn.count(p) for p in rim) < 60


def test_jitter_has_the_spread_that_is_asked_for_and_keeps_the_meant_label():
    mask = np.zeros((201, 201), np.uint8)
    mask[80:120, 80:120] = 1  # 40 pixels wide
    nothing = np.zeros(mask.shape, bool)
    meant = RitmUser().next_click(nothing, mask, no_clicks(), rng())
    for user, spread in ((JitterUser(6.0), 6.0), (JitterUser(percent=25), 10.0)):
        generator = rng()
        clicks = [user.next_click(nothing, mask, no_clicks(), generator) for _ in range(1500)]
        moved = np.array([(c.y - meant.y, c.x - meant.x) for c in clicks])
        assert moved.std(0) == pytest.approx([spread, spread], rel=0.07)
        assert np.abs(moved.mean(0)).max() < spread / 8
        assert {c.label for c in clicks} == {1}
    assert JitterUser(0.0).next_click(nothing, mask, no_clicks(), rng()) == meant
    with pytest.raises(InputError, match="percent -1"):
        JitterUser(percent=-1)


@settings(max_examples=60, deadline=None)
@given(**SCENE)
def test_unhelpful_clicks_are_what_they_are_called(seed, scene, height, width, smoothness):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    wrong = wrong_where(prediction, mask)
    clicked = {tuple(c[:2]) for c in clicks.tolist()}
    deterministic = RitmUser().next_click(prediction, mask, clicks, rng())
    first = NegativeFirstUser().next_click(prediction, mask, no_clicks(), rng())
    depth = depth_of(mask == 0, no_clicks())
    if wrong.any() and depth.any():
        assert first.label == 0
        assert depth[first[:2]] == pytest.approx(depth.max())
    assert NegativeFirstUser().next_click(prediction, mask, clicks, rng()) == deterministic
    right = {
        p for p in np.ndindex(mask.shape) if mask[p] != 255 and not wrong[p] and p not in clicked
    }
    needless = NeedlessUser(1.0).next_click(prediction, mask, clicks, rng(seed))
    if wrong.any() and right:
        assert needless[:2] in right
        assert needless.label == mask[needless[:2]]
    assert NeedlessUser(0.0).next_click(prediction, mask, clicks, rng()) == deterministic
    assert (
        RepeatingUser().next_click(prediction, mask, clicks, rng()) == deterministic
    )  # four clicks: two pairs
    odd = clicks[:3]
    same = [
        p
        for p in np.ndindex(mask.shape)
        if mask[p] == odd[2, 2] and p not in {tuple(c[:2]) for c in odd.tolist()}
    ]
    if wrong.any() and same:
        again = RepeatingUser().next_click(prediction, mask, odd, rng())
        assert again.label == odd[2, 2]
        assert math.dist(again[:2], odd[2, :2]) == min(math.dist(p, odd[2, :2]) for p in same)


def test_a_repeated_click_is_of_the_kind_of_the_first():
    prediction, mask, _ = random_masks(3, 20, 20, 2.0)
    for kind in (REGION, BOUNDARY):
        first = clicks_of([(10, 10, int(mask[10, 10]), kind)])
        assert RepeatingUser().next_click(prediction, mask, first, rng()).kind == kind


def test_labels_are_wrong_as_often_as_is_asked_for():
    prediction, mask, clicks = random_masks(3, 20, 20, 2.0)
    right = RitmUser().next_click(prediction, mask, clicks, rng())
    given = [
        MistakenUser(0.3).next_click(prediction, mask, clicks, rng(seed)) for seed in range(600)
    ]
    assert {c[:2] for c in given} == {right[:2]}
    assert 0.24 < np.mean([c.label != right.label for c in given]) < 0.36
    classes, truth, _ = random_classes(3, 20, 20, 2.0)
    right = RitmUser().next_click(classes, truth, no_clicks(), rng())
    labels = {
        MistakenUser(1.0).next_click(classes, truth, no_clicks(), rng(seed)).label
        for seed in range(60)
    }
    assert labels == {0, *np.unique(truth[truth != 255]).tolist()} - {right.label}


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
@pytest.mark.parametrize("scene", [random_masks, random_classes])
def test_batched_seeded_never_on_a_clicked_pixel_and_satisfied_by_a_right_mask(user, scene):
    games = [scene(seed, 12, 15, 2.0) for seed in range(4)]
    single = [user.next_click(*game, rng(i)) for i, game in enumerate(games)]
    assert user.next_clicks(*zip(*games, strict=True), [rng(i) for i in range(4)]) == single
    prediction, mask, _ = games[0]
    right = (
        mask == 1 if prediction.dtype == bool else np.where(mask == 255, 2, mask).astype(np.uint8)
    )
    assert user.next_click(right, mask, no_clicks(), rng()) is None
    clicks, generator = no_clicks(), rng(1)
    while (click := user.next_click(prediction, mask, clicks, generator)) is not None:
        assert isinstance(click, Click)
        assert click[:2] not in {tuple(c[:2]) for c in clicks.tolist()}
        if any(type(user) is type(honest) for honest in HONEST):
            assert click.label == mask[click[:2]]
        clicks = np.concatenate([clicks, clicks_of([click])])
    assert len(clicks) >= wrong_where(prediction, mask).sum() or not any(
        type(user) is type(honest) for honest in HONEST
    )


def outlook_of(weights):
    """An outlook that asks a table, and what it was asked."""
    asked = []

    def outlook(clicks):
        asked.extend(clicks)
        return np.array([weights[c.y, c.x] for c in clicks])

    return outlook, asked


@settings(max_examples=60, deadline=None)
@given(best=st.booleans(), **SCENE)
def test_the_extreme_click_is_the_best_or_worst_of_all_wrong_pixels(
    best, seed, scene, height, width, smoothness
):
    prediction, mask, clicks = scene(seed, height, width, smoothness)
    weights = rng(seed).integers(0, 30, mask.shape) / 30
    outlook, asked = outlook_of(weights)
    clicked = {tuple(c[:2]) for c in clicks.tolist()}
    free = [
        tuple(p)
        for p in np.argwhere(wrong_where(prediction, mask)).tolist()
        if tuple(p) not in clicked
    ]
    found = ExtremeUser(best, 256).choose(outlook, prediction, mask, clicks)
    assert (found is None) == (not free)
    if free:
        value = (max if best else min)(weights[p] for p in free)
        expected = next(p for p in free if weights[p] == value)
        assert found[0] == Click(*expected, int(mask[expected]))
        assert len(asked) == len(free)


def test_on_a_grid_few_are_weighed_ritms_click_among_them_and_heat_is_the_nearest_ones():
    mask = np.zeros((60, 80), np.uint8)
    mask[5:50, 10:70] = 1
    nothing = np.zeros(mask.shape, bool)
    outlook, asked = outlook_of(np.indices(mask.shape).sum(0) / 140)
    click, foreseen = ExtremeUser(True, 30).choose(outlook, nothing, mask, no_clicks())
    assert RitmUser().next_click(nothing, mask, no_clicks(), rng()) in asked
    assert 15 <= len(asked) <= 31
    assert click[:2] == max((c[:2] for c in asked), key=sum)
    heat = foreseen.heat()
    assert np.array_equal(np.isnan(heat), mask == 0)
    for y, x in [(5, 10), (30, 40), (49, 69)]:
        distances = [math.dist((y, x), c[:2]) for c in asked]
        assert any(
            heat[y, x] == np.float32(sum(c[:2]) / 140)
            for c, d in zip(asked, distances, strict=True)
            if d == min(distances)
        )
    line = np.array([(7, x) for x in range(100)])
    assert 0 < len(thin(line, 10)) <= 10
    assert len(thin(line[:9], 10)) == 9
    with pytest.raises(InputError, match="only an evaluation gives"):
        ExtremeUser().next_click(nothing, mask, no_clicks(), rng())
    assert np.isnan(Foreseen([], np.zeros(0), np.zeros((3, 3), bool)).heat()).all()
