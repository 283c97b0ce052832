"""Intervals of means against drawn ones."""

import numpy as np
import pytest

from interseg.evaluation.intervals import interval


def test_an_interval_is_that_of_drawn_means_and_narrows_with_more_values():
    rng = np.random.default_rng(1)
    few, many = rng.normal(0.4, 1, 60), rng.normal(size=400)
    drawn = np.sort([few[rng.integers(60, size=60)].mean() for _ in range(20000)])
    assert interval(few) == pytest.approx((drawn[500], drawn[19500]), abs=0.02)
    assert np.ptp(interval(many.tolist())) < np.ptp(interval(few))
    assert interval([2.0, 2.0]) == (2, 2)
    assert np.isnan(interval([1.0])).all()


@pytest.mark.parametrize("count", [3, 10])
def test_an_interval_of_few_values_holds_the_mean_in_95_of_100_cases(count):
    drawn = np.random.default_rng(2).normal(0.3, 2, (2000, count))
    held = [low <= 0.3 <= high for low, high in map(interval, drawn)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_objects_of_one_photo_are_drawn_together():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 40)
    photos = [str(photo) for photo, size in enumerate(sizes) for _ in range(size)]
    values = np.repeat(rng.normal(size=40), sizes) + 0.1 * rng.normal(size=len(photos))
    drawn = []
    for _ in range(4000):
        chosen = [values[np.array(photos) == str(k)] for k in rng.integers(40, size=40)]
        drawn.append(np.concatenate(chosen).mean())
    assert np.ptp(interval(values, photos)) == pytest.approx(4 * np.std(drawn), rel=0.1)
    assert np.ptp(interval(values, photos)) > 1.5 * np.ptp(interval(values))
    assert interval(values, [*map(str, range(len(values)))]) == pytest.approx(interval(values))
    assert np.isnan(interval([1.0, 2.0], ["one", "one"])).all()
