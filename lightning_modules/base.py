"""What every method shares with the loop: `segment`, and steps that leave the interaction to the callbacks."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from interseg.errors import InputError


class InteractiveModule(LightningModule):
    """Base of the methods. The user loop calls `segment` alone; it fills in the batch's clicks before a step."""

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) of the objects of a batch, given their clicks."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: the loop has played the batch, and the metrics' callback reads what it left."""

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: as in validation."""


def require(batch: dict[str, Any], *keys: str) -> None:
    """Raise `ValueError` for the first key that a batch lacks."""
    for key in keys:
        if key not in batch:
            raise ValueError(f"the batch has no {key!r} (it has {', '.join(sorted(batch))}); datamodules/base.py describes the keys")


def check_loss(loss: Tensor, batch: dict[str, Any]) -> None:
    """Raise `InputError` where a loss is not finite, naming the objects."""
    if not torch.isfinite(loss):
        raise InputError(f"the loss is {loss.item()} on objects {batch['id'].tolist()}; lower the learning rate or look at these objects")
