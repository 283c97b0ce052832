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
    precise = torch.promote_types(parts[0].dtype, torch.float32)
    rotation = torch.tensor(
        [[c, -s * ratio, 0], [s / ratio, c, 0]], dtype=precise, device=parts[0].device
    )
    with torch.autocast(parts[0].device.type, enabled=False):  # 8 bits are no places
        grid = affine_grid(rotation[None], [1, 1, height, width], align_corners=False)
        turned = [
            grid_sample(
                part[0, 0][None].to(precise), grid, padding_mode="border", align_corners=False
            )
            for part in parts
        ]
    return [part[0][None, None].to(parts[0].dtype) for part in turned]
