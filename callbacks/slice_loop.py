"""The interaction of a stream of volumes: before every round a user labels slices, and a proxy mask follows from them."""

from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.volumes.measures import dice, falling_confidence, labour, step_confidence, touched_slices
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import backend_of
from interseg.volumes.slices import index
from interseg.volumes.users import SliceUser


class SliceLoop(Callback):
    """Fills in `target`, `confidence` (1, 1, D, H, W), `proxy` (D, H, W), `labelled` (slices by axis) and `labour` (eq. 4) of a round.

    Further `new`, whether it labelled anything, and `answer`, the segmenter's (D, H, W) before it; None where nobody asked.

    Args:
        user: labels slices; null labels every volume wholly in its first round (dynamic learning without interaction).
        registration: "dis", "affine_spline", "affine" or "copy".
        confidence: "step" (eq. 12), "falling" (eq. 11) or "none".
        omega: of eq. 12, what labelled slices weigh more.
        reach: of eq. 11, the voxels at which trust falls to 1 / e.
        inclusive: merge two planes by OR instead of AND.
        satisfied: the Dice of proxy and truth above which the user labels no more; null for never.
        threads: that register slices.
        seed: of the user.
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
            raise InputError(f"threads={threads}, omega={omega}, reach={reach}; use a thread at least, weights from 0 on, a reach above 0")
        self.omega, self.reach = omega, reach
        self.user, self.carry, self.confidence, self.inclusive = user, backend_of(registration), confidence, inclusive
        self.satisfied, self.threads, self.seed = satisfied, threads, seed
        self.volume = (-1, -1)
        self.labelled: dict[int, list[int]] = {}
        self.proxy: ProxyMask | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Let the method answer and the user label."""
        truth = batch["mask"][0].cpu().numpy().astype(bool)
        if self.volume != (batch["sequence"], batch["task"]):
            self.volume, self.labelled, self.proxy = (batch["sequence"], batch["task"]), {}, None
        with trainer.precision_plugin.forward_context():  # Lightning enters it for steps, not for hooks
            answer = pl_module.meet(batch)  # type: ignore[operator]
        probabilities = None if answer is None else answer[0, 0].cpu().numpy()
        if self.user is None:
            self._fill(batch, truth, np.ones(truth.shape), batch["round"] == 0, 1.0)
        else:
            proxy = self._proxy(batch, truth)
            before = proxy.merged(inclusive=self.inclusive)
            new = {}
            if self.satisfied is None or dice(before, truth) <= self.satisfied:
                place = (self.seed, batch["sequence"], int(batch["id"]), batch["round"], 1)  # replay draws by the first four
                generator = np.random.default_rng(place)
                new = from_all_ranks(self.user.annotate(before, truth, probabilities, proxy.labelled, generator))[0]
            for axis, labels in new.items():
                proxy.label(axis, labels)
            self.labelled = proxy.labelled
            merged = proxy.merged(inclusive=self.inclusive)
            self._fill(batch, merged, self._confidence(truth.shape), any(new.values()), labour(self.labelled, touched_slices(truth)))
        batch["answer"], batch["labelled"] = probabilities, self.labelled

    def _proxy(self, batch: dict[str, Any], truth: np.ndarray) -> ProxyMask:
        """The volume's proxy mask; of a resumed run, made anew from the slices labelled so far."""
        if self.proxy is None:
            self.proxy = ProxyMask(batch["volume"][0, 0].float().cpu().numpy(), self.carry, self.threads)
            for axis, numbers in self.labelled.items():
                self.proxy.label(axis, {number: truth[index(axis, number)] for number in numbers})
        return self.proxy

    def _confidence(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.confidence == "none":
            return np.ones(shape)
        if self.confidence == "step":
            return step_confidence(shape, self.labelled, self.omega)
        return falling_confidence(shape, self.labelled, self.reach)

    def _fill(self, batch: dict[str, Any], mask: np.ndarray, confidence: np.ndarray, new: bool, cost: float) -> None:
        batch["proxy"], batch["new"], batch["labour"] = mask, new, cost
        for name, value in (("target", mask), ("confidence", confidence)):
            batch[name] = torch.from_numpy(np.asarray(value)).to(batch["volume"])[None, None]

    def state_dict(self) -> dict[str, Any]:
        """The slices of the volume in progress."""
        return {"volume": self.volume, "labelled": self.labelled}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.volume, self.labelled, self.proxy = tuple(state_dict["volume"]), dict(state_dict["labelled"]), None
