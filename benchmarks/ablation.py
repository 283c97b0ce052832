"""ITIS' ablation (Fig. 5), its samplers at test time (Fig. 3 and 4) and the classical methods, as one table over seeds.

    python -m benchmarks.ablation FOLDER [--method small.yaml] [--seeds 3] --train '--config
    data/coco.yaml data.root=A'
        --test '--config data/grabcut.yaml data.root=B' [key=value ...]

Every line of the table is made by train.py and evaluate.py themselves, one command after the other,
with full curves. What is finished is not done again, what was killed goes on. Overrides (key=value)
are training's.
"""

import argparse
import json
import shlex
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

ROWS = ("distance", "gaussian", "iterative", "mask")
SAMPLERS = ("itis", "cluster", "random")
CLASSICAL = ("random_walker", "grabcut", "graph_cut", "geodesic")
FIGURES = (
    "noc@85",
    "failures@85",
    "noc@90",
    "clicks_to_mean@85",
    "miou@1",
    "miou@5",
    "miou@10",
    "miou@20",
)
ROOT = Path(__file__).parent.parent


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--method", default="small.yaml", help="the config under every row")
    arguments.add_argument(
        "--train", type=shlex.split, required=True, help="config and overrides of the training data"
    )
    arguments.add_argument(
        "--test", type=shlex.split, required=True, help="config and overrides of the data played on"
    )
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    table: dict[str, list[Path]] = {}
    for seed in range(options.seeds):
        for row in ROWS:
            run = options.folder / f"{row}-{seed}"
            method = ["--config", options.method, "--config", f"itis/{row}.yaml"]
            done(
                run / "finished",
                "train.py",
                *method,
                *options.train,
                *options.overrides,
                f"seed={seed}",
                f"run={run}",
                "checkpoint=last",
            )
            for sampler in ("", *(SAMPLERS if row == "iterative" else ())):
                name = f"{row}, {sampler} sampler" if sampler else row
                table.setdefault(name, []).append(
                    play(run / f"test{sampler}", ["--checkpoint", str(run)], sampler, options.test)
                )
    for name in CLASSICAL:
        table[name] = [
            play(options.folder / name, ["--config", f"classical/{name}.yaml"], "", options.test)
        ]
    print_markdown(table)
    draw(table, options.folder / "curves.svg")


def play(folder: Path, what: list[str], sampler: str, test: list[str]) -> Path:
    """Evaluate into a folder, unless that was done."""
    user = ["--config", f"users/{sampler}.yaml"] if sampler else []
    done(
        folder / "report.json",
        "evaluate.py",
        *what,
        "trainer.devices=1",
        *test,
        *user,
        f"run={folder}",
        "full_curves=true",
    )
    return folder


def done(proof: Path, script: str, *line: str) -> None:
    """Run a command whose end leaves a file; stop at the first that fails, and after one that SLURM tells to go (`train.sh`)."""
    if not proof.exists():
        print(" ".join(["python", script, *line]), flush=True)
        told: list[int] = []
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        before = signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))
        with subprocess.Popen(
            [sys.executable, ROOT / script, *line], text=True, **pipes
        ) as command:  # type: ignore[call-overload]

            def pass_on(number: int, frame: Any) -> None:
                told.append(number)
                command.send_signal(
                    number
                )  # SLURM tells a step's tasks, on some clusters not what they have started

            signal.signal(signal.SIGUSR1, pass_on)
            _, errors = command.communicate()
        signal.signal(signal.SIGUSR1, before)
        if told:
            sys.exit(0)  # the command goes on from its checkpoint
        if command.returncode:
            sys.exit(errors[-2000:])
        proof.touch()


def print_markdown(table: dict[str, list[Path]]) -> None:
    """Mean and, with several seeds, sample standard deviation of every figure."""
    print("| | " + " | ".join(FIGURES) + " |\n" + "|---" * (len(FIGURES) + 1) + "|")
    for name, folders in table.items():
        reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
        cells = []
        for figure in FIGURES:
            values = [report[figure] for report in reports if report[figure] is not None]
            spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
            cells.append(
                f"{statistics.mean(values):.4g}{spread}" if len(values) == len(reports) else "never"
            )
        print(f"| {name} | " + " | ".join(cells) + " |")


def draw(table: dict[str, list[Path]], file: Path) -> None:
    """Mean IoU against clicks: the networks, the samplers and the classical methods, with the range over seeds."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    panels = dict(
        zip(
            ("Training", "Sampler at test time", "Classical methods"),
            figure.subplots(1, 3, sharey=True),
            strict=True,
        )
    )
    for name, folders in table.items():
        reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
        curves = np.array(
            [
                [report[f"miou@{k}"] for k in range(1, report["max_clicks"] + 1)]
                for report in reports
            ]
        )
        kind = (
            "Sampler at test time"
            if "sampler" in name
            else "Classical methods"
            if name in CLASSICAL
            else "Training"
        )
        clicks = np.arange(1, curves.shape[1] + 1)
        panels[kind].plot(clicks, curves.mean(0), marker="o", markersize=3, label=name)
        panels[kind].fill_between(clicks, curves.min(0), curves.max(0), alpha=0.2)
    for title, axis in panels.items():
        axis.set(title=title, xlabel="clicks", ylim=(0, 1), xticks=range(1, 21, 2))
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    panels["Training"].set_ylabel("mean IoU")
    figure.savefig(file)


if __name__ == "__main__":
    main()
