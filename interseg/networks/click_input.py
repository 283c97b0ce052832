"""Photo and guidance as a network's one input: normalised, joined and padded to the multiple that its strides need."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

DIVISOR = 32
"""Strides of 2 five times."""


class Statistics(NamedTuple):
    """Channel means and standard deviations, in [0, 1], of the photos that an encoder was trained on."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ClickInput(nn.Module):
    """Normalises photos by an encoder's statistics and appends the guidance."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        for name in ("mean", "std"):
            self.register_buffer(
                name, torch.tensor(getattr(statistics, name)).view(1, 3, 1, 1), persistent=False
            )

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] and (B, C, H, W) to (B, 3 + C, H', W'), sides padded by replication to multiples of 32."""
        return padded(torch.cat([(image - self.mean) / self.std, guidance.to(image.dtype)], 1))


def padded(x: Tensor) -> Tensor:
    """(B, C, H, W) with sides padded at the right and the bottom by replication to multiples of 32."""
    height, width = x.shape[-2:]
    return pad(x, (0, -width % DIVISOR, 0, -height % DIVISOR), mode="replicate")
