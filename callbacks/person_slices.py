"""The interaction of a stream of volumes with a person, who stands where the simulated user does (`callbacks/slice_loop.py`)."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch.optim import Optimizer

from callbacks.lookup import data_of, method_of
from callbacks.slice_loop import SliceLoop
from interseg.batches import VolumeBatch
from interseg.volumes.measures import estimate_labour
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.stream import OpenVolumes, TaughtVolumeMethod
from interseg.volumes.teacher import LearnedVolume, MetVolume, SliceTeacher


class PersonSlices(SliceLoop):
    """Asks a person before every round of a volume, and tells of updates and refined answers.

    The proxy mask is made of all slices that the person has labelled, every round: some may have
    been drawn again.

    Args:
        teacher: The person's side.
        options: of `SliceLoop`.
    """

    def __init__(self, teacher: SliceTeacher, **options: Any) -> None:
        super().__init__(**options)
        self.teacher = teacher
        self.updates, self.of = 0, 0

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: VolumeBatch,
        batch_idx: int,
    ) -> None:
        """Let the method answer and the person label."""
        method = method_of(pl_module, TaughtVolumeMethod)
        with trainer.precision_plugin.forward_context():  # Lightning enters it for steps, not hooks
            answer = method.meet(batch)
        probabilities = None if answer is None else answer[0, 0].cpu().numpy()
        told = self.teacher.meet(
            MetVolume(batch["task"], batch["round"], int(batch["id"]), probabilities)
        )
        proxy = ProxyMask(batch["volume"][0, 0].float().cpu().numpy(), self.carry, self.threads)
        for axis, labels in told.slices.items():
            proxy.label(axis, labels)
        self.labelled, merged = proxy.labelled, proxy.merge(inclusive=self.inclusive)
        cost = estimate_labour(self.labelled, merged)
        self._fill(batch, merged, self._confidence(merged.shape), told.new, cost)
        batch["answer"], batch["labelled"], batch["last_round"] = (
            probabilities,
            self.labelled,
            int(told.last),
        )
        self.updates, self.of = 0, method.updates(batch["round"]) if told.new else 0

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
        batch: VolumeBatch,
        batch_idx: int,
    ) -> None:
        """Tell of the refined answer, and go on."""
        last = bool(batch["last_round"])
        refined = outputs["probabilities"][0, 0].float().cpu().numpy()
        self.teacher.learned(LearnedVolume(batch["task"], batch["round"], last, refined))
        data_of(trainer, OpenVolumes).advance(last)
