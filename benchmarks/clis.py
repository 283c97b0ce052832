"""CLIS against its controls on sequences of tasks: basic, forward, backward (the paper's Table 1), paired intervals, a round's cost.

    python -m benchmarks.clis FOLDER --data '--config data/isic.yaml data.root=PATH' [--sequences 5] [--epochs 60]
        [--methods NAME ...] [key=value ...]

The pretrainings that are needed, CLIS' and a plain network's, then every method on the same sequences under the same user. Every line
is made by train.py itself; what is finished is not done again, what was killed goes on. Overrides are those of every line.
"""

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from benchmarks.ablation import done
from interseg.evaluation.stream_comparison import KINDS, markdown, transfer_table

METHODS: dict[str, list[str]] = {
    "CLIS": [],
    "CLIS, no update": ["model.steps=0"],
    "CLIS, random annotations": ["callbacks.loop.user.guided=false"],
    "plain, no update": ["--config", "clis/naive.yaml", "--config", "clis/none.yaml"],
    "naive fine-tuning": ["--config", "clis/naive.yaml"],
    "LwF": ["--config", "clis/lwf.yaml"],
    "EWC": ["--config", "clis/ewc.yaml"],
    "PackNet": ["--config", "clis/packnet.yaml"],
    "CLIS, KL weighed by 1": ["model.kl_weight=1"],
    "CLIS, 60 steps": ["model.steps=60"],
    "CLIS, 100 steps": ["model.steps=100"],
    "CLIS, the official code's 2 x 201 steps": ["model.update=isolated", "model.steps=201"],
}
"""The first eight are the table; the others, beside CLIS, ask what its KL's weight and more steps are worth."""


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
    for name in sorted({start_of(method) for method in options.methods}):
        run = options.folder / f"pretrained-{name}"
        change = ["--config", "clis/naive.yaml"] if name == "plain" else []
        done(run / "finished", "train.py", *base, *change, *given, f"trainer.max_epochs={options.epochs}", f"run={run}")
        pretrained[name] = run / "checkpoints" / "last.ckpt"
    found = {}
    for method in options.methods:
        configs = METHODS[method]
        run = options.folder / method.replace(" ", "-").replace(",", "").replace("'", "")
        start = pretrained[start_of(method)]
        stage = ["--config", "clis/tasks.yaml", f"data.sequences={options.sequences}", f"trainer.max_epochs={options.sequences}"]
        done(run / "finished", "train.py", *base, *configs, *given, *stage, f"model.pretrained={start}", f"run={run}")
        found[method] = json.loads((run / "transfer.json").read_text())
    for prefix, title in KINDS.items():
        print(f"\n{title}\n\n{markdown(transfer_table({method: figures['sequences'] for method, figures in found.items()}, prefix))}")
    print_rounds({method: figures["rounds"] for method, figures in found.items()})


def start_of(method: str) -> str:
    """The pretraining that a method begins with."""
    return "plain" if "--config" in METHODS[method] else "clis"


def print_rounds(found: dict[str, list[dict[str, Any]]]) -> None:
    """What a round brings and takes: refined IoU on unannotated pixels, seconds and network passes from annotations to refined answer."""
    print("\na round of annotation\n\n| | | basic | seconds | network passes |\n" + "|---" * 5 + "|")
    for method, rounds in found.items():
        for number, row in enumerate(rounds, 1):
            costs = ["", ""] if row["seconds"] is None else [f"{row['seconds']:.2f}", f"{row['passes']:.0f}"]
            print(f"| {method} | round {number} | {row['basic']:.3f} | {costs[0]} | {costs[1]} |")


if __name__ == "__main__":
    main()
