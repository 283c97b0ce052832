"""Norms that do not depend on the batch: frozen batch norms, and group norms."""

from collections.abc import Iterator
from typing import Self

from torch import nn


class KeepsNorms(nn.Module):
    """Base of the networks with pretrained batch norms that stay frozen.

    They stay in evaluation mode, with constant affine parameters, also those that take their place
    (`trainer.sync_batchnorm`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[nn.Module] = []

    def keep_norms(self, module: nn.Module) -> None:
        """Freeze every batch norm in a module."""
        self._kept.append(module)
        for norm in batch_norms(module):
            norm.eval().requires_grad_(False)  # a Trainer does not change the modules' modes

    def train(self, mode: bool = True) -> Self:
        """Switch modes; frozen norms stay in evaluation mode."""
        super().train(mode)
        for module in self._kept:
            for norm in batch_norms(module):
                norm.eval()
        return self


def batch_norms(module: nn.Module) -> Iterator[nn.Module]:
    """Find all batch norms of maps in a module, synchronised ones and timm's with activations too.

    timm's are subclasses of torch's.
    """
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d | nn.SyncBatchNorm))


def batch_to_group_norm(module: nn.Module, groups: int = 16) -> None:
    """Replace every `BatchNorm2d` below a module by a group norm.

    It has at most `groups` groups of at least 8 channels each. With fewer channels, a group of a
    pooled branch, whose maps are a single pixel, would have too few values to normalise.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm2d):
            batch_to_group_norm(child, groups)
            continue
        channels = child.num_features
        most = min(groups, max(1, channels // 8))
        count = next(g for g in range(most, 0, -1) if channels % g == 0)
        setattr(module, name, nn.GroupNorm(count, channels))
