"""The interaction of a task stream with a person, who stands where the simulated user does (`callbacks/annotation_loop.py`)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from torch.optim import Optimizer

from callbacks.annotation_loop import AnnotationLoop
from callbacks.lookup import data_of, method_of
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.annotations import no_annotation
from interseg.continual.stream import OpenStream, Prediction, TaughtMethod
from interseg.continual.superpixels import superpixels
from interseg.continual.teacher import Learned, Met, Teacher
from interseg.errors import InputError
from interseg.files import whole


class PersonLoop(AnnotationLoop):
    """Asks a person before every round of a task, of one photo each, and tells of updates and refined answers.

    The person says when a photo is done: then its round is made the last one, and the stream goes
    on.

    Args:
        teacher: The person's side.
        keep: File for what the method starts from, which takes long to make; it is not written
            again.
        segments: Number of superpixels of a photo, approximately.
    """

    def __init__(self, teacher: Teacher, keep: Path, segments: int = 1600) -> None:
        super().__init__(segments=segments)
        self.teacher, self.keep = teacher, keep
        self.updates, self.of = 0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what is started from, and tell who is taught."""
        if not self.keep.exists():
            state = {
                key: value.cpu()
                for key, value in method_of(pl_module, TaughtMethod).beginning.items()
            }
            with whole(self.keep) as part:
                torch.save({"state_dict": state}, part)
        self.teacher.begin(Recalled(trainer, pl_module))

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Let the method answer and the person annotate."""
        if len(batch["id"]) != 1:
            raise InputError(
                f"a batch has {len(batch['id'])} photos; a person teaches one at a time"
            )
        self.method, self.before = (
            method_of(pl_module, TaughtMethod),
            data_of(trainer, OpenStream).before,
        )
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        learns = bool(batch["new"].any())
        self.updates, self.of = 0, self.method.updates(learns, bool(batch["last_round"]))

    def _annotate(self, batch: TaskBatch, answer: Prediction) -> list[int]:
        """Add what the person annotates to the photo's annotations; return how much that is."""
        image = (batch["image"][0] * 255).round().byte().movedim(0, -1).cpu().numpy()
        probabilities, uncertainty, epistemic = (part[0].float().cpu().numpy() for part in answer)
        found: Any = self.method.neighbour(batch["image"])
        neighbour = (found[0][0] - self.before, *found[0][1:]) if found else None
        segments = superpixels(image, self.segments)
        place = batch["task"], batch["round"]
        told = self.teacher.meet(
            Met(*place, image, probabilities, uncertainty, epistemic, segments, neighbour)
        )
        id = int(batch["id"])
        before = self.annotations.get(id, no_annotation(image.shape[:2]))
        self.annotations[id] = np.where(told.annotation != IGNORE, told.annotation, before)
        batch["last_round"] = int(told.last)
        return [told.new]

    def on_before_optimizer_step(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        optimizer: Optimizer,
    ) -> None:
        """Tell of an update."""
        self.updates += 1
        self.teacher.update(self.updates, max(self.of, self.updates))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Tell of the refined answer, and go on."""
        last = bool(batch["last_round"])
        activation = [
            layer.float().cpu().numpy() for layer in method_of(pl_module, TaughtMethod).activation()
        ]
        refined = outputs["probabilities"][0].float().cpu().numpy()
        self.teacher.learned(Learned(batch["task"], batch["round"], last, refined, activation))
        data_of(trainer, OpenStream).advance(last)


class Recalled:
    """A method that is asked for earlier photos between two rounds; neither its mode nor torch's draws remember it.

    Args:
        trainer: That teaches.
        module: The method.
    """

    def __init__(self, trainer: Trainer, module: LightningModule) -> None:
        self.trainer, self.module = trainer, module

    def answer(self, task: int) -> NDArray[np.int64]:
        """Answer the photo of a task that is over; see `Student`."""
        data, method = data_of(self.trainer, OpenStream), method_of(self.module, TaughtMethod)
        devices = [] if self.module.device.type == "cpu" else [self.module.device]
        training = self.module.training
        self.module.eval()
        try:
            with torch.random.fork_rng(devices=devices), torch.no_grad():
                torch.manual_seed(task)
                images = data.batch_of([data.images_of(0)[task]])["image"]
                answer = method.predict(method.placed(images), data.before + task)
        finally:
            self.module.train(training)
        return answer.probabilities[0].argmax(0).cpu().numpy()
