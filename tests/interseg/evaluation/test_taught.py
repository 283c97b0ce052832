"""Figures of lessons: on pixels that were not labelled, or of what a person accepted."""

import numpy as np
import pytest

from interseg.evaluation.taught import TaughtPhoto, taught_figures

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
NONE = np.full((2, 4), 255, np.uint8)


def photo(refined, now, annotation=NONE, truth=TRUTH):
    met = np.zeros((2, 4), np.uint8)
    return TaughtPhoto(
        "0.png", met, np.array(refined), np.array(now), annotation, truth, 1, 2, 3.0, 4.0
    )


def test_labelled_pixels_count_in_no_answer_after_a_lesson():
    half = NONE.copy()
    half[0] = TRUTH[0]
    kept = photo([[0, 0, 1, 1], [0, 0, 1, 0]], [[0, 0, 1, 1], [0, 0, 0, 0]], half)
    row = taught_figures([kept, kept], 2)["photos"][0]
    assert row["met"] == pytest.approx((4 / 8 + 0) / 2), "before the lesson nothing was labelled"
    assert row["refined"] == row["basic"] == pytest.approx((2 / 3 + 1 / 2) / 2), "of the second row"
    assert row["now"] == pytest.approx((2 / 4 + 0) / 2)
    assert row["drop"] == pytest.approx(row["refined"] - row["now"])
    assert row["labelled"] == 0.5


def test_a_photo_that_was_labelled_wholly_counts_in_no_mean():
    whole = photo(TRUTH, TRUTH, TRUTH)
    half = photo([[0, 0, 1, 1], [0, 0, 1, 0]], TRUTH)
    found = taught_figures([whole, half, half], 2)
    first, second, _ = found["photos"]
    assert [first[key] for key in ("refined", "now", "drop", "basic")] == [None] * 4
    assert found["mean"]["backward"] == second["now"] == 1
    assert found["mean"]["drop"] == second["drop"] < 0


def test_without_a_truth_the_accepted_answer_stands_in_on_all_pixels():
    annotation = NONE.copy()
    annotation[0] = 0
    accepted = photo(TRUTH, np.zeros_like(TRUTH), annotation, NONE)
    found = taught_figures([accepted, accepted], 2)
    row = found["photos"][0]
    assert (found["reference"], row["basic"], row["refined"]) == ("accepted", None, 1.0)
    assert found["mean"]["drop"] == pytest.approx(1 - (4 / 8 + 0) / 2)
