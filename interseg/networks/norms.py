"""Norms that do not depend on the batch: frozen batch norms, and group norms."""

from collections.abc import Iterator
from typing import Self

from torch import nn


class KeepsNorms(nn.Module):
    """Base of the networks with pretrained batch norms that stay frozen.

    They stay in evaluation mode, with constant affine parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept_norms: list[nn.Module] = []

    def keep_norms(self, module: nn.Module) -> None:
        """Freeze every batch norm in a module."""
        self.kept_norms += batch_norms(module)
        for norm in self.kept_norms:
            norm.eval().requires_grad_(False)  # a Trainer does not change the modules' modes

    def train(self, mode: bool = True) -> Self:
        """Switch modes; frozen norms stay in evaluation mode."""
        super().train(mode)
        for norm in self.kept_norms:
            norm.eval()
        return self


def batch_norms(module: nn.Module) -> Iterator[nn.Module]:
    """Find all two-dimensional batch norms in a module, timm's fused norm-activation layers too."""
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d))


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
