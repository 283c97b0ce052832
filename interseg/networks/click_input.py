"""Photo and guidance as a network's input: normalised, joined and padded for its strides."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

DIVISOR = 32
"""Product of five strides of 2."""


class Statistics(NamedTuple):
    """Channel means and standard deviations, in [0, 1], of an encoder's training photos."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ClickInput(nn.Module):
    """A layer that normalises photos by an encoder's statistics and appends the guidance."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        register_statistics(self, statistics)

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        """Join (B, 3, H, W) in [0, 1] and (B, C, H, W) to (B, 3 + C, H', W').

        Sides are padded by replication to multiples of 32.
        """
        photo = (image - self.mean) / self.std
        return pad_sides(torch.cat([photo, guidance.to(image.dtype)], 1))


def register_statistics(module: nn.Module, statistics: Statistics) -> None:
    """Add buffers `mean` and `std` (1, 3, 1, 1) to a module, outside its state dict."""
    for name, values in statistics._asdict().items():
        module.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)


def pad_sides(x: Tensor) -> Tensor:
    """Pad (B, C, H, W) at the right and the bottom by replication to multiples of 32."""
    height, width = x.shape[-2:]
    return pad(x, (0, -width % DIVISOR, 0, -height % DIVISOR), mode="replicate")
