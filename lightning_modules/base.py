"""Base of the methods: `segment`, and steps that leave the interaction to the callbacks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn import Parameter

from interseg.batches import ClickBatch
from interseg.clicks.layout import REGION
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.refinements import Refinements
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.inference.segmenter import Answer
from interseg.views import Side, reduce_batch, reduce_image


class InteractiveModule(LightningModule):
    """Base of the methods, each a segmenter of sessions (`interseg/inference/segmenter.py`).

    In evaluation the user loop plays sessions of it; in training it fills in the batch's clicks
    before a step.
    """

    answers_clicks: bool = True
    """Whether sessions can be opened with it; False for methods that learn a stream."""
    outputs: int = 1
    """Number of logits a pixel: 1 of an object against background, else one a class."""
    kinds: Sequence[int] = (REGION,)
    """Kinds of clicks that the method knows."""
    uses_previous_mask: bool = False
    """Whether training gives the mask before this round: (B, H, W) bool `previous`."""
    soft_previous: bool = False
    """Whether the mask before a round is given as probabilities: (B, H, W) float32 `previous`."""
    warm: bool = False
    """Whether training starts from another run's weights (train.py's `weights`)."""
    inference: InferenceOptions = InferenceOptions()
    """Test-time options."""
    long_side: Side = None
    """In evaluation, larger images are reduced to it for the network, or all resized; clicks and
    masks stay in the image's own pixels."""

    @property
    def contributions(self) -> list[Contribution]:
        """Figures of an evaluation that this method has of its own."""
        return [Refinements()] if self.inference.refiner else []

    @property
    def iterates(self) -> bool:
        """Whether the training step learns from clicks that the loop adds to the first ones."""
        return True

    def segment(self, batch: Any) -> Tensor:
        """Compute logits (B, K, H, W) of the objects of a `ClickBatch`, given their clicks."""
        raise NotImplementedError

    def shown(self, batch: ClickBatch) -> ClickBatch:
        """Give the batch as the network sees it.

        In evaluation its images are reduced to `long_side`, with their clicks.
        """
        return batch if self.training else reduce_batch(batch, self.long_side)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute what does not depend on clicks, once an image: here the reduced one."""
        return reduce_image(images, self.long_side)

    def start(self, batch: ClickBatch) -> Tensor | None:
        """Compute logits (B, K, H, W) before the first click at test time.

        None for a method that says nothing without clicks.
        """
        return None

    def answer(self, batch: ClickBatch) -> Answer:
        """Answer a round's clicks at test time, plainly or with the test-time options.

        A method that learns or optimises at test time does it here; what it keeps of an object is
        its new state.
        """
        return self.plain_answer(batch) if self.inference.plain else self.predictor()(batch)

    def plain_answer(self, batch: ClickBatch) -> Answer:
        """Answer a round's clicks by `segment`, in training's inner rounds too.

        A method with a state of an object overrides it.
        """
        return Answer(self.segment(batch), batch["states"])

    def predictor(self) -> Predictor:
        """Make the predictor that answers with the test-time options, for a click network."""
        raise InputError(
            f"{type(self).__name__} has no click network: leave refiner, zoom and flip out"
        )

    def untrained(self, epoch: int) -> str:
        """Say what of the answers a training has not learned that ended in an epoch, from 0 on.

        Nothing is said where all of it has begun to learn.
        """
        return ""

    def on_fit_start(self) -> None:
        """Keep the run's seed."""
        self.check_precision(str(self.trainer.precision))
        self._seed = torch.initial_seed()

    def check_precision(self, precision: str) -> None:
        """Raise `InputError` for a precision in which nothing is learned."""
        if precision == "16-true":
            raise InputError(
                "trainer.precision is 16-true, in which sums over pixels are infinite and small "
                "steps 0; give 16-mixed or bf16-mixed"
            )

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed torch by (seed, step, rank), so that a step's draws (dropout) survive a resume.

        Of batches whose gradients are accumulated each has draws of its own.
        """
        place = [self._seed, self.global_step, self.global_rank]
        batches = self.trainer.accumulate_grad_batches
        if batches > 1:
            place.append(batch_idx % batches)
        torch.manual_seed(seed_of(*place))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Do nothing: the loop has played the batch, and a callback reads the outcome."""

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Do nothing, as in validation."""


def protocol_of(module: LightningModule) -> StreamProtocol:
    """Return what the data of a fit play; loaders without a data module are an offline training."""
    data = module.trainer.datamodule  # type: ignore[attr-defined]
    found: StreamProtocol | None = getattr(data, "protocol", None)
    return found or StreamProtocol("offline")


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the entries of a state below a prefix, such as "network.", which is removed."""
    chosen = (key for key in state if key.startswith(prefix))
    return {key.removeprefix(prefix): state[key] for key in chosen}


def seed_of(*numbers: int) -> int:
    """Make a seed for torch that depends on all of some numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def update(module: LightningModule, loss: Tensor | Callable[[], None]) -> None:
    """Take a step of a method that optimises by hand.

    It is on a loss, or on gradients that a function propagates back.
    """
    optimizer: Any = module.optimizers()
    optimizer.zero_grad()
    if isinstance(loss, Tensor):
        module.manual_backward(loss)
    else:
        loss()
    optimizer.step()


def spare(parameters: Iterable[Parameter]) -> Tensor | float:
    """Make a 0 that depends on parameters which a step leaves alone.

    Several processes wait for every parameter's gradient.
    """
    return sum(0 * parameter.sum() for parameter in parameters)


def without_gradient(parameters: Iterable[Parameter]) -> None:
    """Remove gradients, so that the optimiser leaves parameters unchanged.

    A gradient of 0 would still decay them, move them by momentum and count as a step.
    """
    for parameter in parameters:
        parameter.grad = None


def check_loss(loss: Tensor, batch: Mapping[str, Any]) -> None:
    """Raise `InputError` where a loss is not finite, naming the objects."""
    if not torch.isfinite(loss):
        raise InputError(
            f"the loss is {loss.item()} on objects {batch['id'].tolist()}; lower the learning "
            "rate or look at these objects"
        )
