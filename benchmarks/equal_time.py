"""Rows that are trained for the same time, or the same steps, and evaluated.

A row's steps are as many as fit into the minutes, at the time of a step that a short run of the
same row shows, so that schedules end where training does; the seconds that a training took are read
from its checkpoint. Every run is made by train.py and evaluate.py themselves, with full curves;
what is finished is not done again, what was killed goes on.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks import print_heading, print_row
from benchmarks.running import run_once

TIMER = "callbacks.timer={_target_: pytorch_lightning.callbacks.Timer}"
Table = dict[str, list[Path]]
"""Runs of each row, one per seed."""


def arguments_of(description: str, rows: Iterable[str]) -> argparse.ArgumentParser:
    """Make the parser of such a benchmark's arguments."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--data",
        type=shlex.split,
        required=True,
        help="config and overrides of the data, its test split played on",
    )
    length = arguments.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of a training")
    length.add_argument("--steps", type=int, help="of a training, instead of minutes")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument(
        "--first-seed", type=int, default=0, help="leave out those before, which other machines do"
    )
    arguments.add_argument("--probe", type=int, default=40, help="steps that are timed")
    arguments.add_argument("--rows", nargs="+", choices=rows, default=list(rows))
    arguments.add_argument("overrides", nargs="*")
    return arguments


def train_and_evaluate(rows: Mapping[str, Sequence[str]], options: argparse.Namespace) -> Table:
    """Train and evaluate every row with every seed, the seeds of all rows in turn."""
    if not 0 <= options.first_seed < options.seeds:
        sys.exit(f"--first-seed is {options.first_seed}; it is below --seeds {options.seeds}")
    table: Table = {row: [] for row in options.rows}
    for seed in range(options.first_seed, options.seeds):
        for row in options.rows:
            given = [*rows[row], TIMER, "trainer.max_epochs=-1", *options.overrides]
            line = [*given, f"seed={seed}", "checkpoint=last"]
            name = row.replace(" ", "_").replace("'", "").replace(",", "")
            run = options.folder / f"{name}-{seed}"
            probe = options.folder / f"{name}-probe"
            steps = options.steps or count_steps(probe, given, options)
            run_once(
                run / "finished", "train.py", *line, f"trainer.max_steps={steps}", f"run={run}"
            )
            run_once(
                run / "test" / "report.json",
                "evaluate.py",
                "--checkpoint",
                str(run),
                f"run={run / 'test'}",
                "full_curves=true",
            )
            table[row].append(run)
    return table


def count_steps(probe: Path, given: Sequence[str], options: argparse.Namespace) -> int:
    """Compute the number of steps that fit into the minutes, by a short run of seed 0."""
    steps = f"trainer.max_steps={options.probe}"
    line = [*given, "seed=0", "checkpoint=last", steps, f"run={probe}"]
    run_once(probe / "finished", "train.py", *line)
    return steps_within(60 * options.minutes, *read_time(probe))


def read_time(run: Path) -> tuple[int, float]:
    """Read the steps of a run, and the seconds of its training, parts before a kill included."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    timers = [value for key, value in state["callbacks"].items() if key.startswith("Timer")]
    return state["global_step"], timers[0]["time_elapsed"]["train"]


def steps_within(seconds: float, steps: int, took: float) -> int:
    """Compute the number of steps that fit into a time, from the time that some steps took."""
    return max(1, int(seconds * steps / took))


def print_markdown(
    table: Table, figures: Mapping[str, str], words: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Print steps, seconds of training and figures of every row.

    A cell has the mean and, with several seeds, the sample standard deviation.

    Args:
        table: Runs of each row.
        figures: Keys of an evaluation's report by the titles of their columns.
        words: Cells of each row before its figures; the titles are those of the row "".
    """
    words = words or dict.fromkeys(["", *table], ())
    columns = [*words[""], "steps", "seconds", *figures]
    print_heading(["", *columns])
    for row, runs in table.items():
        reports = [json.loads((run / "test" / "report.json").read_text()) for run in runs]
        times = [read_time(run) for run in runs]
        values: list[list[float]] = [[steps for steps, _ in times], [took for _, took in times]]
        for key in figures.values():
            values.append([report[key] for report in reports])
        cells = [spread(column) for column in values]
        print_row([row, *words[row], *cells])


def spread(values: Sequence[float]) -> str:
    """Write a mean and, of several values, their sample standard deviation."""
    deviation = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4g}{deviation}"
