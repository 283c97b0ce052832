"""Boundary figures against their definitions, pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interseg.evaluation.boundaries import band_iou, boundary_agreement, outline_f, outlines_agree
from tests.helpers.scenes import neighbours, random_classes, random_masks

SIZES = {
    "height": st.integers(1, 14),
    "width": st.integers(1, 14),
    "smoothness": st.sampled_from([0.0, 1.0, 3.0]),
}


def slow_band(region, width):
    """Pixels of a region from which a step of at most `width` rows and columns leads out of it,
    or out of the image.
    """
    height, across = region.shape
    found = set()
    for y, x in np.argwhere(region).tolist():
        window = [
            (v, u) for v in range(y - width, y + width + 1) for u in range(x - width, x + width + 1)
        ]
        if any(not (0 <= v < height and 0 <= u < across and region[v, u]) for v, u in window):
            found.add((y, x))
    return found


def slow_outline(region):
    """Pixels of a region with a neighbour in the image outside it.

    Of a region that fills the image, its border.
    """
    pixels = {(y, x) for y, x in np.argwhere(region).tolist()}
    found = {p for p in pixels if any(q not in pixels for q in neighbours(*p, region.shape, False))}
    return found or {p for p in pixels if len(neighbours(*p, region.shape, False)) < 4}


def slow_f(region, truth, tolerance):
    ours, theirs = slow_outline(region), slow_outline(truth)
    if not ours or not theirs:
        return float(len(ours) == len(theirs))
    precision = np.mean([min(math.dist(p, q) for q in theirs) <= tolerance for p in ours])
    recall = np.mean([min(math.dist(p, q) for q in ours) <= tolerance for p in theirs])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), reach=st.integers(1, 4), **SIZES)
def test_both_figures_are_what_their_definitions_say(seed, reach, height, width, smoothness):
    prediction, mask, _ = random_masks(seed, height, width, smoothness)
    region, truth = prediction & (mask != 255), mask == 1
    ours, theirs = slow_band(region, reach), slow_band(truth, reach)
    assert band_iou(region, truth, reach) == (
        len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
    )
    assert outline_f(region, truth, reach) == pytest.approx(slow_f(region, truth, reach))
    whole = boundary_agreement(prediction, mask)
    diagonal = math.hypot(height, width)
    ours, theirs = (slow_band(part, max(1, round(0.02 * diagonal))) for part in (region, truth))
    assert whole.iou == (len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0)
    assert whole.f == pytest.approx(slow_f(region, truth, math.ceil(0.008 * diagonal)))


def test_the_widths_are_shares_of_the_diagonal():
    truth = np.zeros((300, 400), bool)
    truth[100:200, 100:200] = True
    shifted = np.roll(
        truth, 4, 1
    )  # the diagonal is 500: bands of 10 pixels, outlines that match within 4
    frame, common = 100**2 - 80**2, 2 * 96 * 10 + 2 * 80 * 6 - 2 * 0
    found = outlines_agree(shifted, truth)
    assert found.f == 1
    assert found.iou == pytest.approx(common / (2 * frame - common))
    assert outlines_agree(np.roll(truth, 5, 1), truth).f < 1
    assert outlines_agree(truth, truth) == (1, 1)
    assert outlines_agree(truth, ~truth).iou == 0


def test_an_ignored_band_hides_where_the_outline_runs():
    mask = np.zeros((40, 40), np.uint8)
    mask[8:32, 8:32] = 255
    mask[12:28, 12:28] = 1
    for margin in (8, 10, 12):
        prediction = np.zeros(mask.shape, bool)
        prediction[margin:-margin, margin:-margin] = True
        assert boundary_agreement(prediction, mask) == (1, 1)
    assert boundary_agreement(np.zeros(mask.shape, bool), mask) == (0, 0)


def test_of_several_classes_the_mean_counts():
    prediction, mask, _ = random_classes(3, 20, 24, 2.0)
    valid = mask != 255
    each = [
        outlines_agree((prediction == k) & valid, mask == k) for k in range(4) if (mask == k).any()
    ]
    assert boundary_agreement(prediction, mask) == pytest.approx(tuple(np.mean(each, axis=0)))
