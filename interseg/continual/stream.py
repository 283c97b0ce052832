"""Contracts of streams, of tasks and of volumes: methods that learn round by round, data modules.

The callbacks of streams see a method and its data through these and `interseg/volumes/stream.py`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from interseg.batches import Round, TaskBatch
from interseg.continual.protocol import StreamProtocol

Batch = TypeVar("Batch", bound=Round, contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class RoundMethod(Protocol[Batch, Answer]):
    """A method that learns a stream in rounds, each a batch.

    The loop calls `begin_round` and lets the user annotate; the training step learns by
    `learn_round`, and answers again.
    """

    def begin_round(self, batch: Batch) -> Answer | None:
        """Answer a batch before its round; None before the first volume of a cold start.

        The first round begins the task, and the first task of a sequence begins with the weights
        that sequences start from.
        """

    def updates(self, batch: Batch) -> int:
        """Count the updates of the weights that a round takes, once its user has annotated."""

    def learn(self, batch: Batch) -> None:
        """Learn from what the user has given so far, if something of it is new."""

    def finish(self, batch: Batch) -> None:
        """Consolidate a task after its last round."""

    def predict(self, batch: Batch, task: int | None = None) -> Answer:
        """Answer a batch outside its rounds, with all that has been learned.

        Args:
            batch: Images or a volume.
            task: Number of its task, if this sequence has finished that one; None for another.
        """


def learn_round(method: RoundMethod[Any, Any], batch: Round) -> None:
    """Let a method learn a round, and consolidate the task after its last one."""
    method.learn(batch)
    if batch["last_round"]:
        method.finish(batch)


class Prediction(NamedTuple):
    """Answer of a method to images."""

    probabilities: Tensor
    """(B, C, H, W)."""
    uncertainty: Tensor
    """(B, H, W) in nats: the entropy of the probabilities."""
    epistemic: Tensor
    """(B, H, W) its part that more learning would take away, 0 for a method of one draw; in nats.

    The rest is aleatoric.
    """


def join_predictions(answers: Sequence[Prediction]) -> Prediction:
    """Join the answers to single images to that to a batch."""
    return Prediction(*(torch.cat(part) for part in zip(*answers, strict=True)))


class TaskMethod(RoundMethod[TaskBatch, Prediction], Protocol):
    """A method that learns from a stream of tasks."""

    network: nn.Module
    """Images (B, 3, H, W) to logits (B, C, H, W)."""


class TaughtMethod(TaskMethod, Protocol):
    """A method that a person may teach: it can say what it began with."""

    beginning: dict[str, Tensor]
    """State that every sequence starts from."""


class GatedMethod(Protocol):
    """A method with kernels that each task switches on or off."""

    def activation(self) -> list[Tensor]:
        """Return how far each layer's kernels are switched on, (K,) in [0, 1]."""

    def neighbour(self, images: Tensor) -> list[tuple[int, float, bool]]:
        """Find the task that each image (B, 3, H, W) is most like.

        Returns:
            The task, the distance to it, and whether that is near enough to begin with its kernels,
            for each image. Empty before the first task.
        """


class TaskStream(Protocol):
    """A data module that gives sequences of tasks, and images to pretrain on."""

    classes: int
    """Number of classes."""
    length: int
    """Tasks of a sequence."""
    protocol: StreamProtocol
    pretraining_images: int
    """Number of images that are pretrained on."""

    def images_of(self, sequence: int) -> list[int]:
        """Return the images of a sequence, in order."""

    def batch_of(self, indices: Sequence[int]) -> TaskBatch:
        """Return images as one batch, not augmented."""

    def pretraining_batch(self, count: int, start: int = 0) -> TaskBatch:
        """Return some of the images that are pretrained on, in a circle."""


class OpenStream(Protocol):
    """One sequence whose tasks have as many rounds as they need, and which may become longer."""

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next task after a task's last one."""


class OpenTasks(TaskStream, OpenStream, Protocol):
    """An open sequence of tasks."""

    before: int
    """Tasks that the method had learned before the sequence."""
