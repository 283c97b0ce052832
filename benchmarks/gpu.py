"""All measurements that need a GPU, and a whole training of a network that encodes once.

    python -m benchmarks.gpu FOLDER --data '--config benchmarks/sources.yaml data.root=PATH'
    [--minutes 25] [key=value ...]

Every row is a command of its own, printed with what it gave in `FOLDER/gpu.md`: any of them can be
called alone. What is finished is not done again. The measurements take some minutes; training gets
the rest of them, as many steps as fit by the time of its first ones, and is played on the test
split of the data, and with `--name` its network is written to `FOLDER/NAME.ckpt`.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.equal_time import TIMER, read_time, steps_within
from benchmarks.rounds import FIGURES
from benchmarks.running import ROOT, run_once
from configs.shipped import write_shipped

METHOD = ["--config", "itis/once.yaml", "--config", "itis/ritm.yaml"]
BF16 = ["trainer.precision=bf16-mixed"]
COMPILED = ["model.network.compile={}"]
ENCODED = ["callbacks.features=null"]
"""Override for a GPU, where encoding in the step costs less than reading kept features, and allows
any augmentation."""
PLAYED = 0.1
"""Share of the time that is left to the evaluation of the trained network."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--data",
        type=shlex.split,
        required=True,
        help="config and overrides of the data, its test split played on",
    )
    arguments.add_argument("--minutes", type=float, default=25.0, help="of the whole command")
    arguments.add_argument("--accelerator", default="gpu")
    arguments.add_argument("--batch", type=int, default=32, help="objects of a training step")
    arguments.add_argument("--workers", type=int, default=8, help="processes of the loader")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64], help="of lock-step")
    arguments.add_argument(
        "--objects", type=int, default=99, help="played of each size of lock-step"
    )
    arguments.add_argument("--steps", type=int, default=60, help="of each measured training")
    arguments.add_argument(
        "--rows",
        nargs="*",
        metavar="TEXT",
        help="measure only rows whose name holds one of these texts",
    )
    arguments.add_argument("--eager", action="store_true", help="train without compiling")
    arguments.add_argument("--name", help="of the trained network's file")
    arguments.add_argument("overrides", nargs="*", help="key=value of every command")
    options = arguments.parse_intermixed_args()
    ends = time.monotonic() + 60 * options.minutes
    options.folder.mkdir(parents=True, exist_ok=True)
    method = [
        *METHOD,
        *options.data,
        f"trainer.accelerator={options.accelerator}",
        *options.overrides,
    ]
    training = [f"loading.batch_size={options.batch}", f"loading.num_workers={options.workers}"]
    rows = measurements(options, method, training)
    chosen = [
        name for name in rows if options.rows is None or any(text in name for text in options.rows)
    ]
    pages = [measure_row(options.folder, name, rows[name]) for name in chosen]
    compiled = [] if options.eager else COMPILED
    line = [*method, *training, *ENCODED, *BF16, *compiled]
    pages.append(train_within(options, line, ends))
    (options.folder / "gpu.md").write_text("\n".join(["# What one GPU does\n", *pages]))
    print(f"table: {options.folder / 'gpu.md'}")


