"""Cost of a training step: iterative clicks against plain ones, kept features against encoding.

A step is the loop's two hooks, forward, backward and the optimiser, in a real Lightning Trainer.
Each batch, loaded in advance, is trained on twice: iteratively, then plainly with the very clicks
of the iterative step, so that both encode the same number of clicks and drifts of the machine
cancel. The first epoch, when the memory is empty, is left out.

    python -m benchmarks.training_step [--config itis.yaml --config data/NAME.yaml] [key=value ...]

With `--features` a network that encodes once is trained on each batch three times: on kept
features, with its frozen encoder run in the step, and with the gradient of an encoder that is
fine-tuned. Features are kept in memory, and filled before they are timed. With
`callbacks.features.crop` the first two train on parts of the view, cut from the whole view's
features; a fine-tuned encoder sees all of it.

    python -m benchmarks.training_step --features --config itis/once.yaml --config data/NAME.yaml
    [key=value ...]
"""

import statistics
import time
from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything

from benchmarks.played import build_arguments
from callbacks.features import KeptFeatures
from callbacks.user_loop import UserLoop
from configs import build, load, resolve
from configs.console import run_guarded
from configs.options import parser
from configs.run import needs
from datamodules.base import ClickDataModule
from interseg.batches import ClickBatch

DEFAULT = ["small.yaml", "data/samples.yaml"]
KINDS = (True, False)
WAYS = ("kept", "encoded", "fine-tuned")


class TimedLoop(UserLoop):
    """A loop that is iterative on every other step, and keeps the times of each step.

    They are seconds of the hook before, of the step, and of the hook after.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.times: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
        self.click_counts: list[float] = []
        self.clicks, self.marks = torch.empty(0), (0.0, 0.0)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, batch_idx: int
    ) -> None:
        """Time the hook; a plain step gets the clicks of the iterative step before it."""
        self.iterative = batch_idx % 2 == 0
        if not self.iterative:
            batch["clicks"] = self.clicks
        started = now()
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self.clicks, self.marks = batch["clicks"], (started, now())

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: ClickBatch,
        batch_idx: int,
    ) -> None:
        """Time the hook and the step before it."""
        ended = now()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if trainer.current_epoch > 0:
            started, stepped = self.marks
            times = (stepped - started, ended - stepped, now() - ended)
            self.times[self.iterative].append(times)
            clicks = float((batch["clicks"][..., 2] >= 0).sum())
            self.click_counts.append(clicks / len(batch["clicks"]))


class TimedFeatures(KeptFeatures):
    """Features from the store, from the encoder, and from one that learns, in turn, with times."""

    def __init__(self, crop: float | None) -> None:
        super().__init__(folder=None, limit=1e3, crop=crop)
        self.times: dict[str, list[float]] = {way: [] for way in WAYS}
        self.started = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, batch_idx: int
    ) -> None:
        """Give the batch the features of its way; only filling the store is not timed."""
        network: Any = pl_module.network
        way = WAYS[batch_idx % len(WAYS)]
        learn_encoder(network, way == "fine-tuned")
        if way == "kept" and self.store is not None:
            self.store.features(batch["image"], network.features)
        self.started = now()
        if way == "kept":
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if way == "encoded":
            batch["features"] = network.features(batch["image"])
            self.cut(batch, trainer.current_epoch, network.encoder.divisor)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: ClickBatch,
        batch_idx: int,
    ) -> None:
        """Note the time since, from the second epoch on."""
        if trainer.current_epoch > 0:
            self.times[WAYS[batch_idx % len(WAYS)]].append(now() - self.started)
        learn_encoder(pl_module.network, False)


def learn_encoder(network: Any, learns: bool) -> None:
    """Let a network's encoder have a gradient, or drop it."""
    network.encoder.frozen = not learns
    network.encoder.model.requires_grad_(learns)
    network.encoder.model.zero_grad()


