"""Runs of benchmarks.dynamic3d, called and finished."""

import sys

from benchmarks import (
    dynamic3d,
)
from interseg.files import write_table

COLUMNS = [
    "permutation",
    "seen",
    "volume",
    "round",
    "kind",
    "dice",
    "proxy",
    "agreement",
    "labour",
    "slices",
    "touched",
]


def finish(name, permutation, root, rows):
    """Leave what a finished run of a row leaves."""
    folder = dynamic3d.run_folder(root, name, permutation)
    folder.mkdir()
    (folder / "finished").touch()
    write_table(folder / "dice.csv", COLUMNS, rows)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["dynamic3d", *map(str, words)])
    dynamic3d.main()
