"""The interaction of a task stream.

Before every round of a task a user annotates where the method's answer is wrong.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import method_of
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import Annotation, Annotator, Scene, no_annotation
from interseg.continual.stream import Prediction, TaskMethod
from interseg.continual.superpixels import SuperpixelUser, superpixels

REFERENCE = 256 * 352
"""Pixels of the official code's images."""


class AnnotationLoop(Callback):
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
        self.user, self.segments, self.seed = user or SuperpixelUser(), segments, seed
        self.task = (-1, -1)
        self.annotations: dict[int, Annotation] = {}

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Let the method answer and the user annotate."""
        if "task" not in batch:
            return
        if self.task != (batch["sequence"], batch["task"]):
            self.task, self.annotations = (batch["sequence"], batch["task"]), {}
        answer = method_of(pl_module, TaskMethod).meet(batch)
        batch["new"] = torch.tensor(self._annotate(batch, answer))
        given = np.stack([self.annotations[id] for id in batch["id"].tolist()])
        batch["annotation"] = torch.from_numpy(given).to(batch["mask"].device)
        batch["probabilities"], batch["uncertainty"], batch["epistemic"] = answer

    def _annotate(self, batch: TaskBatch, answer: Prediction) -> list[int]:
        """Add what the user annotates to each image's annotations; return how much that is."""
        predictions = answer.probabilities.argmax(1).byte().cpu().numpy()
        unsure, epistemic = answer.uncertainty.cpu().numpy(), answer.epistemic.cpu().numpy()
        masks = batch["mask"].cpu().numpy()
        images = (batch["image"] * 255).round().byte().movedim(1, -1).cpu().numpy()
        place = (self.seed, batch["sequence"], batch["task"], batch["round"])
        new = []
        for row, id in enumerate(batch["id"].tolist()):
            before = self.annotations.get(id, no_annotation(masks[row].shape))
            segments = superpixels(images[row], self.segments)
            scene = Scene(
                predictions[row], masks[row], unsure[row], segments, before, epistemic[row]
            )
            generator = np.random.default_rng((*place, id))
            given, things = self.user.annotate(scene, generator, self.scale(masks[row]))
            self.annotations[id] = np.where(given != IGNORE, given, before)
            new.append(things)
        return new

    def scale(self, mask: NDArray[np.uint8]) -> float:
        """Return the factor of the user's distances in an image of this size."""
        return float(np.sqrt(mask.size / REFERENCE))

    def state_dict(self) -> dict[str, Any]:
        """Return the annotations of the task in progress."""
        annotations = {id: torch.from_numpy(given) for id, given in self.annotations.items()}
        return {"task": self.task, "annotations": annotations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.task = state_dict["task"]
        self.annotations = {id: given.numpy() for id, given in state_dict["annotations"].items()}
