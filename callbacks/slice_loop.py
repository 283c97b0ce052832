"""The interaction of a stream of volumes.

Before every round a user labels slices, and a proxy mask follows from them.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import method_of
from interseg.batches import VolumeBatch
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.volumes.measures import (
    count_touched,
    dice,
    falling_confidence,
    labour,
    step_confidence,
)
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import backend_of
from interseg.volumes.slices import Mask, index
from interseg.volumes.stream import VolumeMethod
from interseg.volumes.users import SliceUser


class SliceLoop(Callback):
    """User of a stream of volumes, whose slices go into a `VolumeBatch` with what follows of them.

    Args:
        user: User who labels slices; null labels every volume wholly in its first round (dynamic
            learning without interaction).
        registration: "dis", "affine_spline", "affine" or "copy".
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
        if confidence not in ("step", "falling", "none"):
            raise InputError(f"confidence is {confidence!r}; use step, falling or none")
        if threads < 1 or omega < 0 or reach <= 0:
            given = f"threads={threads}, omega={omega}, reach={reach}"
            raise InputError(f"{given}; use a thread at least, weights from 0 on, a reach above 0")
        self.omega, self.reach, self.confidence = omega, reach, confidence
        self.user, self.carry, self.inclusive = user, backend_of(registration), inclusive
        self.satisfied, self.threads, self.seed = satisfied, threads, seed
        self.volume = (-1, -1)
        self.labelled: dict[int, list[int]] = {}
        self.proxy: ProxyMask | None = None

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: VolumeBatch,
        batch_idx: int,
    ) -> None:
        """Let the method answer and the user label."""
        truth = batch["mask"][0].cpu().numpy().astype(bool)
        if self.volume != (batch["sequence"], batch["task"]):
            self.volume, self.labelled, self.proxy = (batch["sequence"], batch["task"]), {}, None
        method = method_of(pl_module, VolumeMethod)
        with trainer.precision_plugin.forward_context():  # Lightning enters it for steps, not hooks
            answer = method.meet(batch)
        probabilities = None if answer is None else answer[0, 0].cpu().numpy()
        if self.user is None:
            self._fill(batch, truth, np.ones(truth.shape), batch["round"] == 0, 1.0)
        else:
            new = self._label(batch, truth, probabilities, self.user)
            merged = self._proxy(batch, truth).merge(inclusive=self.inclusive)
            cost = labour(self.labelled, count_touched(truth))
            self._fill(batch, merged, self._confidence(truth.shape), new, cost)
        batch["answer"], batch["labelled"] = probabilities, self.labelled

    def _label(
        self,
        batch: VolumeBatch,
        truth: Mask,
        probabilities: NDArray[np.floating] | None,
        user: SliceUser,
    ) -> bool:
        """Add the user's new slices to the proxy mask; return whether there are any."""
        proxy = self._proxy(batch, truth)
        before = proxy.merge(inclusive=self.inclusive)
        new: dict[int, dict[int, Mask]] = {}
        if self.satisfied is None or dice(before, truth) <= self.satisfied:
            place = (self.seed, batch["sequence"], int(batch["id"]), batch["round"])
            generator = np.random.default_rng((*place, 1))  # replay draws by `place`
            given = user.annotate(before, truth, probabilities, proxy.labelled, generator)
            new = from_all_ranks(given)[0]
        for axis, labels in new.items():
            proxy.label(axis, labels)
        self.labelled = proxy.labelled
        return any(new.values())

    def _proxy(self, batch: VolumeBatch, truth: Mask) -> ProxyMask:
        """Return the volume's proxy mask, in a resumed run made of the slices labelled so far."""
        if self.proxy is None:
            volume = batch["volume"][0, 0].float().cpu().numpy()
            self.proxy = ProxyMask(volume, self.carry, self.threads)
            for axis, numbers in self.labelled.items():
                labels = {number: truth[index(axis, number)] for number in numbers}
                self.proxy.label(axis, labels)
        return self.proxy

    def _confidence(self, shape: tuple[int, ...]) -> NDArray[np.floating]:
        if self.confidence == "none":
            return np.ones(shape)
        if self.confidence == "step":
            return step_confidence(shape, self.labelled, self.omega)
        return falling_confidence(shape, self.labelled, self.reach)

    def _fill(
        self,
        batch: VolumeBatch,
        mask: Mask,
        confidence: NDArray[np.floating],
        new: bool,
        cost: float,
    ) -> None:
        batch["proxy"], batch["new"], batch["labour"] = mask, new, cost
        maps = (torch.from_numpy(np.asarray(value)) for value in (mask, confidence))
        batch["target"], batch["confidence"] = (m.to(batch["volume"])[None, None] for m in maps)

    def state_dict(self) -> dict[str, Any]:
        """Return the slices of the volume in progress."""
        return {"volume": self.volume, "labelled": self.labelled}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.volume, self.proxy = tuple(state_dict["volume"]), None
        self.labelled = dict(state_dict["labelled"])
