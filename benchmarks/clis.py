"""CLIS against its controls on sequences of tasks: basic, forward, backward (the paper's Table 1), paired intervals, a round's cost.

    python -m benchmarks.clis FOLDER --data '--config data/isic.yaml data.root=PATH' [--sequences 5] [--epochs 60]
        [--methods NAME ...] [key=value ...]

Two pretrainings, CLIS' and a plain network's, then every method on the same sequences under the same user. Every line is made by
train.py itself; what is finished is not done again, what was killed goes on. Overrides are those of every line.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation import done
from interseg.metrics import interval

METHODS: dict[str, list[str]] = {
    "CLIS": [],
    "CLIS, no update": ["model.steps=0"],
    "CLIS, random annotations": ["callbacks.loop.user.guided=false"],
    "plain, no update": ["--config", "clis/naive.yaml", "--config", "clis/none.yaml"],
    "naive fine-tuning": ["--config", "clis/naive.yaml"],
    "LwF": ["--config", "clis/lwf.yaml"],
    "EWC": ["--config", "clis/ewc.yaml"],
    "PackNet": ["--config", "clis/packnet.yaml"],
    "CLIS, 40 steps": ["model.steps=40"],
    "CLIS, the official code's 2 x 201 steps": ["model.update=isolated", "model.steps=201"],
}
"""The first eight are the table; the last two, beside CLIS, ask what fewer and more steps a round are worth."""
FIGURES = ("basic", "forward", "backward", "drop")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--data", type=shlex.split, required=True, help="config and overrides of the data")
    arguments.add_argument("--sequences", type=int, default=5)
    arguments.add_argument("--epochs", type=int, default=60, help="of pretraining")
    arguments.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS)[:8])
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    base = ["--config", "clis.yaml"]
    given = [*options.data, *options.overrides, "checkpoint=last"]
    pretrained = {}
    for name, change in (("clis", []), ("plain", ["--config", "clis/naive.yaml"])):
        run = options.folder / f"pretrained-{name}"
        done(run / "finished", "train.py", *base, *change, *given, f"trainer.max_epochs={options.epochs}", f"run={run}")
        pretrained[name] = run / "checkpoints" / "last.ckpt"
    found = {}
    for method in options.methods:
        configs = METHODS[method]
        run = options.folder / method.replace(" ", "-").replace(",", "").replace("'", "")
        start = pretrained["plain" if "--config" in configs else "clis"]
        stage = ["--config", "clis/tasks.yaml", f"data.sequences={options.sequences}", f"trainer.max_epochs={options.sequences}"]
        done(run / "finished", "train.py", *base, *configs, *given, *stage, f"model.pretrained={start}", f"run={run}")
        found[method] = json.loads((run / "transfer.json").read_text())
    sequences = {method: figures["sequences"] for method, figures in found.items()}
    for prefix, title in (("", "mean IoU"), ("official_", "the official code's IoU: classes by area, annotated pixels included")):
        print_markdown(sequences, prefix, title)
    print_rounds({method: figures["rounds"] for method, figures in found.items()})


def print_markdown(found: dict[str, dict[str, dict[str, float]]], prefix: str, title: str) -> None:
    """Means over sequences, and how much better the first method is than each other one, with bootstrap intervals over sequences."""
    first = next(iter(found))
    headings = [*FIGURES, *(f"{first} drops less by" if figure == "drop" else f"{first}'s lead, {figure}" for figure in FIGURES)]
    print(f"\n{title}\n\n| | " + " | ".join(headings) + " |")
    print("|---" * (2 * len(FIGURES) + 1) + "|")
    for method, sequences in found.items():
        means, leads = [], []
        for figure in FIGURES:
            values = np.array([sequences[k][prefix + figure] for k in sequences])
            better = -1 if figure == "drop" else 1
            lead = better * np.array([found[first][k][prefix + figure] - sequences[k][prefix + figure] for k in sequences])
            low, high = interval(lead.tolist())
            means.append(float(values.mean()))
            leads.append("" if method == first else f"{lead.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
        cells = [f"{value:.3f}" for value in means] + leads
        print(f"| {method} | " + " | ".join(cells) + " |")


def print_rounds(found: dict[str, list[dict[str, Any]]]) -> None:
    """What a round brings and takes: refined IoU on unannotated pixels, seconds and network passes from annotations to refined answer."""
    print("\na round of annotation\n\n| | | basic | seconds | network passes |\n" + "|---" * 5 + "|")
    for method, rounds in found.items():
        for number, row in enumerate(rounds, 1):
            costs = ["", ""] if row["seconds"] is None else [f"{row['seconds']:.2f}", f"{row['passes']:.0f}"]
            print(f"| {method} | round {number} | {row['basic']:.3f} | {costs[0]} | {costs[1]} |")


if __name__ == "__main__":
    main()
