"""Optimisation of a method's weights: optimiser, rates and schedule, one part of a config."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_warn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from interseg.errors import InputError

WARM = 0.25
"""Share of a training's steps above which a warm-up is too long."""


@dataclass(frozen=True)
class Optimisation:
    """An optimiser with a learning rate for each origin of weights.

    Args:
        optimizer: "adam", "adamw" or "sgd".
        learning_rate: Learning rate in full, before schedule and `rates`.
        rates: Learning rates by origin of weights ("clicks", "decoder", ...), the learning rate in
            multiples of `learning_rate`; 1 for the others.
        weight_decay: Weight decay of all weights; decoupled in AdamW.
        momentum: Momentum of SGD.
        nesterov: Nesterov's momentum (SGD).
        schedule: "constant", or "cosine" to 0 over the whole run.
        anew: Epochs at which schedule and warm-up begin anew, where a method's next phase does.
        milestones: Epochs and factors: from these epochs on the rate is multiplied by this factor
            (not by those of earlier milestones too).
        warmup: Number of steps of linear rise at the start.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-4
    rates: Mapping[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    schedule: str = "constant"
    milestones: Mapping[int, float] = field(default_factory=dict)
    warmup: int = 0
    anew: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.optimizer not in ("adam", "adamw", "sgd") or self.schedule not in (
            "constant",
            "cosine",
        ):
            raise InputError(
                f"optimizer={self.optimizer!r}, schedule={self.schedule!r}; use adam, adamw "
                "or sgd, and constant or cosine"
            )

    def __call__(
        self, module: LightningModule, parts: Mapping[str, list[Parameter]]
    ) -> dict[str, Any]:
        """Make the result of `configure_optimizers` for a module's weights by their origin.

        Raises `InputError` for a rate of no origin, and warns of a training that is mostly warm-up.
        """
        unknown = sorted(set(self.rates) - set(parts))
        if unknown:
            raise InputError(
                f"rates has {unknown[0]!r}; the weights of {type(module).__name__} come from "
                f"{', '.join(parts)}"
            )
        begin, end = self.phase(module)  # known where a schedule asks for it
        if self.schedule == "cosine" and self.warmup > WARM * (end - begin):
            rank_zero_warn(
                f"this training has {end - begin} steps, and the rate rises for {self.warmup} of "
                "them: give more trainer.max_epochs (or max_steps), or a lower "
                "model.optimisation.warmup; from a few photos rather fine-tune a network that "
                "ships (docs/how-to/own-data.md)"
            )
        groups = [
            {"params": weights, "lr": self.learning_rate * self.rates.get(origin, 1.0)}
            for origin, weights in parts.items()
        ]
        optimizer: Optimizer
        if self.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                groups,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=self.weight_decay,
            )
        else:
            kind = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
            optimizer = kind(groups, weight_decay=self.weight_decay)
        schedule = LambdaLR(optimizer, lambda step: self.factor(module, step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def factor(self, module: LightningModule, step: int) -> float:
        """Compute what the learning rates are multiplied by at a step."""
        begin, end = self.phase(module)
        warm = min(1.0, (step - begin + 1) / (self.warmup + 1))
        passed = [m for m in self.milestones if m <= next_epoch(module)]
        warm *= self.milestones[max(passed)] if passed else 1.0
        if self.schedule == "constant":
            return warm
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - begin) / max(1, end - begin))))

    def phase(self, module: LightningModule) -> tuple[int, int]:
        """Return the first step of the epoch's phase, and that of the next phase."""
        if not self.anew:
            return 0, count_steps(module) if self.schedule == "cosine" else 0
        epochs = int(module.trainer.max_epochs or 1)
        if epochs < 1:
            raise InputError("anew counts epochs: give trainer.max_epochs")
        a_step = count_steps(module) // epochs
        bounds = [0, *sorted(epoch for epoch in self.anew if 0 < epoch < epochs), epochs]
        now = max(i for i, epoch in enumerate(bounds[:-1]) if epoch <= next_epoch(module))
        return bounds[now] * a_step, bounds[now + 1] * a_step


def count_steps(module: LightningModule) -> int:
    """Count the steps of a training; raises `InputError` where only time ends it."""
    steps = module.trainer.estimated_stepping_batches
    if math.isinf(steps):
        raise InputError(
            "a schedule has to know its end: give trainer.max_epochs or trainer.max_steps beside "
            "max_time, or model.optimisation.schedule=constant"
        )
    return int(steps)


def next_epoch(module: LightningModule) -> int:
    """Return the epoch of the next step.

    An epoch's last step sets the rate of the next one's first; `current_epoch` is still the old.
    """
    progress = module.trainer.fit_loop.epoch_loop.batch_progress
    return module.current_epoch + int(progress.is_last_batch)


def check_decay(optimisation: Optimisation, reason: str) -> None:
    """Raise `InputError` for weight decay, which moves weights that have no gradient too."""
    if optimisation.weight_decay:
        raise InputError(
            f"optimisation.weight_decay is {optimisation.weight_decay:g}, and {reason}: "
            "give model.optimisation.weight_decay=0"
        )


def check_constant(optimisation: Optimisation, reason: str) -> None:
    """Raise `InputError` for rates that follow from a training's length."""
    if optimisation.schedule != "constant" or optimisation.milestones or optimisation.warmup:
        raise InputError(
            f"{reason}: give model.optimisation without schedule, milestones and warmup"
        )
