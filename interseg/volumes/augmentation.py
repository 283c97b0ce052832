"""Augmentation of volumes: flips of every axis, turns in the slices' plane."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def flip_and_turn(
    parts: list[Tensor], generator: np.random.Generator, turn: float = 15.0
) -> list[Tensor]:
    """Flip all (1, 1, D, H, W) in the same way, each axis half the time, and turn them.

    The angle in the slices' plane is at most `turn` degrees.
    """
    for axis in (2, 3, 4):
        if generator.random() < 0.5:
            parts = [part.flip(axis) for part in parts]
    angle = float(np.deg2rad(generator.uniform(-turn, turn)))
    height, width = parts[0].shape[3:]
    c, s, ratio = np.cos(angle), np.sin(angle), height / width
    rotation = torch.tensor(
        [[c, -s * ratio, 0], [s / ratio, c, 0]], dtype=parts[0].dtype, device=parts[0].device
    )[None]
    grid = affine_grid(rotation, [1, 1, height, width], align_corners=False)
    slices = [part[0, 0][None] for part in parts]
    turned = [
        grid_sample(part, grid, padding_mode="border", align_corners=False) for part in slices
    ]
    return [part[0][None, None] for part in turned]
