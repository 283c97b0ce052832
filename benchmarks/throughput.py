"""Objects a second in lock-step against one by one, and the share of a training that its steps spend waiting for the loader.

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
from benchmarks.played import played_method
from callbacks.user_loop import UserLoop
from configs import build
from configs.console import guarded
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
    model, config = played_method(options)
    loop = UserLoop(
        **{
            key: build(value, options.trust)
            for key, value in config["callbacks"]["loop"].items()
            if key != "_target_"
        }
    )
    trainer = {
        key: value for key in ("accelerator", "precision") if (value := config["trainer"].get(key))
    }
    if options.train:
        kept = config["callbacks"].get("features")
        callbacks = [*([build(kept, options.trust)] if kept else []), loop]
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
    """Print objects a second of both ways, and their ratio; every round of every object is played."""
    loader, together, alone, played, batches = data.test_dataloader(), 0.0, 0.0, 0, 0
    stride = max(1, len(loader) * size // (2 * objects))
    for number, batch in enumerate(loader):
        if number % stride or played >= objects:
            continue
        batch = cast(
            ClickBatch,
            {k: v.to(model.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()},
        )
        if not batches:
            loop.play(model, copy(batch))  # warm up
        together += seconds(partial(loop.play, model, copy(batch)))
        for i in range(len(batch["id"])):
            alone += seconds(partial(loop.play, model, single(batch, i)))
        played, batches = played + len(batch["id"]), batches + 1
    both = (
        f"{played / together:.2f} objects a second, one by one {played / alone:.2f}: "
        f"ratio {alone / together:.2f}"
    )
    print(
        f"at most {size} in lock-step ({played / batches:.1f} on average): "
        f"{both} ({played} objects, {loop.max_clicks} clicks)",
        flush=True,
    )


def single(batch: ClickBatch, row: int) -> ClickBatch:
    """One object of a batch as a batch."""
    return cast(
        ClickBatch,
        {k: v[row : row + 1] if isinstance(v, torch.Tensor) else v for k, v in batch.items()},
    )


def measure_waiting(
    model: LightningModule,
    data: ClickDataModule,
    epochs: int,
    callbacks: list[Callback],
    trainer: dict[str, Any],
) -> None:
    """Print objects a second of a training, and the share of its time that goes into fetching batches, by Lightning's own profiler."""
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
    steps = profiler.recorded_durations["run_training_batch"]
    each = len(steps) // epochs
    last = [
        i for i in range(len(steps)) if i % each and i >= each * (epochs > 1)
    ]  # the first epoch compiles, and fills stores
    waits, works = sum(fetches[i] for i in last), sum(steps[i] for i in last)
    size = data.loading.batch_size
    print(
        f"{size * len(last) / (waits + works):.2f} objects a second; waiting for the loader: "
        f"{100 * waits / (waits + works):.1f} % of "
        f"{len(last)} steps of median {1000 * statistics.median(steps[i] for i in last):.0f} ms, "
        f"batch {size}, "
        f"{data.loading.num_workers} workers, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    guarded(main)
