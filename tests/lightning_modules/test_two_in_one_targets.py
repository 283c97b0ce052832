"""What two-in-one's refinement learns from: which selections, which clicks, which pixels."""

import numpy as np
import torch

from interseg.clicks.boundary import RefinementClicks
from interseg.clicks.layout import BOUNDARY, IGNORE
from interseg.evaluation.overlap import iou
from interseg.views import Box
from lightning_modules.two_in_one_targets import RefinementTargets, Selected, square
from tests.helpers.two_in_one import batch

CROP = Box(0, 0, 64, 56)


def targets(selected=(0.2, 0.6)):
    return RefinementTargets(RefinementClicks(False), selected, emphasis=2.0, emphasis_side=6)


def choose(predictions, given, selected=(0.2, 0.6), seed=(3, 1)):
    return targets(selected).choose(
        predictions, given, lambda row, clicks: CROP.with_clicks(clicks), seed
    )


def three_selections():
    """Objects whose selections have an IoU of 1, 0.4 and 0."""
    given = batch([(30, 40, 1)], [(30, 40, 1)], [(30, 40, 1)])
    predictions = np.zeros((3, 64, 96), bool)
    predictions[0, 16:44, 20:60] = True
    predictions[1, 16:44, 20:36] = True
    assert [
        round(iou(p, m.numpy()), 2) for p, m in zip(predictions, given["mask"], strict=True)
    ] == [1.0, 0.4, 0.0]
    return predictions, given


def test_the_refinement_learns_from_middling_selections_only():
    predictions, given = three_selections()
    (chosen,) = choose(predictions, given)
    assert chosen.row == 1
    assert (chosen.clicks[:, 2:] == (1, BOUNDARY)).all()
    assert chosen.box == CROP.with_clicks(chosen.clicks)
    # without clicks on it the exact selection is left out whatever may be learned from
    assert [one.row for one in choose(predictions, given, (0.0, 1.0))] == [1, 2]
    given["mask"][:] = 0
    assert choose(predictions, given) == []


def test_clicks_are_drawn_by_seed_epoch_and_object():
    predictions, given = three_selections()
    drawn = choose(predictions, given)[0].clicks
    again, later = (choose(predictions, given, seed=s)[0].clicks for s in ((3, 1), (3, 2)))
    assert np.array_equal(drawn, again)
    assert not np.array_equal(drawn, later)


def test_clicks_of_the_loop_are_taken_as_they_are():
    predictions, given = three_selections()
    given["clicks"] = given["clicks"].repeat(1, 2, 1)
    given["clicks"][:, 1] = torch.tensor([20, 59, 1, BOUNDARY])
    (chosen,) = choose(predictions, given)
    assert chosen.clicks.tolist() == [[20, 59, 1, BOUNDARY]]


def test_targets_count_in_the_crop_alone_and_more_round_clicks():
    clicks = np.array([[5, 50, 1, BOUNDARY]])
    masks = torch.zeros(2, 64, 96, dtype=torch.uint8)
    masks[1] = 1
    mask, weight = targets().targets([Selected(1, clicks, Box(2, 40, 20, 60))], masks)
    expected = torch.full((64, 96), IGNORE, dtype=torch.uint8)
    expected[2:20, 40:60] = 1
    assert torch.equal(mask, expected[None])
    twice = torch.ones(64, 96)
    twice[2:8, 47:53] = 2
    assert torch.equal(weight, twice[None])
    mask, weight = targets().targets([], masks)
    assert mask.shape == weight.shape == (0, 64, 96)


def test_a_square_is_cut_at_the_first_row_and_column():
    assert square(2, 50, 6) == (slice(0, 5), slice(47, 53))
