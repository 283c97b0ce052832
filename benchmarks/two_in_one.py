"""Two-in-one's tables: BA-CE against CB-CE (Table 1), boundary against signed clicks (Table 2).

    python -m benchmarks.two_in_one FOLDER [key=value ...]
        --train '--config data/coco.yaml data.root=A'
        --test '--config data/grabcut.yaml data.root=B'
        [--itis RUN] [--method two_in_one.yaml two_in_one/small.yaml] [--seeds 3] [--first-seed 0]
        [--epochs 10 12] [--losses BA-CE CB-CE] [--refinements NAME ...] [--selection RUN]

Each seed trains a selection network with each loss, and the refinements on the one with BA-CE. A
third table has their clicks by the IoU that the selection left to be refined. `--itis` adds the
clicks of a run of ITIS, by the same user as the signed ones. With `--selection` none is trained:
all refinements are of that one. Every line is made by train.py and evaluate.py themselves; what is
finished is not done again, what was killed goes on. Overrides (key=value) are training's.
"""

import argparse
import json
import statistics
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import print_heading, print_row
from benchmarks.running import add_data, run_once
from interseg.evaluation.comparison import Evaluation, Method
from interseg.evaluation.intervals import interval

LOSSES = {"BA-CE": [], "CB-CE": ["model.loss.width=0"]}
CLICKS = {
    "boundary clicks": [],
    "positive and negative clicks": ["--config", "two_in_one/pnr.yaml"],
}
REFINEMENTS = CLICKS | {
    **{
        f"{name}, {side} cells a side": [*words, f"model.network.crop_size={side}"]
        for name, words in CLICKS.items()
        for side in (16, 32, 64)
    },
    "boundary clicks, CB-CE": LOSSES["CB-CE"],
}
"""The first two are the paper's; the next ask how many cells of a crop the refinement's three
convolutions can see across, the last what BA-CE is to a refinement."""
ITIS = "ITIS"
SIGNED_USER = (
    "callbacks.loop.user={_target_: interseg.clicks.boundary.CentreUser, least_share: 0.01}"
)
STARTS = (0.0, 0.4, 0.6, 0.8, 1.01)
"""Bounds of the IoU after the selection, by which objects are grouped."""
SELECTED = {
    "mIoU after the click": "miou@1",
    "drawn by cells": "drawn_by_cells",
    "objects outside the crop": "outside",
    "recall": "recall+0",
    "with 20 px": "recall+20",
}
REFINED = {
    key: key
    for key in (
        "noc@85",
        "failures@85",
        "noc@90",
        "failures@90",
        "miou@1",
        "miou@3",
        "miou@5",
        "miou@10",
        "outside",
    )
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--method",
        nargs="+",
        default=["two_in_one.yaml", "two_in_one/small.yaml"],
        help="configs under every row",
    )
    add_data(arguments, "train", "test")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--first-seed", type=int, default=0)
    arguments.add_argument(
        "--epochs", type=int, nargs=2, default=[10, 12], help="of selection and of refinement"
    )
    arguments.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    arguments.add_argument(
        "--refinements", nargs="+", choices=REFINEMENTS, default=list(REFINEMENTS)[:2]
    )
    arguments.add_argument(
        "--itis", type=Path, help="run of ITIS that is played beside the refinements"
    )
    arguments.add_argument(
        "--selection", type=Path, help="checkpoint whose selection is refined, of `selection_from`"
    )
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    selections: dict[str, list[Path]] = {
        name: [] for name in ([] if options.selection else options.losses)
    }
    refinements: dict[str, list[Path]] = {name: [] for name in options.refinements}
    method = [part for file in options.method for part in ("--config", file)]
    seeds = range(options.first_seed, options.seeds)
    for seed in seeds:
        given = [*method, *options.train, *options.overrides, f"seed={seed}", "checkpoint=last"]
        for name, change in ((name, LOSSES[name]) for name in selections):
            run = options.folder / f"{name}-{seed}"
            phase = [
                f"model.selection_epochs={options.epochs[0]}",
                f"trainer.max_epochs={options.epochs[0]}",
            ]
            run_once(run / "finished", "train.py", *given, *change, *phase, f"run={run}")
            selections[name].append(play(run, [*options.test, "max_clicks=1"]))
        trained = options.folder / f"BA-CE-{seed}" / "checkpoints" / "last.ckpt"
        selection = options.selection or trained
        for name, change in ((name, REFINEMENTS[name]) for name in options.refinements):
            run = options.folder / f"{name.replace(',', '').replace(' ', '-')}-{seed}"
            phase = [
                "model.selection_epochs=0",
                f"trainer.max_epochs={options.epochs[1]}",
                f"model.network.selection_from={selection}",
            ]
            run_once(run / "finished", "train.py", *given, *change, *phase, f"run={run}")
            refinements[name].append(play(run, options.test))
    if selections:
        print_markdown(selections, SELECTED)
    print_markdown(refinements, REFINED)
    if options.itis:
        refinements[ITIS] = [
            play(options.itis, [*options.test, SIGNED_USER], options.folder / "ITIS")
        ] * len(seeds)
    print_by_start(
        {name: [Evaluation(folder) for folder in folders] for name, folders in refinements.items()}
    )


