"""The interaction of a stream of volumes.

Before every round a user labels slices, and a proxy mask follows from them.
"""

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.lookup import data_of
from callbacks.round_loop import RoundLoop
from interseg.batches import VolumeBatch
from interseg.distributed import from_all_ranks
from interseg.volumes.measures import count_touched, dice, labour, touched_only
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.slices import Mask, index
from interseg.volumes.stream import VolumeStream
from interseg.volumes.targets import Targets, fill
from interseg.volumes.users import SliceUser


class SliceLoop(RoundLoop[VolumeBatch]):
    """User of a stream of volumes, whose slices go into a `VolumeBatch` with what follows of them.

    Args:
        user: User who labels slices, by default one a plane; without interaction the protocol's
            `labels=whole` labels every volume wholly.
        registration: See `Targets`, as the others up to `inclusive`.
        confidence: "step" (eq. 12), "falling" (eq. 11) or "none".
        omega: Weight of eq. 12 that labelled slices have more.
        reach: Distance of eq. 11, in voxels, at which trust falls to 1 / e.
        inclusive: Whether two planes are merged by OR instead of AND.
        satisfied: Dice of proxy and truth above which the user labels no more; null for never.
        threads: Number of threads that register slices.
        seed: Seed of the user.
    """

    def __init__(
        self,
        user: SliceUser | None = None,
        registration: str = "dis",
        confidence: str = "step",
        omega: float = 4.0,
        reach: float = 5.0,
        inclusive: bool = False,
        satisfied: float | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.targets = Targets(registration, confidence, omega, reach, inclusive, threads)
        self.user, self.satisfied, self.seed = user or SliceUser(), satisfied, seed

    def begin_task(self, task: tuple[int, int]) -> None:
        """Discard the slices and the proxy mask of another volume."""
        super().begin_task(task)
        self.proxy: ProxyMask | None = None

    def annotate(
        self,
        trainer: Trainer,
        method: LightningModule,
        batch: VolumeBatch,
        answer: Tensor | None,
    ) -> None:
        """Let the user label slices of a volume."""
        truth = batch["mask"][0].cpu().numpy().astype(bool)
        batch["answer"] = None if answer is None else answer[0, 0].cpu().numpy()
        if data_of(trainer, VolumeStream).protocol.labels == "whole":
            batch["new"] = batch["round"] == 0
            axis = self.user.axes[0]
            labelled = touched_only({axis: range(truth.shape[axis])}, truth)
            fill(batch, truth, np.ones(truth.shape), labelled, 1.0)
            return
        proxy = self._proxy(batch, truth)
        batch["new"] = self._label(batch, proxy, truth, batch["answer"])
        self.given = proxy.labelled
        confidence = self.targets.confidence(truth.shape, self.given)
        cost = labour(touched_only(self.given, truth), count_touched(truth))
        fill(batch, self.targets.merged(proxy), confidence, self.given, cost)

    def _label(
        self,
        batch: VolumeBatch,
        proxy: ProxyMask,
        truth: Mask,
        probabilities: NDArray[np.floating] | None,
    ) -> bool:
        """Add the user's new slices to the proxy mask; return whether there are any."""
        before = self.targets.merged(proxy)
        satisfied = self.satisfied is not None and dice(before, truth) > self.satisfied
        place = (self.seed, batch["sequence"], int(batch["id"]), batch["round"])
        generator = np.random.default_rng((*place, 1))  # replay draws by `place`
        drawn: dict[int, dict[int, Mask]] = {}
        if not satisfied:
            drawn = self.user.annotate(before, truth, probabilities, proxy.labelled, generator)
        new = from_all_ranks(drawn)[0]  # ranks' own proxy masks may differ a little
        for axis, labels in new.items():
            proxy.label(axis, labels)
        return any(new.values())

    def _proxy(self, batch: VolumeBatch, truth: Mask) -> ProxyMask:
        """Return the volume's proxy mask, in a resumed run made of the slices labelled so far."""
        if self.proxy is None:
            self.proxy = self.targets.proxy(batch)
            for axis, numbers in self.given.items():
                labels = {number: truth[index(axis, number)] for number in numbers}
                self.proxy.label(axis, labels)
        return self.proxy
