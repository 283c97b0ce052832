"""Figures of crops, by hand and against images whose pixels are counted."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interseg.evaluation.crops import PADDINGS, Crops, iou_through_cells
from interseg.evaluation.metrics import summarise
from interseg.views import Box
from tests.helpers.outcomes import CURVES, PLAYED

IMAGE, OBJECT = (0, 0, 100, 200), (20, 30, 60, 90)
NOT_CROPPED = torch.tensor([[IMAGE, OBJECT, (0, 0, 0, 0), (0, 0, 0, 0)]] * 4)


def figures_of(boxes, targets):
    return summarise(
        PLAYED | {"boxes": boxes, "drawn": torch.tensor([0.9, 0.8, 1.0, 0.9], dtype=torch.float64)},
        targets,
        full_curves=False,
        contributions=[Crops(16)],
    )


def test_an_object_outside_its_crop_counts_all_clicks_and_keeps_its_iou():
    boxes = NOT_CROPPED.clone()
    boxes[0, 2:] = torch.tensor([(20, 30, 60, 90), (10, 20, 70, 100)])
    boxes[1, 2:] = torch.tensor([(25, 30, 60, 90), (15, 20, 70, 100)])
    boxes[2, 2:] = torch.tensor([(0, 0, 100, 90), (0, 0, 100, 100)])
    boxes[3, 2:] = torch.tensor(
        [(40, 30, 60, 90), (30, 20, 70, 100)]
    )  # cut at the top, padding or not
    figures = figures_of(boxes, (0.8, 0.85))
    assert figures["outside"] == 1
    assert figures["noc@80"] == (2 + 1 + 4 + 4) / 4
    assert figures["failures@80"] == 1
    assert figures["failures@85"] == 2
    assert figures["miou@4"] == pytest.approx(float(CURVES[:, 3].mean()))
    assert [figures[f"recall+{p}"] for p in (0, 5, 10, 20)] == [0.5, 0.75, 0.75, 1.0]
    kept = [40 * 60, 35 * 60, 100 * 90, 20 * 60]
    assert figures["area_reduction+0"] == pytest.approx(1 - sum(kept) / 4 / 20000)
    kept = [60 * 80, 55 * 80, 100 * 100, 40 * 80]
    assert figures["area_reduction+10"] == pytest.approx(1 - sum(kept) / 4 / 20000)
    assert figures["contributed"] == ["outside"]
    assert figures["drawn_by_cells"] == pytest.approx(0.9)
    assert figures["drawn_above_85"] == 0.75


def test_objects_without_a_crop_count_in_no_figure_of_crops():
    boxes = NOT_CROPPED.clone()
    boxes[0, 2:] = torch.tensor([(25, 30, 60, 90), (15, 20, 70, 100)])
    figures = figures_of(boxes, (0.8,))
    assert (figures["recall+0"], figures["recall+80"]) == (0.0, 1.0)
    assert figures["area_reduction+0"] == pytest.approx(1 - 35 * 60 / 20000)


def test_a_method_that_crops_and_keeps_everything_has_figures_and_one_that_does_not_crop_has_none():
    boxes = NOT_CROPPED.clone()
    boxes[:, 2:] = torch.tensor(IMAGE)
    figures = figures_of(boxes, (0.8,))
    assert (figures["outside"], figures["recall+0"], figures["area_reduction+0"]) == (0, 1.0, 0.0)
    figures = figures_of(NOT_CROPPED, (0.8,))
    assert not any(key.startswith(("outside", "recall", "area_reduction")) for key in figures)
    assert figures["noc@80"] == (2 + 1 + 4 + 4) / 4
    assert Crops(16).plot(figures) is None
    assert Crops(16).sentence(figures) == ""


def within(box):
    """The pixels of a box in an image."""
    pixels = np.zeros(IMAGE[2:], bool)
    pixels[box[0] : box[2], box[1] : box[3]] = True
    return pixels


@pytest.mark.parametrize("seed", range(3))
def test_figures_and_counted_curves_are_those_of_counted_pixels(seed):
    rng = np.random.default_rng(seed)

    def drawn():
        (top, bottom), (left, right) = (
            sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in IMAGE[2:]
        )
        return top, left, bottom, right

    rows = [(IMAGE, drawn(), drawn(), drawn()) for _ in range(12)]
    rows = [
        (image, truth, Box(*truth).grow(7 * (i % 3), *IMAGE[2:]), crop)
        for i, (image, truth, _, crop) in enumerate(rows[:6])
    ] + rows[6:]
    rows += [(IMAGE, row[1], row[1], IMAGE) for row in rows[:2]]
    outcome = {"boxes": torch.tensor(rows), "drawn": torch.ones(len(rows))}
    outside = [bool((within(truth) & ~within(crop)).any()) for _, truth, _, crop in rows]
    figures = Crops(16).figures(outcome)
    assert 0 < figures["outside"] == sum(outside) < len(rows)
    for padding in PADDINGS:
        shown = [np.zeros(IMAGE[2:], bool) for _ in rows]
        for pixels, (_, _, (top, left, bottom, right), _) in zip(shown, rows, strict=True):
            pixels[
                max(0, top - padding) : bottom + padding, max(0, left - padding) : right + padding
            ] = True
        held = [
            not (within(row[1]) & ~pixels).any() for row, pixels in zip(rows, shown, strict=True)
        ]
        assert figures[f"recall+{padding}"] == pytest.approx(np.mean(held))
        assert figures[f"area_reduction+{padding}"] == pytest.approx(
            np.mean([1 - pixels.mean() for pixels in shown])
        )
    curves = torch.rand(len(rows), 5, dtype=torch.float64)
    expected = [
        [0.0] * 5 if out else curve for out, curve in zip(outside, curves.tolist(), strict=True)
    ]
    assert Crops(16).adjust_curves(outcome, curves).tolist() == expected


def test_a_game_leaves_the_boxes_of_image_object_trimmed_box_and_crop():
    truth = np.zeros((30, 40), np.uint8)
    truth[5:9, 7:20] = 1
    truth[20:] = 255
    for state, kept in (
        ({}, [[0] * 4] * 2),
        ({"trimmed": Box(4, 6, 9, 20), "crop": Box(0, 1, 14, 25)}, [[4, 6, 9, 20], [0, 1, 14, 25]]),
    ):
        found = Crops(16).outcome(
            SimpleNamespace(session=SimpleNamespace(state=state, size=(30, 40)), truth=truth)
        )
        assert set(found) == set(Crops.keys)
        assert found["boxes"].tolist() == [[0, 0, 30, 40], [5, 7, 9, 20], *kept]
        assert found["drawn"] == iou_through_cells(truth == 1, Box(*kept[1]), 16)


def test_an_object_is_iou_through_cells_cells_the_better_the_more_there_are():
    y, x = np.mgrid[:96, :96]
    disk = (y - 40) ** 2 + (x - 50) ** 2 < 30**2
    box = Box(8, 16, 72, 84)
    finer = [iou_through_cells(disk, box, cells) for cells in (4, 8, 16, 32, 64)]
    assert finer == sorted(finer)
    assert finer[0] < 0.9
    assert finer[-1] > 0.98
    square = np.zeros((96, 96), bool)
    square[16:80, 16:80] = True
    assert iou_through_cells(square, Box(16, 16, 80, 80), 4) == 1, (
        "nothing is lost of what fills its crop"
    )
    assert iou_through_cells(square, Box(16, 16, 80, 48), 64) == 0.5, "but what lies outside is"
    assert iou_through_cells(square, Box(0, 0, 0, 0), 64) == 0


def test_stripes_finer_than_the_cells_are_lost_evenly():
    """A cell holds the mean of its pixels, not one of them."""
    stripes = np.zeros((64, 64), bool)
    stripes[:, ::4] = True
    assert iou_through_cells(stripes, Box(0, 0, 64, 64), 8) == 0


def test_the_report_draws_recall_and_area_and_says_how_many_objects_are_outside():
    boxes = NOT_CROPPED.clone()
    boxes[:, 2:] = torch.tensor([(20, 30, 60, 90), (10, 20, 70, 100)])
    boxes[:3, 3] = torch.tensor((30, 30, 60, 90))
    figures = figures_of(boxes, (0.8,))
    plot = Crops(16).plot(figures)
    assert list(plot.x) == list(PADDINGS)
    assert plot.lines["objects held whole"] == [1.0] * len(PADDINGS)
    assert plot.lines["area left out"] == [figures[f"area_reduction+{p}"] for p in PADDINGS]
    assert plot.lines["area left out"][0] == pytest.approx(1 - 40 * 60 / 20000)
    sentence = Crops(16).sentence(figures)
    assert "does not hold, which count 4 clicks: 3." in sentence
    assert "have a mean IoU of 0.900; 75% reach .85." in sentence
