"""Objects a second in lock-step against one by one, and the share of a training that its steps spend waiting for the loader.

    python -m benchmarks.throughput [--checkpoint RUN] [--config small.yaml --config data/NAME.yaml] [key=value ...]

Each batch of the test split is played in lock-step, then its objects one by one, over and over until time is up, so that drifts of
the machine cancel. `--train` measures the loader instead: a real training, by Lightning's own profiler, without each epoch's first batch
(workers start in it).
"""

import statistics
from copy import copy
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.profilers import SimpleProfiler

from benchmarks import seconds
from callbacks.user_loop import UserLoop
from configs import build, load, resolve
from configs.checkpoints import find_checkpoint, load_weights, trained_config, without_download
from configs.console import guarded
from configs.options import parser
from configs.run import needs
from datamodules.base import ClickDataModule
from interseg.batches import ClickBatch

DEFAULT = ["small.yaml", "data/samples.yaml"]


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--checkpoint", help="a run's folder, whose network and config are taken")
    arguments.add_argument("--objects", type=int, default=40, help="about so many are played")
    arguments.add_argument("--batches", type=int, nargs="+", default=[2, 4, 8], help="sizes of lock-step to measure")
    arguments.add_argument("--train", action="store_true", help="measure the loader of a training")
    arguments.add_argument("--epochs", type=int, default=2, help="of the training")
    options = arguments.parse_intermixed_args()
    weights = find_checkpoint(options.checkpoint)[1] if options.checkpoint else None
    base = trained_config(weights) if weights else None
    files = options.config or ([] if weights else DEFAULT)
    config = resolve(load(files, options.overrides, base, options.trust))
    needs(config, "model", "data")
    if weights:
        without_download(config["model"])
    model = build(config["model"], options.trust)
    if weights:
        load_weights(model, weights)
    loop = UserLoop(**{key: build(value, options.trust) for key, value in config["callbacks"]["loop"].items() if key != "_target_"})
    if options.train:
        measure_waiting(model, build(config["data"], options.trust), options.epochs, loop)
        return
    loop.target = None
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    for size in options.batches:
        config["data"]["loading"] |= {"eval_batch_size": size, "num_workers": 0}
        measure_lock_step(model, build(config["data"], options.trust), loop, size, options.objects)


def measure_lock_step(model: LightningModule, data: ClickDataModule, loop: UserLoop, size: int, objects: int) -> None:
    """Print objects a second of both ways, and their ratio; every round of every object is played."""
    loader, together, alone, played, batches = data.test_dataloader(), 0.0, 0.0, 0, 0
    stride = max(1, len(loader) * size // (2 * objects))
    for number, batch in enumerate(loader):
        if number % stride or played >= objects:
            continue
        batch = cast(ClickBatch, {k: v.to(model.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()})
        if not batches:
            loop.play(model, copy(batch))  # warm up
        together += seconds(lambda b=batch: loop.play(model, copy(b)))  # type: ignore[misc]
        alone += sum(seconds(lambda b=batch, i=i: loop.play(model, single(b, i))) for i in range(len(batch["id"])))  # type: ignore[misc]
        played, batches = played + len(batch["id"]), batches + 1
    both = f"{played / together:.2f} objects a second, one by one {played / alone:.2f}: ratio {alone / together:.2f}"
    print(
        f"at most {size} in lock-step ({played / batches:.1f} on average): {both} ({played} objects, {loop.max_clicks} clicks)", flush=True
    )


def single(batch: ClickBatch, row: int) -> ClickBatch:
    """One object of a batch as a batch."""
    return cast(ClickBatch, {k: v[row : row + 1] if isinstance(v, torch.Tensor) else v for k, v in batch.items()})


def measure_waiting(model: LightningModule, data: ClickDataModule, epochs: int, loop: UserLoop) -> None:
    """Print the share of a training's time that goes into fetching batches, by Lightning's own profiler."""
    profiler = SimpleProfiler()
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_model_summary"), False)
    Trainer(max_epochs=epochs, accelerator="auto", devices=1, callbacks=[loop], profiler=profiler, limit_val_batches=0, **quiet).fit(
        model, data
    )
    fetches = profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
    steps = profiler.recorded_durations["run_training_batch"]
    each = len(steps) // epochs
    waits = [wait for i, wait in enumerate(fetches) if i % each]
    share = sum(waits) / (sum(waits) + sum(step for i, step in enumerate(steps) if i % each))
    print(
        f"waiting for the loader: {100 * share:.1f} % of {len(waits)} steps of median {1000 * statistics.median(steps):.0f} ms, batch "
        f"{data.loading.batch_size}, {data.loading.num_workers} workers, {torch.get_num_threads()} threads"
    )


if __name__ == "__main__":
    guarded(main)
