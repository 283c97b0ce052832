"""The interaction of a stream of volumes with a person, who stands where the simulated user does.

See `callbacks/slice_loop.py`; updates and refined answers are told by `callbacks/lessons.py`.
"""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.round_loop import RoundLoop
from interseg.batches import VolumeBatch
from interseg.volumes.measures import estimate_labour
from interseg.volumes.targets import Targets, fill
from interseg.volumes.teacher import MetVolume, SliceTeacher


class PersonSlices(RoundLoop[VolumeBatch]):
    """Person who labels slices before every round of a volume.

    The proxy mask is made of all slices that the person has labelled, every round: some may have
    been drawn again.

    Args:
        teacher: Person's side.
        options: Arguments of `Targets`.
    """

    def __init__(self, teacher: SliceTeacher, **options: Any) -> None:
        super().__init__()
        self.teacher, self.targets = teacher, Targets(**options)

    def annotate(
        self,
        trainer: Trainer,
        method: LightningModule,
        batch: VolumeBatch,
        answer: Tensor | None,
    ) -> None:
        """Let the person label slices of a volume."""
        batch["answer"] = None if answer is None else answer[0, 0].cpu().numpy()
        place = (batch["task"], batch["round"], int(batch["id"]))
        told = self.teacher.meet(MetVolume(*place, batch["answer"]))
        proxy = self.targets.proxy(batch)
        for axis, labels in told.slices.items():
            proxy.label(axis, labels)
        self.given, merged = proxy.labelled, self.targets.merged(proxy)
        confidence = self.targets.confidence(merged.shape, self.given)
        fill(batch, merged, confidence, self.given, estimate_labour(self.given, merged))
        batch["new"], batch["last_round"] = told.new, int(told.last)
