"""Limits of training on many processes: throughput of one and two, and the other costs.

    python -m benchmarks.scaling [--config small.yaml --config data/NAME.yaml] [--objects 40 600]
    [--steps 40] [key=value ...]
    python -m benchmarks.scaling --sizes

A real training on the CPU, 1 and 2 processes of one thread each (gloo), at the same batch a
process, for each of the numbers of training objects. The click memory's gather is measured apart:
after each step the ranks meet, then gather that step's delta once more. Then, and alone with
`--sizes`, what needs no training: the bytes of a step's and of an evaluation's messages and of
ITIS' gradients, the entry of 64 ranks' messages, and the example of docs/scaling.md, which works
out from these what bounds 8 and 64 GPUs.
"""

import math
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything

from benchmarks.played import build_arguments
from callbacks.user_loop import UserLoop
from configs import build, load, resolve
from configs.console import run_guarded
from configs.options import parser
from configs.run import needs
from datamodules.base import ClickDataModule
from interseg.batches import ClickBatch
from interseg.clicks.layout import Click
from interseg.clicks.memory import ClickMemory, Delta, StoredMask
from interseg.clicks.users import RitmUser
from interseg.distributed import from_all_ranks
from interseg.evaluation.game import Game
from interseg.evaluation.metrics import OUTCOME
from interseg.inference.segmenter import Plain
from interseg.inference.session import open_sessions

DEFAULT = ["small.yaml", "data/samples.yaml"]
WARM = 5
"""Number of steps left out at the beginning."""
BATCH, CROP, RANKS, CLICKS = 8, 350, 64, 20
"""Numbers of the example: objects a rank, pixels of ITIS' crops, ranks whose messages are entered,
clicks of an object in an evaluation."""
STEP, BANDWIDTH, LATENCY = 0.25, 10e9, 20e-6
"""Times of the example: seconds a step, bytes a second and seconds a message between ranks."""


