"""What every method shares with the loop: `segment`, and steps that leave the interaction to the callbacks."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn import Parameter

from interseg.errors import InputError
from interseg.inference.predictor import Predictor
from interseg.inference.refine import Refiner
from interseg.inference.zoom import ZoomIn
from interseg.views import reduced


class InteractiveModule(LightningModule):
    """Base of the methods. The user loop calls `adapt` in evaluation; in training it fills in the batch's clicks before a step."""

    _predictor: Predictor | None = None
    long_side: int | None = None
    """In evaluation, larger images are reduced to it for the network; clicks and masks stay in the image's own pixels."""

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) of the objects of a batch, given their clicks."""
        raise NotImplementedError

    def shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What the network is shown of a batch: in evaluation images reduced to `long_side`, with their clicks."""
        return batch if self.training else reduced(batch, self.long_side)

    def start(self, batch: dict[str, Any]) -> Tensor | None:
        """Logits (B, 1, H, W) before the first click at test time; None for a method that says nothing without clicks."""
        return None

    def adapt(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) that answer a round's clicks at test time: `segment`, or what the test-time options make of the network.

        A method that learns or optimises at test time does it here; what it keeps of an object goes into `carried`.
        """
        return self._predictor(batch) if self._predictor else self.segment(batch)

    def answer_by(self, refiner: Refiner | None = None, zoom: ZoomIn | None = None, flip: bool = False) -> None:
        """Set the test-time options; raises `InputError` for a method without a click network."""
        if zoom is not None and not isinstance(zoom, ZoomIn):
            raise InputError(f"zoom is {zoom!r}; turn it on by --config zoom.yaml, then change its values")
        self._predictor = self.predictor(refiner, zoom, flip) if refiner or zoom or flip else None

    def predictor(self, refiner: Refiner | None, zoom: ZoomIn | None, flip: bool) -> Predictor:
        """The method's network with test-time options."""
        raise InputError(f"{type(self).__name__} has no click network: refiner, zoom and flip must stay null")

    def on_fit_start(self) -> None:
        """Keep the run's seed."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed torch by (seed, step, rank): what a step draws (dropout) does not depend on where the run was resumed."""
        torch.manual_seed(seed_of(self._seed, self.global_step, self.global_rank))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: the loop has played the batch, and the metrics' callback reads what it left."""

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: as in validation."""


def seed_of(*numbers: int) -> int:
    """A seed for torch that depends on all of some numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def update(module: LightningModule, loss: Tensor | Callable[[], None], limit: Callable[[], None] | None = None) -> None:
    """One step of a method that optimises by hand, on a loss or on what a function propagates back.

    `limit` may change the gradients before it.
    """
    optimizer: Any = module.optimizers()
    optimizer.zero_grad()
    if isinstance(loss, Tensor):
        module.manual_backward(loss)
    else:
        loss()
    if limit:
        limit()
    optimizer.step()


def spared(parameters: Iterable[Parameter]) -> Tensor | float:
    """0, as a function of parameters that a step leaves alone: several processes wait for every parameter's gradient."""
    return sum(0 * parameter.sum() for parameter in parameters)


def without_gradient(parameters: Iterable[Parameter]) -> None:
    """Let the optimiser pass parameters over: a gradient of 0 would still decay them, move them on and count as a step."""
    for parameter in parameters:
        parameter.grad = None


def require(batch: dict[str, Any], *keys: str) -> None:
    """Raise `ValueError` for the first key that a batch lacks."""
    for key in keys:
        if key not in batch:
            raise ValueError(f"the batch has no {key!r} (it has {', '.join(sorted(batch))}); datamodules/base.py describes the keys")


def check_loss(loss: Tensor, batch: dict[str, Any]) -> None:
    """Raise `InputError` where a loss is not finite, naming the objects."""
    if not torch.isfinite(loss):
        raise InputError(f"the loss is {loss.item()} on objects {batch['id'].tolist()}; lower the learning rate or look at these objects")
