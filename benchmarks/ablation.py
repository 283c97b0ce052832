"""ITIS' ablation (Fig. 5), its samplers at test time (Fig. 3, 4) and the classical methods.

    python -m benchmarks.ablation FOLDER [--method small.yaml] [--seeds 3] --train '--config
    data/coco.yaml data.root=A'
        --test '--config data/grabcut.yaml data.root=B' [key=value ...]

The table has a row per method, over seeds. Every line is made by train.py and evaluate.py
themselves, one command after the other, with full curves. Finished commands are not run again,
killed ones are resumed. Overrides (key=value) are training's.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import print_heading, print_row
from benchmarks.running import add_data, run_once

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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--method", default="small.yaml", help="the config under every row")
    add_data(arguments, "train", "test")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    table: dict[str, list[Path]] = {}
    for seed in range(options.seeds):
        for row in ROWS:
            run = options.folder / f"{row}-{seed}"
            method = ["--config", options.method, "--config", f"itis/{row}.yaml"]
            run_once(
                run / "finished",
                "train.py",
                *method,
                *options.train,
                *options.overrides,
                f"seed={seed}",
                f"run={run}",
                "checkpoint=last",
            )
            samplers = ["", *SAMPLERS] if row == "iterative" else [""]
            for sampler in samplers:
                name = f"{row}, {sampler} sampler" if sampler else row
                what = ["--checkpoint", str(run)]
                folder = play(run / f"test{sampler}", what, sampler, options.test)
                table.setdefault(name, []).append(folder)
    for name in CLASSICAL:
        what = ["--config", f"classical/{name}.yaml"]
        table[name] = [play(options.folder / name, what, "", options.test)]
    print_markdown(table)
    draw(table, options.folder / "curves.svg")


def play(folder: Path, what: list[str], sampler: str, test: list[str]) -> Path:
    """Evaluate into a folder, unless that is finished."""
    user = ["--config", f"users/{sampler}.yaml"] if sampler else []
    run_once(
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


def print_markdown(table: dict[str, list[Path]]) -> None:
    """Print mean and, with several seeds, sample standard deviation of every figure."""
    print_heading(["", *FIGURES])
    for name, folders in table.items():
        reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
        cells = []
        for figure in FIGURES:
            values = [report[figure] for report in reports if report[figure] is not None]
            if len(values) < len(reports):
                cells.append("never")
                continue
            spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.4g}{spread}")
        print_row([name, *cells])


def draw(table: dict[str, list[Path]], file: Path) -> None:
    """Draw mean IoU against clicks, with the range over seeds, in a panel per kind of row."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    titles = ("Training", "Sampler at test time", "Classical methods")
    panels = dict(zip(titles, figure.subplots(1, 3, sharey=True), strict=True))
    for name, folders in table.items():
        curves = np.array([read_curve(folder) for folder in folders])
        title = "Training"
        if "sampler" in name:
            title = "Sampler at test time"
        if name in CLASSICAL:
            title = "Classical methods"
        clicks = np.arange(1, curves.shape[1] + 1)
        panels[title].plot(clicks, curves.mean(0), marker="o", markersize=3, label=name)
        panels[title].fill_between(clicks, curves.min(0), curves.max(0), alpha=0.2)
    for title, axis in panels.items():
        axis.set(title=title, xlabel="clicks", ylim=(0, 1), xticks=range(1, 21, 2))
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    panels["Training"].set_ylabel("mean IoU")
    figure.savefig(file)


def read_curve(folder: Path) -> list[float]:
    """Read the mean IoU after each click of an evaluation."""
    report = json.loads((folder / "report.json").read_text())
    return [report[f"miou@{count}"] for count in range(1, report["max_clicks"] + 1)]


if __name__ == "__main__":
    main()
