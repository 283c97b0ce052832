import math

import numpy as np
import pytest

from interseg.continual.transfer import class_ious, mean_iou, transfer, weighted_iou


def slow_ious(prediction, mask, classes):
    found = []
    pixels = [(p, m) for p, m in zip(prediction.ravel().tolist(), mask.ravel().tolist(), strict=True) if m != 255]
    for c in range(classes):
        both = sum(p == m == c for p, m in pixels)
        union = sum(c in (p, m) for p, m in pixels)
        found.append(both / union if any(m == c for _, m in pixels) else math.nan)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_ious_leave_out_ignored_pixels_and_classes_that_are_not_there(seed):
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 3, 255], (6, 7)).astype(np.uint8)
    prediction = rng.integers(0, 4, (6, 7))
    expected = slow_ious(prediction, mask, 4)
    assert class_ious(prediction, mask, 4).tolist() == pytest.approx(expected, nan_ok=True)
    there = [v for v in expected if not math.isnan(v)]
    assert mean_iou(prediction, mask, 4) == pytest.approx(sum(there) / len(there))
    areas = [int((mask == c).sum()) for c in range(4)]
    weighted = sum(v * a for v, a in zip(expected, areas, strict=True) if a) / sum(areas)
    assert weighted_iou(prediction, mask, 4) == pytest.approx(weighted)


def test_an_image_of_void_has_no_figure():
    void = np.full((3, 4), 255, np.uint8)
    assert math.isnan(mean_iou(np.zeros((3, 4), int), void, 2))
    assert math.isnan(weighted_iou(np.zeros((3, 4), int), void, 2))


def test_forward_and_backward_are_rows_of_the_matrix():
    matrix = np.arange(25.0).reshape(5, 5)
    found = transfer(matrix, [1, 2, 3, 4, 5], forward_after=3, backward_after=5)
    assert found == {"basic": 3, "forward": (13 + 14) / 2, "backward": (20 + 21 + 22 + 23) / 4, "drop": 2.5 - 21.5}
