"""The value of a user's annotations to CLIS by their order and number.

    python -m benchmarks.clis_annotations FOLDER [key=value ...]
        --data '--config data/isic.yaml data.root=PATH' [--sequences 3] [--counts 4 8 16]
        [--orders ORDER ...] [--epochs 60]

The pretraining is that of `benchmarks.clis` in the same folder. Then for each order and number
train.py plays the same sequences, with one round a task. Printed is the mean IoU over tasks on
pixels without annotation, after propagation and after learning, and the lead over random wrong
superpixels, paired by task, with intervals in which the tasks of a sequence, which share a network,
count as one. Finished commands are not run again, killed ones are resumed.
"""

import argparse
import csv
import shlex
from pathlib import Path

import numpy as np

from benchmarks.running import run_once
from interseg.continual.superpixels import ORDERS
from interseg.evaluation.intervals import interval

Found = dict[tuple[str, int], list[dict[str, str]]]
"""Rows of a run's rounds, by the order and number of annotations."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--data", type=shlex.split, required=True, help="config and overrides of the data"
    )
    arguments.add_argument("--sequences", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=60, help="of pretraining")
    arguments.add_argument("--counts", type=int, nargs="+", default=[4, 8, 16])
    arguments.add_argument("--orders", nargs="+", choices=ORDERS, default=ORDERS)
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    base, given = ["--config", "clis.yaml"], [*options.data, *options.overrides, "checkpoint=last"]
    start = options.folder / "pretrained"
    run_once(
        start / "finished",
        "train.py",
        *base,
        *given,
        f"trainer.max_epochs={options.epochs}",
        f"run={start}",
    )
    stage = [
        "--config",
        "clis/tasks.yaml",
        f"protocol.sequences={options.sequences}",
    ]
    stage += [f"model.pretrained={start / 'checkpoints' / 'last.ckpt'}", "protocol.rounds=1"]
    found: Found = {}
    for order in options.orders:
        for count in options.counts:
            run = options.folder / f"annotations-{order}-{count}"
            user = [f"callbacks.loop.user.order={order}", f"callbacks.loop.user.count={count}"]
            run_once(run / "finished", "train.py", *base, *given, *stage, *user, f"run={run}")
            with (run / "transfer.csv").open(newline="", encoding="utf-8") as file:
                found[order, count] = [
                    row for row in csv.DictReader(file) if row["kind"] == "round 0"
                ]
    for figure, title in (("propagated", "after propagation"), ("basic", "after learning")):
        print(f"\n{title}\n\n{markdown(found, figure)}")


def markdown(found: Found, figure: str) -> str:
    """Write a table of a figure by order and number of annotations, with the lead over random ones.

    The first column has the answers before, after earlier tasks with each number of annotations.
    """
    orders = list(dict.fromkeys(order for order, _ in found))
    counts = list(dict.fromkeys(count for _, count in found))
    lines = [
        "| | before | " + " | ".join(map(str, counts)) + " |",
        "|---" * (len(counts) + 2) + "|",
    ]
    for order in orders:
        before = [np.mean([float(row["before"]) for row in found[order, k]]) for k in counts]
        cells = [" / ".join(f"{value:.3f}" for value in before)]
        for count in counts:
            values = np.array([float(row[figure]) for row in found[order, count]])
            cells.append(f"{values.mean():.3f}")
            if order != "random" and ("random", count) in found:
                lead = values - [float(row[figure]) for row in found["random", count]]
                low, high = interval(lead, [row["sequence"] for row in found[order, count]])
                cells[-1] += f", {lead.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {order.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
