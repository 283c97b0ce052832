"""Tables of one tiny run of every system, to compare with after a change that must not change them.

python -m tests.golden make FOLDER        before the change
python -m tests.golden compare FOLDER     after it: trains and evaluates again beside them, names
what differs
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw, draw_folder, write
from tests.helpers.streams import TASKS, VOLUMES
from tests.helpers.volumes import case, save

TABLES = ("metrics.csv", "objects.csv", "report.json", "transfer.csv", "dice.csv")
TIMES = ("seconds", "fingerprint")
"""Beginnings and parts of the names of figures that no second run repeats."""

CLICKS = {
    "itis": (
        ["small.yaml"],
        [[], ["--config", "users/cluster.yaml"], ["refiner=f_brs_b", "flip=true"]],
    ),
    "itis-mask": (
        ["small.yaml", "itis/mask.yaml"],
        [
            [],
            [
                "refiner=dist_map_brs",
                "--config",
                "zoom.yaml",
                "zoom.min_crop=24",
                "zoom.long_side=64",
            ],
        ],
    ),
    "brs": (["brs.yaml"], [[], ["refiner=rgb_brs"], ["model.network.output=coarse"]]),
    "two_in_one": (["two_in_one.yaml"], [[]]),
    "two_in_one-pnr": (["two_in_one.yaml", "two_in_one/pnr.yaml"], [[]]),
    "convert": (
        ["convert.yaml"],
        [[], ["--config", "zoom.yaml", "zoom.min_crop=24", "zoom.long_side=64"]],
    ),
}
"""Configs of a training, and what its evaluations add."""
STREAMS = {name: [f"clis/{name}.yaml"] for name in ("naive", "lwf", "ewc", "packnet")}
STREAMS |= {"clis": [], "clicks": ["clis/naive.yaml", "clis/clicks.yaml"]}


def main() -> int:
    """Make the tables, or make them again and compare; exit code 1 where they differ."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("action", choices=("make", "compare"))
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--only", default="", help="systems whose name has this in it")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    root = options.folder / ("golden" if options.action == "make" else "now")
    for system in (clicks, classical, tasks, volumes):
        system(root, options.folder / "data", options.only)
    return compare(options.folder / "golden", root) if options.action == "compare" else 0


def play(name: str, *words: str) -> None:
    """Run a command, or end with what it said."""
    result = called(name, *words)
    if result.returncode:
        sys.exit(f"{name} {' '.join(words)}\n{result.stderr}")


def configs(*files: str) -> list[str]:
    """Arguments that name configs."""
    return [word for file in files for word in ("--config", file)]


def clicks(root: Path, data: Path, only: str) -> None:
    """Train and evaluate the click networks."""
    draw_folder(data / "objects", 4)
    for name, (files, evaluations) in CLICKS.items():
        run = root / name
        if only not in name or (run / "done").exists():
            continue
        steps = [
            *tiny(files[0]),
            f"loading.augment={CROP[0]}",
            "trainer.max_epochs=2",
            f"data.root={data / 'objects'}",
        ]
        play("train.py", *configs(*files, "data/folder.yaml"), *steps, f"run={run}")
        for number, words in enumerate(evaluations):
            play(
                "evaluate.py",
                "--checkpoint",
                str(run),
                "max_clicks=4",
                f"run={run / str(number)}",
                *words,
            )
        (run / "done").touch()


def classical(root: Path, data: Path, only: str) -> None:
    """Evaluate a method without training."""
    run = root / "random_walker"
    if only in run.name and not (run / "done").exists():
        quiet = [
            "trainer.accelerator=cpu",
            "callbacks.progress=null",
            "trainer.enable_progress_bar=false",
            "loading.num_workers=0",
        ]
        files = configs("classical/random_walker.yaml", "data/folder.yaml")
        play(
            "evaluate.py",
            *files,
            f"data.root={data / 'objects'}",
            "max_clicks=4",
            "full_curves=true",
            *quiet,
            f"run={run}",
        )
        (run / "done").touch()


def tasks(root: Path, data: Path, only: str) -> None:
    """Pretrain and teach the learners of tasks."""
    for i in range(8):
        image, ids = draw(i, 40, 56)
        write(data / "classes" / "images" / f"{i}.png", cv2.GaussianBlur(image, (0, 0), 2))
        write(data / "classes" / "masks" / f"{i}.png", (ids > 0).astype(np.uint8))
    common = [*TASKS, f"data.root={data / 'classes'}", "loading.augment=[]", "model.steps=2"]
    for name, files in STREAMS.items():
        run = root / name
        if only not in name or (run / "done").exists():
            continue
        more = ["model.relearn_pretraining=2"] * (name == "packnet")
        pretraining = [file for file in files if file != "clis/clicks.yaml"]
        play(
            "train.py",
            *configs("clis.yaml", *pretraining, "data/class_folder.yaml"),
            *common,
            *more,
            "trainer.max_epochs=2",
            f"run={run}",
        )
        stage = [
            f"model.pretrained={run / 'checkpoints' / 'last.ckpt'}",
            "protocol.sequence=1",
        ]
        line = configs(
            "clis.yaml",
            *pretraining,
            "data/class_folder.yaml",
            "clis/tasks.yaml",
            *(f for f in files if f not in pretraining),
        )
        play("train.py", *line, *common, *more, *stage, f"run={run / 'tasks'}")
        (run / "done").touch()


def volumes(root: Path, data: Path, only: str) -> None:
    """Teach the learner of volumes, as a stream and each by itself."""
    for i in range(5):
        for part, image in zip(("images", "labels"), case(i), strict=True):
            save(image, data / "volumes" / part / f"c{i}.nii.gz")
    for name, files in {"dynamic3d": [], "dynamic3d-static": ["dynamic3d/static.yaml"]}.items():
        run = root / name
        if only in name and not (run / "done").exists():
            given = [
                *VOLUMES,
                "model.network.channels=[4,8,8,8]",
                "protocol.rounds=2",
                f"data.cache={data / 'cache'}",
            ]
            play(
                "train.py",
                *configs("dynamic3d.yaml", "data/volume_folder.yaml", *files),
                *given,
                f"data.root={data / 'volumes'}",
                f"run={run}",
            )
            (run / "done").touch()


def compare(golden: Path, now: Path) -> int:
    """Print every cell that differs; 1 where one does, or a table is missing."""
    found = [
        path
        for path in sorted(golden.rglob("*"))
        if path.name in TABLES and (now / path.relative_to(golden).parts[0]).exists()
    ]
    differences = [
        line for path in found for line in differing(path, now / path.relative_to(golden))
    ]
    print("\n".join(differences) or f"{len(found)} tables are equal")
    return 1 if differences else 0


def differing(golden: Path, now: Path) -> list[str]:
    """The cells in which two tables differ."""
    if not now.exists():
        return [f"{now} is missing"]
    rows, others = cells(golden), cells(now)
    keys = [*rows, *(key for key in others if key not in rows)]
    return [
        f"{now}: {key} was {rows.get(key)}, is {others.get(key)}"
        for key in keys
        if rows.get(key) != others.get(key)
    ]


def cells(path: Path) -> dict[str, str]:
    """A table's values by row and column, without times."""
    if path.suffix == ".json":
        values = {str(key): str(value) for key, value in json.loads(path.read_text()).items()}
    else:
        with path.open(newline="") as file:
            values = {
                f"{number} {key}": str(value)
                for number, row in enumerate(csv.DictReader(file))
                for key, value in row.items()
            }
    return {key: value for key, value in values.items() if not any(part in key for part in TIMES)}


if __name__ == "__main__":
    sys.exit(main())
