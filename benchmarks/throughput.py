"""Objects a second in lock-step against one by one, and a training's waiting for its loader.

    python -m benchmarks.throughput [--checkpoint RUN] [--config small.yaml --config data/NAME.yaml]
    [key=value ...]

Each batch of the test split is played in lock-step, then its objects one by one, over and over
until time is up, so that drifts of the machine cancel. `--train` measures the loader instead: a
real training, by Lightning's own profiler, without each epoch's first batch (workers start in it).
Both are in the precision of the config, on the accelerator that it names:
`trainer.precision=bf16-mixed`.
"""

import statistics
from copy import copy
from functools import partial
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import SimpleProfiler

from benchmarks import seconds
from benchmarks.played import build_arguments, build_method
from callbacks.user_loop import UserLoop
from configs import build
from configs.console import run_guarded
from configs.options import parser
from datamodules.base import ClickDataModule
from interseg.batches import ClickBatch

QUIET: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_model_summary"), False
)


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--checkpoint", help="a run's folder, whose network and config are taken"
    )
    arguments.add_argument("--objects", type=int, default=40, help="about so many are played")
    arguments.add_argument(
        "--batches", type=int, nargs="+", default=[2, 4, 8], help="sizes of lock-step to measure"
    )
    arguments.add_argument("--train", action="store_true", help="measure the loader of a training")
    arguments.add_argument("--epochs", type=int, default=2, help="of the training")
    options = arguments.parse_intermixed_args()
    model, config = build_method(options)
    loop = UserLoop(**build_arguments(config["callbacks"]["loop"], options.trust))
    trainer = {}
    for key in ("accelerator", "precision"):
        if config["trainer"].get(key):
            trainer[key] = config["trainer"][key]
    if options.train:
        kept = config["callbacks"].get("features")
        callbacks: list[Callback] = [build(kept, options.trust), loop] if kept else [loop]
        measure_waiting(
            model, build(config["data"], options.trust), options.epochs, callbacks, trainer
        )
        return
    loop.target = None
    player = Trainer(devices=1, **trainer, **QUIET)
    model = model.to(player.strategy.root_device).eval()
    with player.precision_plugin.forward_context():
        for size in options.batches:
            config["data"]["loading"] |= {"eval_batch_size": size, "num_workers": 0}
            measure_lock_step(
                model, build(config["data"], options.trust), loop, size, options.objects
            )


def measure_lock_step(
    model: LightningModule, data: ClickDataModule, loop: UserLoop, size: int, objects: int
) -> None:
    """Print objects a second of both ways and their ratio; all rounds of all objects are played."""
    loader, together, alone, played, batches = data.test_dataloader(), 0.0, 0.0, 0, 0
    stride = max(1, len(loader) * size // (2 * objects))
    for number, batch in enumerate(loader):
        if number % stride or played >= objects:
            continue
        for key, value in batch.items():
            if isinstance(value, torch.Tensor):
                batch[key] = value.to(model.device)
        if not batches:
            loop.play(model, copy(batch))  # warm up
        together += seconds(partial(play_part, loop, model, batch))
        for row in range(len(batch["id"])):
            alone += seconds(partial(play_part, loop, model, batch, row))
        played += len(batch["id"])
        batches += 1
    both = (
        f"{played / together:.2f} objects a second, one by one {played / alone:.2f}: "
        f"ratio {alone / together:.2f}"
    )
    print(
        f"at most {size} in lock-step ({played / batches:.1f} on average): "
        f"{both} ({played} objects, {loop.max_clicks} clicks)",
        flush=True,
    )


def play_part(
    loop: UserLoop, model: LightningModule, batch: ClickBatch, row: int | None = None
) -> None:
    """Play a copy of a batch, or one object of it."""
    loop.play(model, copy(batch) if row is None else single(batch, row))


def single(batch: ClickBatch, row: int) -> ClickBatch:
    """Make a batch of one object of a batch."""
    part: dict[str, Any] = {}
    for key, value in batch.items():
        part[key] = value[row : row + 1] if isinstance(value, torch.Tensor) else value
    return cast(ClickBatch, part)


def measure_waiting(
    model: LightningModule,
    data: ClickDataModule,
    epochs: int,
    callbacks: list[Callback],
    trainer: dict[str, Any],
) -> None:
    """Print objects a second of a training, and the share of its time that it waits for batches.

    Times are those of Lightning's own profiler: of a step, and of the hooks before and after it, in
    which users click and kept features are read.
    """
    profiler = SimpleProfiler()
    Trainer(
        max_epochs=epochs,
        devices=1,
        callbacks=callbacks,
        profiler=profiler,
        limit_val_batches=0,
        **trainer,
        **QUIET,
    ).fit(model, data)
    fetches = profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
    batches = profiler.recorded_durations["run_training_batch"]
    hooks = [
        durations
        for name, durations in profiler.recorded_durations.items()
        if name.endswith((".on_train_batch_start", ".on_train_batch_end"))
    ]
    steps = [sum(parts) for parts in zip(batches, *hooks, strict=True)]
    each = len(steps) // epochs
    start = each if epochs > 1 else 0  # the first epoch compiles, and fills stores
    last = [index for index in range(start, len(steps)) if index % each]
    waits, works = sum(fetches[index] for index in last), sum(steps[index] for index in last)
    median = 1000 * statistics.median(steps[index] for index in last)
    size = data.loading.batch_size
    print(
        f"{size * len(last) / (waits + works):.2f} objects a second; waiting for the loader: "
        f"{100 * waits / (waits + works):.1f} % of {len(last)} steps of median {median:.0f} ms, "
        f"batch {size}, {data.loading.num_workers} workers, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    run_guarded(main)
