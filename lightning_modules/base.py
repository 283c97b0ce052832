"""What every method shares with the loop: `segment`, and steps that leave the interaction to the callbacks."""

from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from interseg.errors import InputError


class InteractiveModule(LightningModule):
    """Base of the methods. The user loop calls `segment` alone; it fills in the batch's clicks before a step."""

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) of the objects of a batch, given their clicks."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        """Keep the run's seed."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed torch by (seed, step, rank): what a step draws (dropout) does not depend on where the run was resumed."""
        state = np.random.SeedSequence([self._seed, self.global_step, self.global_rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0] >> np.uint64(1)))

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
