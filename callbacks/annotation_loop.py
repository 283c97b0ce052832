"""The interaction of a task stream.

Before every round of a task a user annotates where the method's answer is wrong.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.round_loop import RoundLoop
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import Annotation, Annotator, AnsweredImage, no_annotation
from interseg.continual.stream import Prediction
from interseg.continual.superpixels import SuperpixelUser, superpixels
from interseg.distributed import from_all_ranks

REFERENCE = 256 * 352
"""Pixels of the official code's images."""


class AnnotationLoop(RoundLoop[TaskBatch]):
    """User of a task stream, whose annotations of all rounds of a task go into its `TaskBatch`.

    A user who finds nothing to annotate is satisfied: the round's `new` is 0, and the method learns
    nothing.

    Args:
        user: Annotator; of superpixels by default.
        segments: Number of superpixels of an image, approximately, whatever its size; about 1600 in
            the official code, whose images have 256 x 352 pixels. The user's distances are for that
            size and scaled to others.
        seed: Seed of users that draw.
    """

    def __init__(
        self,
        user: Annotator | None = None,
        segments: int = 1600,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.user, self.segments, self.seed = user or SuperpixelUser(), segments, seed

    def annotate(
        self,
        trainer: Trainer,
        method: LightningModule,
        batch: TaskBatch,
        answer: Prediction,
    ) -> None:
        """Let the user annotate each image of a task."""
        predictions = answer.probabilities.argmax(1).byte().cpu().numpy()
        unsure, epistemic = (part.float().cpu().numpy() for part in answer[1:])
        masks = batch["mask"].cpu().numpy()
        images = (batch["image"] * 255).round().byte().movedim(1, -1).cpu().numpy()
        place = (self.seed, batch["sequence"], batch["task"], batch["round"])
        new = []
        for row, id in enumerate(batch["id"].tolist()):
            before = annotation_of(self.given, id, masks[row].shape)
            segments = superpixels(images[row], self.segments)
            answered = AnsweredImage(
                predictions[row], masks[row], unsure[row], segments, before, epistemic[row]
            )
            generator = np.random.default_rng((*place, id))
            drawn = self.user.annotate(answered, generator, self.scale(masks[row]))
            given, things = from_all_ranks(drawn)[0]  # on GPUs ranks' answers differ a little
            self.given[id] = torch.from_numpy(np.where(given != IGNORE, given, before))
            new.append(things)
        fill(batch, answer, self.given, new)

    def scale(self, mask: NDArray[np.uint8]) -> float:
        """Return the factor of the user's distances in an image of this size."""
        return float(np.sqrt(mask.size / REFERENCE))


def annotation_of(given: dict[int, Tensor], id: int, shape: tuple[int, ...]) -> Annotation:
    """Return an image's annotation so far, (H, W) classes and 255 where there is none."""
    return given[id].numpy() if id in given else no_annotation(shape)


def fill(
    batch: TaskBatch,
    answer: Prediction,
    given: dict[int, Tensor],
    new: list[int],
) -> None:
    """Put into a round what its method and its user have said.

    Args:
        batch: Round, which is changed.
        answer: Answer before it.
        given: Annotations (H, W) of the task so far, by the images' numbers.
        new: Number of things that were annotated in this round, of each image.
    """
    annotations = [given[id] for id in batch["id"].tolist()]
    batch["new"] = torch.tensor(new)
    batch["annotation"] = torch.stack(annotations).to(batch["mask"].device)
    batch["probabilities"], batch["uncertainty"], batch["epistemic"] = answer
