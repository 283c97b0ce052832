"""Augmented volumes: all parts move alike, and nothing else changes."""

import numpy as np
import pytest
import torch

from interseg.volumes.augmentation import flip_and_turn


def test_augmentation_moves_all_parts_alike():
    volume = torch.rand(1, 1, 4, 12, 10)
    for seed in range(5):
        a, b = flip_and_turn([volume, volume.clone()], np.random.default_rng(seed))
        assert torch.equal(a, b)
        assert a.shape == volume.shape
        assert not torch.equal(a, volume)
    flips = {
        tuple(flip_and_turn([volume], np.random.default_rng(seed), 0.0)[0].ravel().tolist())
        for seed in range(60)
    }
    assert len(flips) == 8, "along each axis or not"
    ramp = torch.arange(40.0)[:, None].expand(40, 20)[None, None, None]
    for seed in range(5):
        y, x = torch.gradient(
            flip_and_turn([ramp], np.random.default_rng(seed), 30.0)[0][0, 0, 0, 15:25, 8:12]
        )
        assert torch.hypot(y, x).mean().item() == pytest.approx(1, abs=1e-3), (
            "pixels stay square whatever the sides"
        )
        assert x.abs().mean() > 0.01
    flat = torch.full((1, 1, 4, 12, 10), 3.0)
    assert torch.allclose(flip_and_turn([flat], np.random.default_rng(0))[0], flat)


def test_a_turn_has_its_places_in_full_precision():
    volume = torch.rand(1, 1, 2, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        turned = flip_and_turn([volume], np.random.default_rng(2))[0]
    assert torch.equal(turned, flip_and_turn([volume], np.random.default_rng(2))[0])
    half = flip_and_turn([volume.bfloat16()], np.random.default_rng(2))[0]
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), turned, atol=0.01)