def measurements(
    options: argparse.Namespace, method: Sequence[str], training: Sequence[str]
) -> dict[str, list[str]]:
    """Return the command of each row that is a measurement."""
    sizes = [str(size) for size in options.sizes]
    play = [
        "benchmarks.throughput",
        "--objects",
        str(options.objects),
        "--batches",
        *sizes,
        *method,
        *ENCODED,
    ]
    # the second of two epochs counts
    short = f"loading.train_objects={options.batch * options.steps // 2}"
    fit = ["benchmarks.throughput", "--train", *method, *training, short]
    click = ["benchmarks.click_time", "--objects", str(min(20, options.objects)), *method, *ENCODED]
    few = f"loading.train_objects={4 * options.batch}"
    return {
        "lock-step against one by one, 32 bits": play,
        "lock-step against one by one, bfloat16": [*play, *BF16],
        "a click, 32 bits": click,
        "a click, bfloat16": [*click, *BF16],
        "training, 32 bits": [*fit, *ENCODED],
        "training, bfloat16": [*fit, *ENCODED, *BF16],
        "training, bfloat16, compiled": [*fit, *ENCODED, *BF16, *COMPILED],
        "training on features kept in memory, bfloat16, compiled": [
            *fit,
            "callbacks.features.folder=null",
            *BF16,
            *COMPILED,
        ],
        "a step on kept features, encoded, fine-tuned": [
            *(
                "benchmarks.training_step",
                "--features",
                "--accelerator",
                options.accelerator,
                "--steps",
                str(options.steps // 3),
            ),
            *(*method, f"loading.batch_size={options.batch}", few),
        ],
    }


def measure_row(folder: Path, name: str, line: Sequence[str]) -> str:
    """Run a measurement, unless the same line's output exists, and return its part of the page.

    The part of one that fails has its error, and the others go on.
    """
    file = folder / f"{name.replace(',', '').replace(' ', '_')}.txt"
    command = f"python -m {shlex.join(line)}\n"
    if not file.exists() or not file.read_text().startswith(command):
        print(" ".join(["python -m", *line]), flush=True)
        code, output, errors = run_module(line)
        if code:
            reason = (errors.strip() or str(code)).splitlines()[-1]
            return part(name, line, f"failed: {reason[:500]}")
        lines = [text for text in output.splitlines() if any(letter.isdigit() for letter in text)]
        devices = ("GPU available", "TPU available")
        output = "\n".join(text for text in lines if not text.startswith(devices))
        file.write_text(command + output)
    return part(name, line, file.read_text().removeprefix(command))


def run_module(line: Sequence[str]) -> tuple[int, str, str]:
    """Run `python -m` a line in a process of its own; return its exit code, output and errors."""
    ran = subprocess.run([sys.executable, "-m", *line], cwd=ROOT, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


def part(name: str, line: Sequence[str], output: str) -> str:
    """Write a part of the page: a heading, a command and its output."""
    title = f"{name[0].upper()}{name[1:]}"
    return f"## {title}\n\n`python -m {shlex.join(line)}`\n\n```\n{output.strip()}\n```\n"


def between(few: tuple[int, float], many: tuple[int, float]) -> tuple[int, float]:
    """Subtract a short run's steps and seconds from a longer one's, and with them their start."""
    steps, seconds = many[0] - few[0], many[1] - few[1]
    return (steps, seconds) if steps > 0 and seconds > 0 else many


def train_within(options: argparse.Namespace, line: list[str], ends: float) -> str:
    """Train until the time is up, evaluate, and return the page's last part."""
    run = options.folder / "run"
    given = [*line, TIMER, "trainer.max_epochs=-1", "checkpoint=last"]
    times = []
    # both compile and start workers; the second does so faster, which errs on the safe side
    for steps in (options.steps, max(1, options.steps // 6)):
        probe = options.folder / f"probe-{steps}"
        run_once(
            probe / "finished", "train.py", *given, f"trainer.max_steps={steps}", f"run={probe}"
        )
        times.append(read_time(probe))
    planned = options.folder / "steps"  # a run that goes on keeps its schedule
    if not planned.exists():
        seconds = max(0.0, (ends - time.monotonic()) * (1 - PLAYED))
        planned.write_text(str(steps_within(seconds, *between(*reversed(times)))))
    length = f"trainer.max_steps={planned.read_text()}"
    run_once(run / "finished", "train.py", *given, length, f"run={run}")
    test = [
        "--checkpoint",
        str(run),
        f"run={run / 'test'}",
        "full_curves=true",
        "loading.eval_batch_size=16",
    ]
    run_once(run / "test" / "report.json", "evaluate.py", *test)
    if options.name:
        write_shipped(str(run), options.name, options.folder)
    report = json.loads((run / "test" / "report.json").read_text())
    count, seconds = read_time(run)
    rows = [f"| {count} steps of {options.batch} | {seconds:.0f} s |", "|---|---|"]
    rows += [f"| {key} | {report[key]:.4g} |" for key in FIGURES if key in report]
    command = shlex.join([*given, length])
    table = "\n".join(rows)
    return f"## A whole training\n\n`python train.py {command}`\n\n{table}\n"


if __name__ == "__main__":
    main()
