"""The interaction of a task stream with a person, who stands where the simulated user does.

See `callbacks/annotation_loop.py`; updates and refined answers are told by `callbacks/lessons.py`.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer

from callbacks.annotation_loop import annotation_of, fill
from callbacks.lookup import data_of, find_method, method_of
from callbacks.round_loop import RoundLoop
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.stream import GatedMethod, OpenTasks, Prediction, TaughtMethod
from interseg.continual.superpixels import superpixels
from interseg.continual.teacher import Met, Teacher
from interseg.errors import InputError
from interseg.files import whole


class PersonLoop(RoundLoop[TaskBatch]):
    """Person who annotates before every round of a task, of one photo each.

    Args:
        teacher: Person's side.
        keep: File for what the method starts from, which takes long to make; it is not written
            again.
        segments: Number of superpixels of a photo, approximately.
    """

    def __init__(self, teacher: Teacher, keep: Path, segments: int = 1600) -> None:
        super().__init__()
        self.teacher, self.keep, self.segments = teacher, keep, segments

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what is started from, and tell who is taught."""
        if not self.keep.exists():
            beginning = method_of(pl_module, TaughtMethod).beginning
            state = {key: value.cpu() for key, value in beginning.items()}
            with whole(self.keep) as part:
                torch.save({"state_dict": state}, part)
        self.teacher.begin(Recalled(trainer, pl_module))

    def annotate(
        self,
        trainer: Trainer,
        method: LightningModule,
        batch: TaskBatch,
        answer: Prediction,
    ) -> None:
        """Let the person annotate the photo of a task."""
        if len(batch["id"]) != 1:
            given = f"a batch has {len(batch['id'])} photos"
            raise InputError(f"{given}; a person teaches one at a time")
        image = (batch["image"][0] * 255).round().byte().movedim(0, -1).cpu().numpy()
        mean, uncertainty, epistemic = (part[0].float().cpu().numpy() for part in answer)
        segments = superpixels(image, self.segments)
        gated = find_method(method, GatedMethod)
        found = gated.neighbour(batch["image"]) if gated else []
        before = data_of(trainer, OpenTasks).before
        neighbour = (found[0][0] - before, *found[0][1:]) if found else None
        place = (batch["task"], batch["round"])
        met = Met(*place, image, mean, uncertainty, epistemic, segments, neighbour)
        told = self.teacher.meet(met)
        id = int(batch["id"])
        known = annotation_of(self.given, id, image.shape[:2])
        annotation = np.where(told.annotation != IGNORE, told.annotation, known)
        self.given[id] = torch.from_numpy(annotation)
        batch["last_round"] = int(told.last)
        fill(batch, answer, self.given, [told.new])


class Recalled:
    """Method that is asked for earlier photos between two rounds.

    Neither its mode nor torch's draws are changed by that.

    Args:
        trainer: Trainer of the lessons.
        module: Method that is taught.
    """

    def __init__(self, trainer: Trainer, module: LightningModule) -> None:
        self.trainer, self.module = trainer, module

    def answer(self, task: int) -> NDArray[np.int64]:
        """Answer the photo of a task that is over; see `Student`."""
        data, method = data_of(self.trainer, OpenTasks), method_of(self.module, TaughtMethod)
        devices = [] if self.module.device.type == "cpu" else [self.module.device]
        training = self.module.training
        self.module.eval()
        try:
            with torch.random.fork_rng(devices=devices), torch.no_grad():
                torch.manual_seed(task)
                photo = data.batch_of([data.images_of(0)[task]])
                answer = method.predict(photo, data.before + task)
        finally:
            self.module.train(training)
        return answer.probabilities[0].argmax(0).cpu().numpy()
