import numpy as np
import pytest
import torch

from interseg.clicks.guidance import (
    DiskGuidance,
    DistanceGuidance,
    FlooredGaussianGuidance,
    GaussianGuidance,
    mask_distance,
)
from interseg.clicks.layout import BOUNDARY, clicks_of, no_clicks, pad_clicks
from interseg.errors import InputError


def nearest(clicks, label, height, width):
    """(H, W) distance to the nearest click of a sign, computed for every pixel and click.

    Infinite without clicks.
    """
    y, x = np.mgrid[:height, :width].astype(float)
    distances = [np.hypot(y - cy, x - cx) for cy, cx, sign, _ in clicks.tolist() if sign == label]
    return np.min(distances, axis=0) if distances else np.full((height, width), np.inf)


def density(d):
    return 25 * np.exp(-(d**2) / 200) / (10 * np.sqrt(2 * np.pi))


FORMULAS = {
    "gaussian": (GaussianGuidance(), lambda d: np.where(d <= 20, density(d), 0)),
    "code": (FlooredGaussianGuidance(), lambda d: density(np.minimum(d, 20))),
    "disk": (DiskGuidance(5), lambda d: (d <= 5).astype(float)),
    "distance": (DistanceGuidance(), lambda d: np.minimum(d, 255) / 255),
    "inverse": (DistanceGuidance(40, inverse=True), lambda d: 1 - np.minimum(d, 40) / 40),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_maps_equal_the_formula_for_every_pixel_and_click(name):
    guidance, formula = FORMULAS[name]
    rng = np.random.default_rng(0)
    clicks = [clicks_of(rng.integers(0, (60, 300, 2), (n, 3)).tolist()) for n in (0, 1, 7)]
    clicks.append(clicks_of([(0, 0, 1), (59, 299, 0), (0, 299, 1), (59, 0, 0)]))
    maps = guidance(pad_clicks(clicks), 60, 300)
    assert maps.shape == (4, 2, 60, 300)
    assert maps.dtype == torch.float32
    for image, rows in enumerate(clicks):
        for channel, label in enumerate((1, 0)):
            expected = formula(nearest(rows, label, 60, 300))
            np.testing.assert_allclose(maps[image, channel], expected, atol=1e-6)


def test_gaussian_peak_and_clip_are_the_papers():
    maps = GaussianGuidance()(pad_clicks([clicks_of([(30, 30, 1)])]), 61, 61)
    assert maps[0, 0, 30, 30].item() == pytest.approx(0.9974, abs=1e-4)
    assert maps[0, 0, 30, 50] > 0
    assert maps[0, 0, 30, 51] == 0


def test_no_click_gives_empty_maps():
    assert DiskGuidance()(pad_clicks([no_clicks()]), 8, 9).abs().sum() == 0


def test_mask_distance_is_zero_on_the_mask_and_one_without():
    mask = torch.zeros(2, 10, 300, dtype=torch.bool)
    mask[0, 5, 0] = True
    channel = mask_distance(mask)
    assert channel.shape == (2, 1, 10, 300)
    assert channel[0, 0, 5, 0] == 0
    assert channel[0, 0, 5, 51].item() == pytest.approx(51 / 255)
    assert channel[0, 0, 5, 299] == 1
    assert (channel[1] == 1).all()


@pytest.mark.parametrize(
    "guidance", [GaussianGuidance(), FlooredGaussianGuidance(), DiskGuidance(), DistanceGuidance()]
)
def test_clicks_that_say_neither_object_nor_background_are_refused(guidance):
    with pytest.raises(
        InputError,
        match="a click on the boundary was given to a network of positive and negative clicks",
    ):
        guidance(pad_clicks([no_clicks(), clicks_of([(1, 2, 0), (3, 4, 1, BOUNDARY)])]), 8, 9)
    with pytest.raises(
        InputError,
        match="a click has label 3; a network of positive and negative clicks knows 1 and 0",
    ):
        guidance(pad_clicks([clicks_of([(1, 2, 3)])]), 8, 9)
