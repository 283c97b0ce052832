"""What holds back the forward pass of BRS' small network: its training, one change at a time.

    python -m benchmarks.brs_training FOLDER [key=value ...] --train '--config data/coco.yaml
        data.root=A' --test '--config data/grabcut.yaml data.root=B' [--rows NAME ...] [--seed 0]

Each row is a training of `brs/small.yaml`, played by its forward pass and with BRS. Overrides are
training's; every line is made by train.py and evaluate.py themselves, what is finished is not done
again, what was killed goes on.
"""

import argparse
import json
from pathlib import Path

from benchmarks import print_heading, print_row, refinement
from benchmarks.running import add_data, run_once

ROWS = {
    "as in brs/small.yaml": [],
    "ring and distances for photos of 320": [
        "loading.initial.margin=3",
        "loading.initial.ring=26",
        "model.guidance.truncation=163",
    ],
    "one positive click in a quarter of the sets": ["loading.initial.lone=0.25"],
    "batch norm": ["model.network.norm=batch"],
    "clicks on its own errors": ["callbacks.loop.iterative=true"],
}
"""Changes of the training. VOC's and SBD's photos, for which the paper's 5 and 40 pixels of the
ring and 255 of the distances are, have a long side of 500: 320 of 500 are .64."""
PLAYED = ("forward", "brs")
"""Rows of `benchmarks.refinement` that each training is played by."""
FIGURES = ("noc@85", "noc@90", "failures@90", "miou@1", "miou@5", "auc")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    add_data(arguments, "train", "test")
    arguments.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    print_heading(["", *(f"{name}, {key}" for name in PLAYED for key in FIGURES)])
    for row in options.rows:
        run = options.folder / f"{row.replace(' ', '-').replace('/', '-')}-{options.seed}"
        given = ["--config", "brs.yaml", "--config", "brs/small.yaml", *options.train]
        given += [*options.overrides, *ROWS[row], f"seed={options.seed}", "checkpoint=last"]
        run_once(run / "finished", "train.py", *given, f"run={run}")
        cells = []
        for name in PLAYED:
            folder = run / name
            played = [*options.test, *refinement.ROWS[name], f"run={folder}"]
            run_once(folder / "report.json", "evaluate.py", "--checkpoint", str(run), *played)
            report = json.loads((folder / "report.json").read_text())
            cells += [f"{report[key]:.4g}" for key in FIGURES]
        print_row([row, *cells])


if __name__ == "__main__":
    main()
