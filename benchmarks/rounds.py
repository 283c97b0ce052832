"""Inner rounds (RITM) and the memory of clicks (ITIS), alone and together, at equal training time, as one table over seeds.

    python -m benchmarks.rounds FOLDER --minutes 30 [--method small.yaml] [--seeds 3] [--probe 40]
        --data '--config benchmarks/sources.yaml data.root=PATH' [key=value ...]

A row's steps are as many as fit into the minutes, at the time of a step that a short run of the same row shows, so that schedules end
where training does; the seconds that a training took are in the table. Every line is made by train.py and evaluate.py themselves, with
full curves; what is finished is not done again, what was killed goes on.
"""

import argparse
import json
import shlex
import statistics
from pathlib import Path

import torch

from benchmarks.ablation import done

ITIS = [
    "loading.initial={_target_: interseg.clicks.initial.InitialClicks}",
    "callbacks.loop.train_user={_target_: interseg.clicks.users.ItisUser}",
]
ROWS = {
    "initial clicks alone": ["callbacks.loop.inner_rounds=0"],
    "memory": [*ITIS, "callbacks.loop.iterative=true", "callbacks.loop.inner_rounds=0"],
    "inner rounds": [],
    "memory and inner rounds": ["callbacks.loop.iterative=true"],
}
"""Over itis/ritm.yaml: network, guidance, loss and previous mask are the same in all."""
FIGURES = ("noc@85", "failures@85", "noc@90", "failures@90", "miou@1", "miou@5", "miou@20")
TIMER = "callbacks.timer={_target_: pytorch_lightning.callbacks.Timer}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--method", default="small.yaml", help="the config under every row")
    arguments.add_argument("--data", type=shlex.split, required=True, help="config and overrides of the data, its test split played on")
    arguments.add_argument("--minutes", type=float, required=True, help="of a training")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--probe", type=int, default=40, help="steps that are timed")
    arguments.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    table: dict[str, list[Path]] = {row: [] for row in options.rows}
    given = ["--config", options.method, "--config", "itis/ritm.yaml", *options.data, TIMER, "trainer.max_epochs=-1"]
    for seed in range(options.seeds):
        for row in options.rows:
            line = [*given, *ROWS[row], *options.overrides, f"seed={seed}", "checkpoint=last"]
            name = row.replace(" ", "_")
            probe, run = options.folder / f"{name}-probe", options.folder / f"{name}-{seed}"
            done(probe / "finished", "train.py", *line, f"trainer.max_steps={options.probe}", f"run={probe}")
            steps = steps_within(60 * options.minutes, *timed(probe))
            done(run / "finished", "train.py", *line, f"trainer.max_steps={steps}", f"run={run}")
            done(run / "test" / "report.json", "evaluate.py", "--checkpoint", str(run), f"run={run / 'test'}", "full_curves=true")
            table[row].append(run)
    print_markdown(table)


def timed(run: Path) -> tuple[int, float]:
    """Read the steps of a run, and the seconds that its training took, parts before a kill included."""
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    timers = [value for key, value in state["callbacks"].items() if key.startswith("Timer")]
    return state["global_step"], timers[0]["time_elapsed"]["train"]


def steps_within(seconds: float, steps: int, took: float) -> int:
    """Compute the steps that fit into seconds, where some steps took as long as given."""
    return max(1, int(seconds * steps / took))


def print_markdown(table: dict[str, list[Path]]) -> None:
    """Mean and, with several seeds, sample standard deviation of every figure; steps and seconds of training."""
    columns = ("steps", "seconds", *FIGURES)
    print("| | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for row, runs in table.items():
        reports = [json.loads((run / "test" / "report.json").read_text()) for run in runs]
        times = [timed(run) for run in runs]
        values: list[list[float]] = [
            [steps for steps, _ in times],
            [took for _, took in times],
            *([report[key] for report in reports] for key in FIGURES),
        ]
        cells = [f"{statistics.mean(v):.4g}" + (f" ± {statistics.stdev(v):.2g}" if len(v) > 1 else "") for v in values]
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
