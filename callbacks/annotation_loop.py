"""The interaction of a task stream: before every round of a task a user annotates where the method's answer is wrong."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import Annotation, Annotator, Scene, no_annotation
from interseg.continual.superpixels import SuperpixelUser, superpixels

REFERENCE = 256 * 352
"""Pixels of the official code's images."""


class AnnotationLoop(Callback):
    """Fills in a round's annotations (datamodules/tasks.py), those of a task's earlier rounds included.

    A user who finds nothing to annotate is satisfied: the round's `new` is 0, and the method learns nothing.

    Args:
        user: annotates; superpixels by default.
        segments: about so many superpixels an image, whatever its size; about 1600 in the official code, whose images have 256 x 352
            pixels. The user's distances are for that size and scaled to others.
        seed: of users that draw.
    """

    def __init__(self, user: Annotator | None = None, segments: int = 1600, seed: int = 0) -> None:
        self.user, self.segments, self.seed = user or SuperpixelUser(), segments, seed
        self.task = (-1, -1)
        self.annotations: dict[int, Annotation] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Let the method answer and the user annotate."""
        if "task" not in batch:
            return
        if self.task != (batch["sequence"], batch["task"]):
            self.task, self.annotations = (batch["sequence"], batch["task"]), {}
        answer = pl_module.meet(batch)  # type: ignore[operator]
        predictions, unsure = answer.probabilities.argmax(1).byte().cpu().numpy(), answer.uncertainty.cpu().numpy()
        masks, images = batch["mask"].cpu().numpy(), (batch["image"] * 255).round().byte().movedim(1, -1).cpu().numpy()
        new = []
        for row, id in enumerate(batch["id"].tolist()):
            before = self.annotations.get(id, no_annotation(masks[row].shape))
            generator = np.random.default_rng((self.seed, batch["sequence"], batch["task"], batch["round"], id))
            segments = superpixels(images[row], self.segments)
            scene = Scene(predictions[row], masks[row], unsure[row], segments, before)
            given, things = self.user.annotate(scene, generator, self.scale(masks[row]))
            self.annotations[id] = np.where(given != IGNORE, given, before)
            new.append(things)
        batch["annotation"] = torch.from_numpy(np.stack([self.annotations[id] for id in batch["id"].tolist()])).to(batch["mask"].device)
        batch["new"] = torch.tensor(new)
        batch |= answer._asdict()

    def scale(self, mask: NDArray[np.uint8]) -> float:
        """That the user's distances are multiplied by in an image of this size."""
        return float(np.sqrt(mask.size / REFERENCE))

    def state_dict(self) -> dict[str, Any]:
        """The annotations of the task in progress."""
        return {"task": self.task, "annotations": {id: torch.from_numpy(given) for id, given in self.annotations.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.task = state_dict["task"]
        self.annotations = {id: given.numpy() for id, given in state_dict["annotations"].items()}
