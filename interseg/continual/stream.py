"""Contracts of task streams: methods that learn from them, data modules that give them.

The callbacks of streams see a method and its data through these alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from interseg.batches import TaskBatch


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


class TaskMethod(Protocol):
    """A method that learns from a stream of tasks."""

    network: nn.Module
    """Images (B, 3, H, W) to logits (B, C, H, W)."""

    def meet(self, batch: TaskBatch) -> Prediction:
        """Answer a task's images before a round."""

    def predict(
        self, images: Tensor, task: int | None = None, masks: Tensor | None = None
    ) -> Prediction:
        """Answer images of a task that this sequence has finished, or of one that was not met.

        Args:
            images: (B, 3, H, W), placed.
            task: 0, 1, ...; None for one that was not met.
            masks: (B, H, W) true classes, 255 = ignore, for a method that is asked what it could do
                at best.
        """

    def placed(self, images: Tensor) -> Tensor:
        """Move images to the device and into the precision of the weights."""

    def activation(self) -> list[Tensor]:
        """Return how far each layer's kernels are switched on, (K,) in [0, 1]; empty without gates."""

    def neighbour(self, images: Tensor) -> list[tuple[int, float, bool]]:
        """Find the task that each image (B, 3, H, W) is most like.

        Returns:
            The task, the distance to it, and whether that is near enough to begin with its kernels,
            for each image. Empty for a method that does not look, or before its first task.
        """


class TaughtMethod(TaskMethod, Protocol):
    """A method that a person may teach: it can say how long a round takes, and what it began with."""

    beginning: dict[str, Tensor]
    """State that every sequence starts from."""

    def updates(self, learns: bool, last: bool) -> int:
        """Return the number of updates of the weights that a round takes.

        Args:
            learns: something was annotated.
            last: it is the task's last.
        """


class TaskStream(Protocol):
    """A data module that gives sequences of tasks, and images to pretrain on."""

    classes: int
    """Number of classes."""
    length: int
    """Tasks of a sequence."""
    holdout: int
    """Images that are pretrained on."""

    def images_of(self, sequence: int) -> list[int]:
        """Return the images of a sequence, in order."""

    def batch_of(self, indices: Sequence[int]) -> TaskBatch:
        """Return images as one batch, not augmented."""

    def holdout_batch(self, count: int, start: int = 0) -> TaskBatch:
        """Return some of the images that are pretrained on, in a circle."""


class OpenStream(TaskStream, Protocol):
    """One sequence whose tasks have as many rounds as they need, and to which tasks may be added."""

    before: int
    """Tasks that the method had learned before the sequence."""

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next task after a task's last one."""
