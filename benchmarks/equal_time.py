"""Rows that are trained for the same time, or the same steps, and evaluated: what the benchmarks that compare trainings share.

A row's steps are as many as fit into the minutes, at the time of a step that a short run of the
same row shows, so that schedules end where training does; the seconds that a training took are read
from its checkpoint. Every run is made by train.py and evaluate.py themselves, with full curves;
what is finished is not done again, what was killed goes on.
"""

import argparse
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.ablation import done

TIMER = "callbacks.timer={_target_: pytorch_lightning.callbacks.Timer}"
Table = dict[str, list[Path]]
"""Runs of each row, one a seed."""


def arguments_of(description: str, rows: Iterable[str]) -> argparse.ArgumentParser:
    """Make the parser of what such a benchmark is told."""
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
    arguments.add_argument("--probe", type=int, default=40, help="steps that are timed")
    arguments.add_argument("--rows", nargs="+", choices=rows, default=list(rows))
    arguments.add_argument("overrides", nargs="*")
    return arguments


def measured(rows: Mapping[str, Sequence[str]], options: argparse.Namespace) -> Table:
    """Train and evaluate every row with every seed, the seeds of all rows in turn."""
    table: Table = {row: [] for row in options.rows}
    for seed in range(options.seeds):
        for row in options.rows:
            line = [
                *rows[row],
                TIMER,
                "trainer.max_epochs=-1",
                *options.overrides,
                f"seed={seed}",
                "checkpoint=last",
            ]
            name = row.replace(" ", "_").replace("'", "").replace(",", "")
            run = options.folder / f"{name}-{seed}"
            steps = options.steps or probed(options.folder / f"{name}-probe", line, options)
            done(run / "finished", "train.py", *line, f"trainer.max_steps={steps}", f"run={run}")
            done(
                run / "test" / "report.json",
                "evaluate.py",
                "--checkpoint",
                str(run),
                f"run={run / 'test'}",
                "full_curves=true",
            )
            table[row].append(run)
    return table


def probed(probe: Path, line: Sequence[str], options: argparse.Namespace) -> int:
    """Compute the steps that fit into the minutes, by a short run."""
    done(
        probe / "finished", "train.py", *line, f"trainer.max_steps={options.probe}", f"run={probe}"
    )
    return steps_within(60 * options.minutes, *timed(probe))


def timed(run: Path) -> tuple[int, float]:
    """Read the steps of a run, and the seconds that its training took, parts before a kill included."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    timers = [value for key, value in state["callbacks"].items() if key.startswith("Timer")]
    return state["global_step"], timers[0]["time_elapsed"]["train"]


def steps_within(seconds: float, steps: int, took: float) -> int:
    """Compute the steps that fit into seconds, where some steps took as long as given."""
    return max(1, int(seconds * steps / took))


def print_markdown(
    table: Table, figures: Mapping[str, str], words: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Print steps, seconds of training and figures of every row: mean and, with several seeds, sample standard deviation.

    Args:
        table: runs.
        figures: keys of an evaluation's report by the columns that they stand in.
        words: cells of each row before its figures, under those of the empty row.
    """
    words = words or dict.fromkeys(["", *table], ())
    columns = [*words[""], "steps", "seconds", *figures]
    print("| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for row, runs in table.items():
        reports = [json.loads((run / "test" / "report.json").read_text()) for run in runs]
        times = [timed(run) for run in runs]
        values: list[list[float]] = [
            [steps for steps, _ in times],
            [took for _, took in times],
            *([report[key] for report in reports] for key in figures.values()),
        ]
        print(f"| {row} | " + " | ".join([*words[row], *(spread(v) for v in values)]) + " |")


def spread(values: Sequence[float]) -> str:
    """Give a mean and, of several values, their sample standard deviation."""
    return f"{statistics.mean(values):.4g}" + (
        f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    )
