"""GrabCut, graph cut and random walks on a drawn ellipse; their costs against plain arithmetic."""

import itertools
import sys

import numpy as np
import pytest
from skimage.color import rgb2lab

from interseg.classical import BACKGROUND, METHODS, _colour_costs, graph_cut, seeds_of
from interseg.clicks.layout import clicks_of
from interseg.errors import InputError
from interseg.evaluation.overlap import iou
from tests.helpers.drawing import draw_ellipse


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("negative", [True, False])
def test_an_object_of_its_own_colour_takes_a_click_or_two(method, negative):
    image, mask = draw_ellipse()
    rows = [(24, 30, 1)] + [(5, 55, 0)] * negative
    probability = METHODS[method](image, seeds_of(clicks_of(rows), *mask.shape, 3), None)
    assert probability.shape == mask.shape
    assert 0 <= probability.min() <= probability.max() <= 1
    assert iou(probability > 0.5, mask) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_every_click_has_its_label_whatever_the_colours_say(method):
    image, _ = draw_ellipse()
    rows = [(24, 30, 1), (24, 35, 0), (5, 55, 0), (6, 57, 1), (40, 2, 1)]
    probability = METHODS[method](image, seeds_of(clicks_of(rows), 48, 64, 3), None)
    assert [probability[y, x] > 0.5 for y, x, _ in rows] == [label == 1 for *_, label in rows]


@pytest.mark.parametrize("method", METHODS)
def test_without_a_positive_click_nothing_is_object(method):
    image, _ = draw_ellipse()
    assert not METHODS[method](image, seeds_of(clicks_of([(5, 5, 0)]), 48, 64, 3), None).any()
    assert not METHODS[method](image, seeds_of(clicks_of([]), 48, 64, 3), None).any()


def test_seeds_are_discs_and_the_border_is_background_until_a_negative_click():
    seeds = seeds_of(clicks_of([(20, 30, 1)]), 48, 64, 3)
    y, x = np.mgrid[:48, :64]
    assert (seeds[20, 27:34] == 1).all()
    assert not (seeds[(y - 20) ** 2 + (x - 30) ** 2 > 16][None] == 1).any()
    assert (seeds[0] == BACKGROUND).all()
    assert (seeds[:, -1] == BACKGROUND).all()
    assert not (seeds_of(clicks_of([(20, 30, 1), (5, 5, 0)]), 48, 64, 3)[-1] > 0).any()
    close = seeds_of(clicks_of([(20, 30, 1), (20, 31, 0)]), 48, 64, 3)
    assert (close[20, 30], close[20, 31]) == (1, BACKGROUND)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(5, 5), (2, 2), (1, 9), (9, 1)])
def test_a_positive_click_may_cover_the_only_negative_one(method, size):
    image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    last = size[0] - 1, size[1] - 1
    for rows in ([(0, 0, 0), (*last, 1)], [(*last, 0), (*last, 1)]):
        probability = METHODS[method](image, seeds_of(clicks_of(rows), *size, 12), None)
        assert np.isfinite(probability).all()
        assert probability[last] > 0.5


def test_grabcut_starts_from_the_previous_mask():
    image, mask = draw_ellipse()
    wrong = np.zeros(mask.shape, bool)
    wrong[:, :3] = True
    given = METHODS["grabcut"](
        image, seeds_of(clicks_of([(24, 30, 1), (2, 60, 0)]), *mask.shape, 2), mask == 1
    )
    assert iou(given > 0.5, mask) > 0.95
    assert METHODS["grabcut"](image, np.ones(mask.shape, np.uint8), mask == 1).all()


def energy(labels, lab, seeds, smoothness, bins):
    """Boykov and Jolly's energy, term by term; infinite where a seed has the other label."""
    costs = _colour_costs(lab, seeds, bins)
    height, width = labels.shape
    pairs = [
        ((y, x), (y + dy, x + dx))
        for y in range(height)
        for x in range(width)
        for dy, dx in ((0, 1), (1, 0))
    ]
    pairs = [(p, q) for p, q in pairs if q[0] < height and q[1] < width]
    mean = np.mean([((lab[p] - lab[q]) ** 2).sum() for p, q in pairs])
    total = sum(
        smoothness * np.exp(-((lab[p] - lab[q]) ** 2).sum() / (2 * mean))
        for p, q in pairs
        if labels[p] != labels[q]
    )
    for p in itertools.product(range(height), range(width)):
        if (seeds[p] == 1 and not labels[p]) or (seeds[p] == BACKGROUND and labels[p]):
            return np.inf
        if not seeds[p]:
            total += costs[0][p] if labels[p] else costs[1][p]
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_cut_is_the_labelling_of_least_energy(seed):
    image = np.random.default_rng(seed).random((3, 4, 3)).astype(np.float32)
    seeds = np.zeros((3, 4), np.uint8)
    seeds[0, 0], seeds[2, 3] = 1, BACKGROUND
    lab = rgb2lab(image)
    every = (np.array(bits, bool).reshape(3, 4) for bits in itertools.product((0, 1), repeat=12))
    least = min(energy(labels, lab, seeds, 2.0, 4) for labels in every)
    found = graph_cut(image, seeds, smoothness=2.0, bins=4) > 0.5
    assert energy(found, lab, seeds, 2.0, 4) == pytest.approx(least)


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "maxflow", None)
    with pytest.raises(InputError, match="pip install PyMaxflow"):
        graph_cut(*draw_ellipse())
