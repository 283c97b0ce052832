import math

import numpy as np
import pytest

from interseg.evaluation.overlap import class_ious, confusion, iou, mean_iou, weighted_iou


def test_iou_leaves_out_ignored_pixels_and_calls_an_empty_union_one():
    mask = np.array([[1, 1, 0, 0, 255]], np.uint8)
    assert iou(np.array([[True, False, True, False, True]]), mask) == 1 / 3
    assert iou(np.zeros((1, 5), bool), np.where(mask == 1, 0, mask).astype(np.uint8)) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_the_iou_of_an_object_is_that_of_its_counted_pixels(seed):
    rng = np.random.default_rng(seed)
    mask, prediction = rng.choice([0, 1, 255], (6, 7)).astype(np.uint8), rng.random((6, 7)) < 0.5
    pixels = [
        (p, m == 1)
        for p, m in zip(prediction.ravel().tolist(), mask.ravel().tolist(), strict=True)
        if m != 255
    ]
    assert iou(prediction, mask) == sum(p and m for p, m in pixels) / sum(p or m for p, m in pixels)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
@pytest.mark.parametrize("seed", range(3))
def test_confusion_counts_the_valid_pixels_of_each_true_and_given_class(seed, kind):
    rng = np.random.default_rng(seed)
    mask, prediction = (
        rng.choice([0, 1, 3, 19, 255], (6, 7)).astype(np.uint8),
        rng.integers(0, 20, (6, 7)).astype(kind),
    )
    expected = np.zeros((20, 20), int)
    for pixel in np.ndindex(mask.shape):
        if mask[pixel] != 255:
            expected[mask[pixel], prediction[pixel]] += 1
    assert np.array_equal(confusion(prediction, mask, 20), expected)


def slow_ious(prediction, mask, classes):
    found = []
    pixels = [
        (p, m)
        for p, m in zip(prediction.ravel().tolist(), mask.ravel().tolist(), strict=True)
        if m != 255
    ]
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