def play(run: Path, test: list[str], into: Path | None = None) -> Path:
    """Evaluate a run into its own folder or another, unless that is finished.

    Every object gets all its clicks.
    """
    folder = into or run / "test"
    run_once(
        folder / "report.json",
        "evaluate.py",
        "--checkpoint",
        str(run),
        *test,
        f"run={folder}",
        "full_curves=true",
    )
    return folder


def print_markdown(table: dict[str, list[Path]], figures: dict[str, str]) -> None:
    """Print mean and, with several seeds, sample standard deviation of every figure.

    The last column has the first figure of each seed.
    """
    first = next(iter(figures))
    print_heading(["", *figures, f"{first}, each seed"])
    for name, folders in table.items():
        reports = [json.loads((folder / "report.json").read_text()) for folder in folders]
        cells = []
        for key in figures.values():
            values = [report[key] for report in reports]
            deviation = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.4g}{deviation}")
        each = [f"{report[figures[first]]:.4g}" for report in reports]
        print_row([name, *cells, ", ".join(each)])


def mean_of_each(objects: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the values (n,) of each object that occurs in (n,)."""
    _, rows = np.unique(objects, return_inverse=True)
    return np.bincount(rows, weights=values) / np.bincount(rows)


def print_by_start(table: dict[str, list[Evaluation]]) -> None:
    """Print mean NoC@85 of each row's objects by the IoU after the first row's selection.

    An object counts by its mean over seeds, which are no independent objects. The last columns are
    the paired leads of the other rows over the first.
    """
    first = next(iter(table))
    objects = np.concatenate([np.arange(len(played.curves)) for played in table[first]])
    photos = np.array(Method("", table[first]).photos)
    starts = np.concatenate([played.curves[:, 0] for played in table[first]])
    noc = {
        name: np.concatenate([played.noc["noc@85"] for played in evaluations])
        for name, evaluations in table.items()
    }
    others = [name for name in table if name != first]
    titles = [
        "IoU after the selection",
        "games of objects",
        *table,
        *(f"{name} fewer than {first} by" for name in others),
    ]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for low, high in pairwise(STARTS):
        inside = (starts >= low) & (starts < high)
        if not inside.any():
            continue
        cells = [
            f"{low:g} to {min(high, 1):g}",
            f"{inside.sum()} of {len(set(objects[inside].tolist()))}",
            *(f"{mean_of_each(objects[inside], noc[name][inside]).mean():.2f}" for name in table),
        ]
        for name in others:
            lead = mean_of_each(objects[inside], (noc[first] - noc[name])[inside])
            least, most = interval(lead, photos[np.unique(objects[inside])].tolist())
            cells.append(f"{lead.mean():+.2f} [{least:+.2f}, {most:+.2f}]")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
