"""Norms that do not depend on the batch: pretrained batch norms kept as they are, new ones replaced by group norms."""

from collections.abc import Iterator
from typing import Self

from torch import nn


class KeepsNorms(nn.Module):
    """Base of the networks that keep batch norms as they were trained: in evaluation mode, with constant affine parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_norms: list[nn.Module] = []

    def keep_norms(self, module: nn.Module) -> None:
        """Keep every batch norm in a module."""
        self.kept_norms += batch_norms(module)
        for norm in self.kept_norms:
            norm.eval().requires_grad_(
                False
            )  # a Trainer leaves modules in the mode that it finds them in

    def train(self, mode: bool = True) -> Self:
        """Switch modes; kept norms stay in evaluation mode."""
        super().train(mode)
        for norm in self.kept_norms:
            norm.eval()
        return self


def batch_norms(module: nn.Module) -> Iterator[nn.Module]:
    """All two-dimensional batch norms in a module (timm's fused norm-activation layers are subclasses)."""
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d))


def batch_to_group_norm(module: nn.Module, groups: int = 16) -> None:
    """Replace every `BatchNorm2d` below a module by a group norm of at most `groups` groups of at least 8 channels each.

    Fewer channels a group would leave nothing to normalise by in a pooled branch, whose maps are a
    single pixel.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            divisor = next(
                g
                for g in range(min(groups, max(1, child.num_features // 8)), 0, -1)
                if child.num_features % g == 0
            )
            setattr(module, name, nn.GroupNorm(divisor, child.num_features))
        else:
            batch_to_group_norm(child, groups)
