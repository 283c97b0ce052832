"""Masks carried from slice to slice.

Known shifts and bends, and slices that have nothing to hold on to.
"""

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
    explained_share,
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


def test_the_spline_takes_up_what_the_affine_map_leaves_and_comes_first_to_the_moving_slice():
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


def test_a_flow_that_follows_noise_is_not_trusted():
    y, x = np.indices((60, 64))
    mask = np.hypot(y - 30, x - 32) < 14
    lost = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = [gaussian_filter(rng.normal(size=mask.shape), 2) for _ in range(2)]
        fixed, moving = (2.0 * mask + 0.3 * part / part.std() for part in noise)
        masks = [dis_flow(fixed, moving, mask, sure=sure) for sure in (None, 0.4)]
        lost.append([1 - dice(found, mask) for found in masks])
    trusted, doubted = np.mean(lost, 0)
    assert trusted > 0.01, "the flow moves what does not move"
    assert doubted < 0.1 * trusted


def test_what_a_flow_explains_is_the_share_of_the_difference_that_it_takes_away():
    rng = np.random.default_rng(1)
    image = gaussian_filter(rng.normal(size=(40, 44)), 2)
    image = np.round(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    moving = np.roll(image, 3, 1)
    flow = np.zeros((40, 44, 2), np.float32)
    flow[:20, :, 0] = 3  # the truth in the upper half, nothing in the lower one
    found = explained_share(image, moving, flow, 2.0)
    assert (found[:10, 10:30] > 0.99).all()
    assert (found[30:] == 0).all()
    moved = image.astype(float)
    moved[20:] = moving[20:]  # but for what the border replicates, away from the place asked for
    before = gaussian_filter((image - moving.astype(float)) ** 2, 2, mode="mirror")
    after = gaussian_filter((image - moved) ** 2, 2, mode="mirror")
    assert found[20, 20] == pytest.approx(1 - after[20, 20] / before[20, 20], abs=0.02)
    assert 0 < found[20, 20] < 1
    assert (explained_share(image, image, np.zeros((40, 44, 2), np.float32), 2.0) == 1).all()


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
