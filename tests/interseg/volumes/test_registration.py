"""Masks carried from slice to slice: known shifts and bends, and slices that have nothing to hold on to."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from interseg.errors import InputError
from interseg.volumes.measures import dice
from interseg.volumes.registration import (
    BACKENDS,
    affine,
    affine_spline,
    backend_of,
    copy,
    dis_flow,
)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_finds_a_shift_or_is_the_control(name):
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(48, 52)), 2).astype(np.float32)
    image /= image.std()
    mask = np.zeros(image.shape, bool)
    mask[16:32, 18:34] = True
    image[mask] += 2
    moving, moving_mask = np.roll(image, (2, -3), (0, 1)), np.roll(mask, (2, -3), (0, 1))
    found = dice(BACKENDS[name](image, moving, moving_mask), mask)
    control = dice(moving_mask, mask)
    assert found == control if name == "copy" else found > control + 0.05


def test_the_spline_takes_up_what_the_affine_map_leaves_and_comes_first_on_the_way_to_the_moving_slice():
    rng = np.random.default_rng(2)
    image = gaussian_filter(rng.normal(size=(80, 84)), 2).astype(np.float32)
    image /= image.std()
    y, x = np.indices(image.shape, dtype=float)
    mask = np.hypot(y - 40, x - 42) < 18
    image[mask] += 2
    bend = 7 * np.exp(-((y - 40) ** 2 + (x - 20) ** 2) / 200)
    places = [0.75 * (y - 40) + 33 + bend, 0.75 * (x - 42) + 51 - bend]
    moving = map_coordinates(image, places, order=1, mode="nearest").astype(np.float32)
    moving_mask = map_coordinates(mask.astype(float), places, order=1) > 0.5
    found = {
        carry: dice(carry(image, moving, moving_mask), mask)
        for carry in (copy, affine, affine_spline)
    }
    assert (
        found[affine_spline] > found[affine] + 0.01
    )  # in the other order, or without it, there is no gain
    assert found[affine] > found[copy] + 0.3


@pytest.mark.parametrize("carry", [dis_flow, affine, affine_spline])
def test_slices_without_any_structure_and_tiny_ones_are_carried_too(carry):
    for shape in ((20, 24), (3, 5), (2, 2730), (2, 5000), (2, 32768)):
        mask = np.zeros(shape, bool)
        mask[1:3, 1:4] = True
        flat = np.zeros(shape, np.float32)
        assert np.array_equal(carry(flat, flat, mask), mask)
    mask = np.ones((12, 40), bool)
    assert np.array_equal(dis_flow(mask * np.float32(1), mask * np.float32(1), mask, least=1), mask)
    with pytest.raises(InputError, match="registration is 'ants'; use one of dis"):
        backend_of("ants")
