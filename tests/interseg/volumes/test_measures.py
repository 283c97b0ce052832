"""Distances, confidences, residual and labour against the equations, voxel by voxel."""

import numpy as np
import pytest

from interseg.errors import InputError
from interseg.volumes.measures import (
    count_touched,
    dice,
    distance_to_slices,
    estimate_labour,
    falling_confidence,
    labour,
    residual,
    step_confidence,
    touched_only,
)
from interseg.volumes.users import SliceUser, draw_slices
from tests.helpers.blobs import volume


def test_distances_and_confidences_are_the_equations():
    shape, labelled = (5, 6, 7), {0: [1], 2: [0, 5]}
    distance = distance_to_slices(shape, labelled)
    for z, y, x in np.ndindex(shape):
        assert distance[z, y, x] == min(abs(z - 1), abs(x - 0), abs(x - 5)), y
    assert np.array_equal(step_confidence(shape, labelled, 4), np.where(distance == 0, 5, 1))
    assert np.allclose(falling_confidence(shape, labelled, 5), np.exp(-distance / 5))
    assert (step_confidence(shape, {}) == 1).all()
    assert (falling_confidence(shape, {}) == 0).all()


def test_the_residual_is_the_equation_and_guides_to_where_it_is_large():
    rng = np.random.default_rng(0)
    proxy, probabilities, labelled = (
        rng.random((6, 7, 8)) > 0.5,
        rng.random((6, 7, 8)),
        {0: [2], 1: [3]},
    )
    distance = distance_to_slices(proxy.shape, labelled)
    expected = 0.7 * np.abs(proxy - probabilities) + 0.3 * distance / distance.max()
    assert np.allclose(residual(proxy, probabilities, labelled), expected)
    r = np.zeros((6, 7, 8))
    r[4], r[1], r[2] = 3.0, 1.0, 99.0
    counts = np.zeros(6)
    for seed in range(600):
        for number in draw_slices(r, [2], 0, 1, np.random.default_rng(seed)):
            counts[number] += 1
    assert counts[2] == counts[0] == counts[3] == 0
    assert counts[4] / counts[1] == pytest.approx(3, rel=0.25)
    assert draw_slices(r, [2], 0, 9, np.random.default_rng(0)) == [1, 4]
    assert draw_slices(r, [1, 2, 4], 0, 1, np.random.default_rng(0)) == []


def test_labour_is_the_share_of_the_targets_slices():
    _, mask = volume()
    assert count_touched(mask) == (12, *(int(mask.any(other).sum()) for other in ((0, 2), (0, 1))))
    parts = np.zeros((9, 4, 4), bool)
    parts[[1, 2, 7], 1:3] = True
    assert count_touched(parts) == (3, 2, 4)
    everything = SliceUser((0, 1), 9, guided=False).annotate(
        parts, parts, None, {}, np.random.default_rng(0)
    )
    assert (
        labour({axis: list(masks) for axis, masks in everything.items()}, count_touched(parts)) == 2
    )  # all of it, along two axes
    blank = {axis: range(side) for axis, side in enumerate(parts.shape)}
    assert touched_only(blank, parts) == {0: [1, 2, 7], 1: [1, 2], 2: [0, 1, 2, 3]}
    assert estimate_labour(blank, parts) == 3, "all of it, along three axes"
    assert estimate_labour(blank, np.zeros_like(parts)) == 3
    assert labour({0: range(6), 1: range(6)}, (23, 43, 50)) == pytest.approx(6 / 23 + 6 / 43)
    assert round(100 * labour({0: range(6), 1: range(6)}, (23, 43, 50))) == 40
    with pytest.raises(InputError, match="the target is empty"):
        count_touched(np.zeros((2, 3, 4), bool))
    assert dice(mask, mask) == dice(~mask & mask, ~mask & mask) == 1
