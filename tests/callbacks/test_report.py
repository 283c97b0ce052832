"""The pictures of a report: masks of one object, and of several classes."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from callbacks.pages import lay_out, put_legend_below
from callbacks.report import Picture, Report, _picture
from interseg.clicks.layout import BOUNDARY, clicks_of
from interseg.errors import InputError
from interseg.evaluation.drawing import (
    CLICKS,
    ON_BOUNDARY,
    PREDICTED,
    colour_of,
    heat_map,
    jpeg,
    overlay,
)
from interseg.evaluation.game import pack_mask

SIZE = (60, 90)


def thirds(*labels):
    """Rows of three classes."""
    return np.repeat(np.array(labels, np.uint8), SIZE[0] // 3)[:, None].repeat(SIZE[1], 1)


def tinted(grey, colour):
    return np.array(colour) * 0.45 + grey * 0.55


@pytest.mark.parametrize("labels", [(0, 1, 2), (2, 7, 11)])
def test_classes_are_drawn_with_a_colour_each_and_clicks_in_that_of_their_class(labels):
    image = np.full((*SIZE, 3), 100, np.uint8)
    clicks = clicks_of([(10, 20, labels[2]), (30, 40, labels[0]), (50, 60, labels[1])])
    drawn = overlay(image, thirds(*labels), clicks).astype(int)
    for row, label in zip((10, 30, 50), labels, strict=True):
        assert np.abs(drawn[row, 80] - tinted(100, colour_of(label))).max() <= 1
    for y, x, label, _ in clicks.tolist():
        assert tuple(drawn[y, x]) == colour_of(label)
    assert np.array_equal(
        overlay(image, thirds(*labels), clicks),
        overlay(image, thirds(*labels), clicks, np.full(SIZE, 255, np.uint8)),
    )
    outlined = overlay(image, thirds(*labels), clicks[:0], np.roll(thirds(*labels), 10, 0))
    assert outlined[30, 45].min() > 220


def test_an_object_is_drawn_as_a_region_with_positive_negative_and_boundary_clicks():
    image = np.full((*SIZE, 3), 100, np.uint8)
    clicks = clicks_of([(10, 20, 0), (30, 40, 1), (20, 60, 1, BOUNDARY)])
    drawn = overlay(image, thirds(0, 1, 0) == 1, clicks).astype(int)
    assert [drawn[y, 80].tolist() for y in (10, 50)] == [[100] * 3] * 2
    assert np.abs(drawn[30, 80] - tinted(100, PREDICTED)).max() <= 1
    assert [tuple(drawn[y, x]) for y, x in ((10, 20), (30, 40), (20, 60))] == [
        CLICKS[0],
        CLICKS[1],
        ON_BOUNDARY,
    ]


def test_the_colours_of_many_classes_differ():
    colours = np.array([colour_of(label) for label in range(12)])
    assert np.array_equal(colours[:2], [CLICKS[0], CLICKS[1]])
    apart = np.abs(colours[:, None] - colours).max(-1)
    assert apart[~np.eye(12, dtype=bool)].min() > 40


@pytest.mark.parametrize("width", [90, 8, 1])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_panel_shows_the_mask_that_was_played(outputs, width):
    generator = np.random.default_rng(0)
    masks = cv2.resize(
        generator.integers(0, 3, (6, 8, 2)).astype(np.uint8),
        (width, 60),
        interpolation=cv2.INTER_NEAREST,
    )
    masks = (
        masks.reshape(60, width, 2).transpose(2, 0, 1)
        if outputs > 1
        else masks.reshape(60, width, 2).transpose(2, 0, 1) == 1
    )
    truth = np.ascontiguousarray(masks[0].astype(np.uint8)[::-1])
    clicks = clicks_of([(3, 0, 1), (9, width - 1, outputs - 1), (-1, -1, -1, -1)])
    image = torch.from_numpy(generator.random((1, 3, 60, width), np.float32))
    outcome = {
        "clicks": torch.from_numpy(clicks)[None],
        "masks": torch.from_numpy(np.stack([pack_mask(m) for m in masks]))[None],
    }
    batch = {"image": image, "mask": torch.from_numpy(truth)[None], "outcome": outcome}
    report = Report(panel_height=120)
    row = report._row(_picture(batch, 0, 7, [0.4, 0.6], outputs > 1), "7.png")
    assert row["name"] == "7.png"
    assert [(panel["click"], panel["iou"]) for panel in row["panels"]] == [(1, 0.4), (2, 0.6)]
    photo = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    for k, panel in enumerate(row["panels"]):
        drawn = overlay(photo, masks[k], clicks[: k + 1], truth, 2.0)
        assert panel["jpeg"] == jpeg(drawn)


def test_legends_lie_under_the_curves():
    figure = Figure(figsize=(6, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axis = figure.subplots()
    for number in range(5):
        axis.plot([1, 2], [number, number], label=f"a method of a long name {number}")
    axis.set(xlabel="clicks")
    put_legend_below(axis)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    legend, label = (
        axis.get_legend().get_window_extent(renderer),
        axis.xaxis.label.get_window_extent(renderer),
    )
    assert legend.y1 < label.y0 < axis.get_window_extent(renderer).y0
    assert legend.y0 >= 0
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1


def test_a_grid_of_axes_has_room_for_every_text():
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(2, 3)
    for place, axis in np.ndenumerate(grid):
        for number in range(1 + 2 * place[1]):
            axis.plot([0, 20], [0, 1], label=f"an entry, number {number}")
        axis.set(xlabel="clicks", ylabel="IoU", title=f"axis {place}")
    grid[1, 2].remove()
    lay_out(figure, grid)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    boxes = [axis.get_tightbbox(renderer) for axis in figure.axes]
    assert len(boxes) == 5
    for box in boxes:
        assert min(box.x0, box.y0) >= 0
        assert (box.x1, box.y1) <= (figure.bbox.x1, figure.bbox.y1)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    lines = [axis.get_legend().get_window_extent(renderer) for axis in figure.axes]
    assert all(legend.y1 < axis.bbox.y0 for legend, axis in zip(lines, figure.axes, strict=True))


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_heat_is_drawn_from_violet_to_yellow_over_a_darkened_photo(scale):
    image = np.full((40, 60, 3), 200, np.uint8)
    heat = np.full((40, 60), np.nan, np.float32)
    heat[:, :20], heat[:, 20:40] = 0.2, 0.7
    drawn = heat_map(image, heat, scale).astype(int)
    assert drawn.shape == (40 * scale, 60 * scale, 3)
    low, high, none = (drawn[int(20 * scale), int(x * scale)] for x in (10, 30, 50))
    assert none.tolist() == [70] * 3
    assert low[2] > low[0] > low[1]  # violet
    assert high[0] > 200 and high[1] > 200 and high[2] < 100  # noqa: PT018
    assert (heat_map(image, np.full_like(heat, np.nan), scale) == 70).all()


def test_a_page_shows_the_heat_of_users_who_know_the_answers():
    image, mask = np.zeros((*SIZE, 3), np.uint8), thirds(0, 1, 0)
    heat = np.where(mask == 1, np.linspace(0.1, 0.9, SIZE[1], dtype=np.float32), np.float32(np.nan))
    picture = Picture(
        3, image, mask, np.stack([pack_mask(mask == 1)]), clicks_of([(30, 5)]), [0.9], False, heat
    )
    found = Report(panel_height=120)._row(picture, "3.png")["heat"]
    assert (found["low"], found["high"]) == pytest.approx((0.1, 0.9))
    assert found["jpeg"] == jpeg(heat_map(image, heat, 2.0))
    assert Report()._row(picture._replace(heat=None), "3.png")["heat"] is None


def test_games_are_asked_for_only_where_there_are_objects():
    report = Report()
    unread = {"errors": ["0.png cannot be read"], "id": torch.zeros(0, dtype=torch.int64)}
    report.on_test_batch_end(None, None, None, unread)
    with pytest.raises(InputError, match=r"no callback plays the clicks"):
        report.on_test_batch_end(None, None, None, {"id": torch.zeros(1, dtype=torch.int64)})
