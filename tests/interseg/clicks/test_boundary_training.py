"""Clicks that two-in-one is trained on: selections, and refinements at clusters that are drawn."""

import math

import numpy as np
import pytest

from interseg.clicks.boundary import RefinementClicks, SelectionClick, selection_click
from interseg.clicks.layout import BOUNDARY, REGION, Click
from interseg.clicks.outlines import outline
from tests.helpers.scenes import slow_outline, square

RNG = np.random.default_rng


def test_the_edge_of_a_views_padding_is_no_boundary():
    mask, padding = square(), np.zeros((40, 40), bool)
    padding[:, 30:] = True
    plain, padded = outline(mask == 1), outline(mask == 1, padding)
    assert {tuple(p) for p in plain} - {tuple(p) for p in padded} == {
        (y, 29) for y in range(11, 29)
    }
    prediction = mask.astype(bool)
    prediction[:, 15:] = False
    clicks = np.concatenate(
        [RefinementClicks(perturbation=0)(prediction, mask, RNG(s), padding) for s in range(20)]
    )
    assert not any(11 <= y < 29 and x == 29 for y, x, *_ in clicks.tolist())


def test_the_selection_click_is_the_centre_of_mass_or_the_deepest_pixel():
    assert selection_click(square()) == Click(20, 20, 1)
    ring = square()
    ring[12:28, 14:30] = 0  # a bracket, thickest at its left
    y, x, label, kind = selection_click(ring)
    assert ring[y, x] == label == 1
    assert kind == REGION
    assert 10 <= x < 14
    assert selection_click(np.zeros((5, 5), np.uint8)) is None
    assert selection_click(np.full((5, 5), 255, np.uint8)) is None


@pytest.mark.parametrize(
    "mask", [square(), square(top=10, bottom=12, left=10, right=13), square(bottom=11, right=11)]
)
def test_a_displaced_selection_click_stays_on_the_object_even_a_tiny_one(mask):
    draw = SelectionClick(displacement=8)
    clicks = np.concatenate([draw(mask, np.zeros_like(mask), RNG(i)) for i in range(200)])
    centre = selection_click(mask)
    assert (mask[clicks[:, 0], clicks[:, 1]] == 1).all()
    assert (clicks[:, 2:] == (1, REGION)).all()
    distances = [math.dist(c[:2], centre[:2]) for c in clicks.tolist()]
    assert max(distances) <= 8
    assert len({tuple(c) for c in clicks.tolist()}) > min(60, (mask == 1).sum() - 1)
    assert (
        len(SelectionClick()(np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8), RNG(0))) == 0
    )


@pytest.mark.parametrize("signed", [False, True])
def test_training_draws_two_to_four_clusters_and_perturbs(signed):
    mask = square(100, 100, 20, 20, 80, 80)
    prediction = mask.astype(bool)
    for k in range(4):
        prediction[20 + 15 * k : 34 + 15 * k, 64:80] = False
    prediction[84:98, 84:98] = True
    counts, moves = set(), []
    still = RefinementClicks(signed, perturbation=0)
    for seed in range(60):
        clicks, unmoved = (
            RefinementClicks(signed)(prediction, mask, RNG(seed)),
            still(prediction, mask, RNG(seed)),
        )
        assert clicks[:, 2:].tolist() == unmoved[:, 2:].tolist()
        counts.add(len(clicks))
        moves += [
            math.dist(a[:2], b[:2]) for a, b in zip(clicks.tolist(), unmoved.tolist(), strict=True)
        ]
        if signed:
            assert all(label == (mask[y, x] == 1) for y, x, label, _ in clicks.tolist())
            assert all(prediction[y, x] != mask[y, x] for y, x, *_ in clicks.tolist())
            assert (clicks[:, 3] == REGION).all()
        else:
            assert {c[:2] for c in map(tuple, unmoved.tolist())} <= set(slow_outline(mask == 1))
            assert (clicks[:, 2:] == (1, BOUNDARY)).all()
    assert counts == {2, 3, 4}
    assert max(moves) <= 10.8
    assert signed or max(moves) > 7


def test_training_drops_small_clusters_and_draws_fewer_where_fewer_are_wrong():
    mask = square(100, 100, 20, 20, 80, 80)
    prediction = mask.astype(bool)
    prediction[20:40, 20:40] = False
    prediction[70:75, 70:75] = False  # 25 of 3,600 pixels
    clicks = RefinementClicks(perturbation=0)(prediction, mask, RNG(0))
    assert clicks.tolist() == [[20, 20, 1, BOUNDARY]]
    assert len(RefinementClicks()(mask == 1, mask, RNG(0))) == 0