class MeteredLoop(UserLoop):
    """A loop that keeps the times and the sent bytes of each step.

    Times in seconds are those of the step, of its gather once all ranks are ready, and of an
    object's entry into the memory.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.steps: list[float] = []
        self.gathers: list[float] = []
        self.applied: list[float] = []
        self.bytes: list[int] = []
        self.began = 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: ClickBatch,
        batch_idx: int,
    ) -> None:
        """Gather once more: the step has ended."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        # since the step before: waiting for the loader counts
        self.steps.append(time.perf_counter() - self.began)
        trainer.strategy.barrier()
        started = time.perf_counter()
        deltas = from_all_ranks(self._delta)
        self.gathers.append(time.perf_counter() - started)
        started = time.perf_counter()
        ClickMemory().apply(deltas)
        seconds = time.perf_counter() - started
        self.applied.append(seconds / (trainer.world_size * len(batch["id"])))
        self.bytes.append(len(pickle.dumps(self._delta)))
        self.began = time.perf_counter()


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--objects", type=int, nargs="+", default=[40, 100], help="training objects, each measured"
    )
    arguments.add_argument("--steps", type=int, default=40, help="of each measurement")
    arguments.add_argument("--sizes", action="store_true", help="only what needs no training")
    options = arguments.parse_intermixed_args()
    if options.sizes:
        sizes()
        return
    overrides = ["loading.num_workers=1", *options.overrides]
    config = resolve(load(options.config or DEFAULT, overrides, trusted=options.trust))
    needs(config, "model", "data")
    rank = int(os.environ.get("LOCAL_RANK", 0))
    # the process that a person started measures the two sizes in turn
    if rank == 0 and "WORLD_SIZE" not in os.environ:
        for processes in (1, 2):
            line = [
                "--standalone",
                f"--nproc-per-node={processes}",
                "-m",
                "benchmarks.scaling",
                *sys.argv[1:],
            ]
            subprocess.run(
                [sys.executable, "-m", "torch.distributed.run", *line],
                check=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        loader(config, options.trust)
        sizes()
        return
    torch.set_num_threads(1)
    for objects in options.objects:
        measure(config, options.trust, objects, options.steps)


def measure(config: dict[str, Any], trusted: list[str], objects: int, steps: int) -> None:
    """Train for some steps and print a line of measurements."""
    world = int(os.environ["WORLD_SIZE"])
    config["data"]["loading"]["train_objects"] = objects
    seed_everything(0, verbose=False)
    module, data = build(config["model"], trusted), build(config["data"], trusted)
    loop = MeteredLoop(**build_arguments(config["callbacks"]["loop"], trusted))
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=world,
        strategy="ddp",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[loop],
    )
    trainer.fit(module, data)
    weights = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    gradients = torch.zeros(weights // 4)
    reduced = []
    for _ in range(10):
        trainer.strategy.barrier()
        started = time.perf_counter()
        torch.distributed.all_reduce(gradients)
        reduced.append(time.perf_counter() - started)
    if trainer.is_global_zero:
        step, gather = statistics.median(loop.steps[WARM:]), statistics.median(loop.gathers[WARM:])
        batch = config["data"]["loading"]["batch_size"]
        entry = f"entry of an object {1e6 * statistics.median(loop.applied[WARM:]):.1f} us"
        sent = f"{statistics.mean(loop.bytes[WARM:]):.0f} bytes a rank (most {max(loop.bytes)})"
        print(
            f"{world} process(es), {objects:5} objects, batch {batch} each: "
            f"{world * batch / step:6.2f} objects/s, "
            f"step {1000 * step:7.1f} ms, gather {1000 * gather:6.3f} ms = {gather / step:.3%}, "
            f"{entry}, {sent}, "
            f"all-reduce of {weights / 2**20:.1f} MiB {1000 * statistics.median(reduced):.1f} ms",
            flush=True,
        )


def sizes() -> None:
    """Print the sizes and times that need no training."""
    network = resolve(load(["itis.yaml"], ["model.network.pretrained=null"]))["model"]
    gradients = sum(4 * p.numel() for p in build(network).parameters())
    print(
        f"gradients of itis.yaml: {gradients / 1e6:.0f} MB; an object of an evaluation: "
        f"{outcome_bytes():.0f} bytes"
    )
    print(
        "gradients, all-reduced: "
        f"{cells(2 * (g - 1) / g * gradients / BANDWIDTH for g in (8, RANKS))}"
    )
    for name, masks in (("clicks", False), ("clicks and masks", True)):
        sent = pickle.dumps(delta(0, masks))
        messages = [pickle.dumps(delta(rank, masks)) for rank in range(RANKS)]
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            ClickMemory().apply([pickle.loads(message) for message in messages])
            seconds.append(time.perf_counter() - started)
        entry = statistics.median(seconds)
        print(
            f"{name}: a batch of {BATCH} is {len(sent)} bytes, "
            f"those of {RANKS} ranks are read and entered in {1000 * entry:.1f} ms"
        )
        for kind, hops in (("ring", lambda g: g - 1), ("tree", math.log2)):
            moved = {g: 2 * hops(g) * LATENCY + g * len(sent) / BANDWIDTH for g in (8, RANKS)}
            print(
                f"  sent, {kind}: {cells(moved.values())}; and entered: "
                f"{cells(moved[g] + g / RANKS * entry for g in moved)}"
            )


def cells(seconds: Iterable[float]) -> str:
    """Write times with 8 and with 64 GPUs, and their shares of the example's step."""
    return ", ".join(f"{1000 * s:.1f} ms = {s / STEP:.1%}" for s in seconds)


def delta(rank: int, masks: bool) -> Delta:
    """Make the changes of a rank's step.

    Every object of a batch is clicked, one in three starts again with four clicks.
    """
    generator = np.random.default_rng(rank)
    ids = range(1000 + rank * BATCH, 1000 + (rank + 1) * BATCH)
    added = {id: [Click(int(generator.integers(480)), int(generator.integers(480)))] for id in ids}
    made = Delta({id: generator.integers(0, 480, (4, 4)) for id in ids[: BATCH // 3]}, added)
    view = np.moveaxis(np.indices((CROP, CROP)), 0, -1)
    for id in ids if masks else ():
        made.masks[id] = StoredMask.from_view(generator.random((CROP, CROP)) > 0.5, view)
    return made


def outcome_bytes(objects: int = 1000) -> float:
    """Count the bytes per object that an evaluation gathers at its end."""
    (session,) = open_sessions(Plain(None), torch.zeros(1, 3, 4, 4))
    game = Game(session, np.ones((4, 4), np.uint8), RitmUser(), CLICKS)
    rows = {name: game.outcome()[name] for name in OUTCOME if name != "id"}
    gathered = {name: torch.stack([row] * objects) for name, row in rows.items()} | {
        "id": torch.arange(objects)
    }
    return len(pickle.dumps(gathered)) / objects


def loader(config: dict[str, Any], trusted: list[str]) -> None:
    """Print the number of objects that one loader process alone prepares in a second."""
    data: ClickDataModule = build(config["data"], trusted)
    batches = iter(data.train_dataloader())
    next(batches)
    started, seen = time.perf_counter(), 0
    for batch in batches:
        seen += len(batch["id"])
        if time.perf_counter() - started > 20:
            break
    if seen:
        print(f"one loader process: {seen / (time.perf_counter() - started):.1f} objects/s")


if __name__ == "__main__":
    run_guarded(main)