class Repeated:
    """Every training batch of an epoch several times in a row; loaded when the epoch begins."""

    def __init__(self, data: ClickDataModule, count: int) -> None:
        self.loader, self.count, self.epoch = data.train_dataloader(), count, 0

    def __len__(self) -> int:
        return self.count * len(self.loader)

    def __iter__(self) -> Iterator[ClickBatch]:
        self.loader.batch_sampler.sampler.set_epoch(self.epoch)  # type: ignore[union-attr]
        self.epoch += 1
        batches = []
        for batch in list(self.loader):
            batches += [copy(batch) for _ in range(self.count)]
        return iter(batches)


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--steps", type=int, default=40, help="at least so many of each kind are timed"
    )
    arguments.add_argument("--accelerator", default="cpu")
    arguments.add_argument(
        "--features", action="store_true", help="time kept features against encoding instead"
    )
    options = arguments.parse_intermixed_args()
    default = ["itis/once.yaml", "data/samples.yaml"] if options.features else DEFAULT
    overrides = [*options.overrides, "loading.num_workers=0"]
    config = resolve(load(options.config or default, overrides, trusted=options.trust))
    needs(config, "model", "data")
    seed_everything(config["seed"], verbose=False)
    kinds = len(WAYS) if options.features else len(KINDS)
    batches = Repeated(build(config["data"], options.trust), kinds)
    given = build_arguments(config["callbacks"]["loop"], options.trust)
    kept = config["callbacks"].get("features") or {}
    features, loop = TimedFeatures(kept.get("crop")), TimedLoop(**given)
    epochs = 1 - (-kinds * options.steps // len(batches))
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    callbacks: list[Callback] = [UserLoop(**given), features] if options.features else [loop]
    trainer = Trainer(
        max_epochs=epochs, accelerator=options.accelerator, devices=1, callbacks=callbacks, **quiet
    )
    trainer.fit(build(config["model"], options.trust), batches)
    title = (
        f"{config['name']}, batch {config['loading']['batch_size']}, "
        f"{epochs} epochs of {len(batches) // kinds} steps of each kind"
    )
    if options.features:
        report_features(features, title)
    else:
        report(loop, title)


def report_features(features: TimedFeatures, title: str) -> None:
    """Print median times in s, and the ratios of a step on kept features to the others."""
    print(f"{title}; {torch.get_num_threads()} threads")
    print("median s      step  kept / this (median of the batches)")
    for way in WAYS:
        pairs = zip(features.times["kept"], features.times[way], strict=True)
        ratios = [kept / other for kept, other in pairs]
        print(
            f"{way:10}  {statistics.median(features.times[way]):6.3f}  "
            f"{statistics.median(ratios):.3f}"
        )


def report(loop: TimedLoop, title: str) -> None:
    """Print median times in ms, and the ratio of the two kinds."""
    print(
        f"{title}; {statistics.mean(loop.click_counts):.1f} clicks an object; "
        f"{torch.get_num_threads()} threads"
    )
    print("median ms      step  batch_start hook  batch_end hook")
    for kind, name in zip(KINDS, ("iterative", "plain"), strict=True):
        before, _, after = (
            1000 * statistics.median(column) for column in zip(*loop.times[kind], strict=True)
        )
        print(
            f"{name:9}  {1000 * statistics.median(map(sum, loop.times[kind])):8.1f}  "
            f"{before:16.2f}  {after:14.2f}"
        )
    plain = statistics.median(map(sum, loop.times[False]))
    pairs, extra = [], []
    for iterative, other in zip(loop.times[True], loop.times[False], strict=True):
        pairs.append(sum(iterative) / sum(other))
        extra.append(iterative[0] + iterative[2] - other[0] - other[2])
    print(
        f"iterative / plain: {statistics.median(pairs):.3f} (median of {len(pairs)} pairs of steps)"
    )
    print(
        f"by the hooks alone: {1 + statistics.median(extra) / plain:.3f} (what they add to a plain "
        "step; less noise)"
    )


def now() -> float:
    """Read the clock in seconds, once the accelerator has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    run_guarded(main)
