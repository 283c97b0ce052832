"""SIGKILL at random moments: equality of resumed trainings and evaluations with ones never killed.

    python -m benchmarks.kill FOLDER [--kills 20] [--only evaluation] [key=value ...]

A short training on the embedded photos and an evaluation of it are run whole; then each is run
again as often as `--kills` says, killed after a random part of the whole one's time, and gone on
with. Weights, clicks and optimiser must be equal to the last bit, and so must `objects.csv` and the
figures that are no times.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
CONFIG = [
    "--config",
    "small.yaml",
    "--config",
    "data/samples.yaml",
    "trainer.accelerator=cpu",
    "loading.train_objects=24",
]
SHORT = [
    "trainer.max_epochs=6",
    "callbacks.checkpoint.every_n_steps=2",
    "model.network.guidance_channels=3",
    "model.network.options.decoder_channels=32",
]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--only", choices=("training", "evaluation"), help="kill this one alone")
    arguments.add_argument("overrides", nargs="*", help="of training")
    options = arguments.parse_intermixed_args()
    draw = random.Random(0)
    whole = options.folder / "whole"

    def train_line(run: Path) -> list[str]:
        return ["train.py", *CONFIG, *SHORT, *options.overrides, f"run={run}", "checkpoint=last"]

    def evaluate_line(run: Path) -> list[str]:
        return [
            "evaluate.py",
            "--checkpoint",
            str(whole),
            f"run={run}",
            "max_clicks=8",
            "callbacks.report=null",
            "loading.eval_batch_size=2",
        ]

    for name, line, outcome in (
        ("training", train_line, read_training),
        ("evaluation", evaluate_line, read_evaluation),
    ):
        first = whole if name == "training" else whole / "played"
        shutil.rmtree(first, ignore_errors=True)  # one that is there would only be gone on with
        started = time.monotonic()
        finish(line(first))
        duration, expected = time.monotonic() - started, outcome(first)
        same = 0
        if options.only not in (None, name):
            continue
        for number in range(options.kills):
            run = options.folder / f"{name}-{number}"
            shutil.rmtree(run, ignore_errors=True)
            moment = draw.uniform(0.2, 1.0) * duration
            killed = kill(line(run), moment)
            finish(line(run))
            equal = outcome(run) == expected
            same += equal
            how = "killed" if killed else "ended"
            print(
                f"{name} {number}: {how} after {moment:.1f} s of {duration:.1f}, "
                f"{'equal' if equal else 'DIFFERENT'}",
                flush=True,
            )
            shutil.rmtree(run)
        print(f"{name}: {same} of {options.kills} equal", flush=True)


def kill(line: list[str], moment: float) -> bool:
    """Run a command and kill it with all its processes; False if it had ended before."""
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *line], cwd=ROOT, start_new_session=True, **silent)
    try:
        process.wait(moment)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def finish(line: list[str]) -> None:
    """Run a command to its end; end this process with its last words if it fails."""
    result = subprocess.run([sys.executable, *line], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr[-2000:])


def read_training(run: Path) -> bytes:
    """Read a run's weights, optimiser, schedule and click memory, as bytes."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    memory = next(value for key, value in state["callbacks"].items() if key.startswith("UserLoop"))
    parts = [state["state_dict"], state["optimizer_states"], state["lr_schedulers"], memory]
    return b"".join(flatten(parts))


def flatten(value: Any) -> Iterator[bytes]:
    """Yield nested tensors and values in a fixed order."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from flatten(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)
    elif isinstance(value, torch.Tensor):
        yield value.contiguous().numpy().tobytes()
    else:
        yield repr(value).encode()


def read_evaluation(run: Path) -> tuple[str, dict[str, Any]]:
    """Read an evaluation's table of objects, and its figures without times."""
    figures = json.loads((run / "report.json").read_text())
    timeless = {key: value for key, value in figures.items() if "seconds" not in key}
    return (run / "objects.csv").read_text(), timeless


if __name__ == "__main__":
    main()
