"""Comparison of evaluations of the same objects.

Runs that differ only in their seed are one method, and the objects of methods are paired.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from omegaconf import OmegaConf

from interseg.clicks.layout import clicks_of, parse_click
from interseg.errors import InputError
from interseg.evaluation.grouping import flat, group_runs


@dataclass(frozen=True)
class Evaluation:
    """The content of a finished evaluation's folder.

    Raises:
        InputError: A folder without complete `report.json`, `objects.csv` and `config.yaml`.
    """

    folder: Path
    figures: dict[str, Any] = field(init=False)
    config: dict[str, Any] = field(init=False)
    names: list[str] = field(init=False)
    """Names of the objects, by their number."""
    noc: dict[str, NDArray[np.float64]] = field(init=False)
    """(n,) clicks of each object, by figure, e.g. `noc@85`."""
    curves: NDArray[np.float64] = field(init=False)
    """(n, R) IoU after each click."""
    clicks: list[NDArray[np.int64]] = field(init=False)
    """(m, 4) clicks y, x, label, kind of each object."""

    def __post_init__(self) -> None:
        try:
            figures = dict(json.loads((self.folder / "report.json").read_text()))
            config = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
            header, rows = read_objects(self.folder / "objects.csv")
        except InputError:
            raise
        # the errors that the readers raise for damaged files
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise InputError(
                f"{self.folder} holds no finished evaluation ({error}); "
                "give folders that evaluate.py printed"
            ) from None
        if len(rows) != figures.get("objects", len(rows)):
            raise InputError(
                f"{self.folder / 'objects.csv'} has {len(rows)} objects, its report.json "
                f"{figures['objects']}; evaluate again"
            )
        columns = {key: np.array([row.figures[key] for row in rows]) for key in header}
        ious = [column for key, column in columns.items() if key.startswith("iou@")]
        values = {
            "figures": figures,
            "config": config,
            "names": [row.name for row in rows],
            "noc": {key: column for key, column in columns.items() if key.startswith("noc@")},
            "curves": np.stack(ious, axis=1) if ious else np.zeros((len(rows), 0)),
            "clicks": [row.clicks for row in rows],
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)


class Row(NamedTuple):
    """An object in `objects.csv`."""

    id: int
    name: str
    """The id, a space and the object's name."""
    figures: dict[str, float]
    clicks: NDArray[np.int64]
    """(m, 4) y, x, label, kind."""


def read_objects(file: Path) -> tuple[list[str], list[Row]]:
    """Read the names of an evaluation's figures of objects, and its objects by id.

    Raises:
        InputError: A file that was cut or changed; the message names the line.
    """
    rows = []
    with file.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        try:
            keys = [key for key in table.fieldnames or [] if key.startswith(("noc@", "iou@"))]
            for row in table:
                clicks = clicks_of(map(parse_click, row["clicks"].split()))
                name = f"{row['id']} {row['name']}"
                figures = {key: float(row[key]) for key in keys}
                rows.append(Row(int(row["id"]), name, figures, clicks))
        # a column, a number or the rest of a line is missing
        except (KeyError, ValueError, TypeError, AttributeError, csv.Error):
            raise InputError(
                f"{file}, line {table.line_num}: not as evaluate.py writes it; evaluate again"
            ) from None
    if not rows:
        raise InputError(f"{file}, line {table.line_num}: there is no object; evaluate again")
    return keys, sorted(rows, key=lambda row: row.id)


@dataclass(frozen=True)
class Method:
    """Evaluations of one method, each with another seed."""

    name: str
    runs: Sequence[Evaluation]

    @property
    def names(self) -> list[str]:
        """Names of the objects."""
        return self.runs[0].names

    @property
    def photos(self) -> list[str]:
        """Photos of the objects, whose names are `ID PHOTO: OBJECT`."""
        return [name.split(" ", 1)[1].split(": ")[0] for name in self.names]

    @cached_property
    def curves(self) -> NDArray[np.float64]:
        """(n, R) IoU after each click, the mean over seeds."""
        return np.mean([run.curves for run in self.runs], axis=0)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) area under each object's curve.

        `interseg.evaluation.metrics.area_under_curve` measures the area under their mean.
        """
        curves = self.curves
        steps = curves.shape[1] - 1
        return np.trapezoid(curves, axis=1) / steps if steps > 0 else curves[:, 0]

    def noc(self, key: str) -> NDArray[np.float64]:
        """Average the clicks (n,) of each object over seeds."""
        return np.mean([run.noc[key] for run in self.runs], axis=0)

    def figure(self, key: str) -> tuple[float, float] | None:
        """Return a figure's mean and sample standard deviation over seeds.

        The deviation of a single seed is 0. None if a run has no such figure.
        """
        values = [float(run.figures[key]) for run in self.runs if run.figures.get(key) is not None]
        if len(values) < len(self.runs):
            return None
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return float(np.mean(values)), deviation


def methods(named: Sequence[tuple[str | None, Evaluation]]) -> list[Method]:
    """Group evaluations by method, see `group_runs`.

    Raises:
        InputError: Evaluations of different objects, targets or rounds; two of one method and seed.
    """
    found = [Method(name, runs) for name, runs in group_runs(named).items()]
    first = found[0].runs[0]
    for method in found:
        for run in method.runs:
            _check_same_games(run, first)
        _check_seeds(method)
    return found


def _check_same_games(run: Evaluation, first: Evaluation) -> None:
    """Raise `InputError` if two evaluations differ in objects, targets or rounds."""
    if run.names != first.names:
        odd = sorted(set(run.names) ^ set(first.names)) or run.names
        raise InputError(
            f"{run.folder} and {first.folder} are of different objects, e.g. {odd[0]}; "
            "compare evaluations of one set"
        )
    if run.noc.keys() != first.noc.keys() or run.curves.shape != first.curves.shape:
        ours, theirs = (
            f"{', '.join(r.noc)} of {r.curves.shape[1]} clicks in {r.folder}" for r in (run, first)
        )
        raise InputError(f"targets or max_clicks differ: {ours}, {theirs}; evaluate with the same")


def _check_seeds(method: Method) -> None:
    """Raise `InputError` if two of a method's evaluations have the same seeds."""
    folders: dict[tuple[Any, Any], Path] = {}
    for run in method.runs:
        seeds = seeds_of(run.config)
        if seeds in folders:
            raise InputError(
                f"{method.name}: {folders[seeds]} and {run.folder} are both of seed {seeds[0]}; "
                "give each seed once, or a name each (NAME=EVALUATION) to set them side by side"
            )
        folders[seeds] = run.folder


def seeds_of(config: dict[str, Any]) -> tuple[Any, Any]:
    """Read an evaluation's seeds: the network's, and that of the user's draws."""
    loop = (config.get("callbacks") or {}).get("loop") or {}
    seed, drawn = config.get("seed"), loop.get("seed", "${seed}")
    return seed, seed if drawn == "${seed}" else drawn


def note_ends(found: Sequence[Method]) -> list[str]:
    """Write a line where some games went to their last click and others ended at a target."""
    runs = [run for method in found for run in method.runs]
    whole = [run.folder for run in runs if run.config.get("full_curves")]
    ended = [run.folder for run in runs if not run.config.get("full_curves")]
    if not whole or not ended:
        return []
    return [
        f"{whole[0]} was played to the last click (full_curves=true) and {ended[0]} was not: their "
        "NoC and failures compare, the mean IoU after a click and the area under the curve do not"
    ]


def note_data(
    found: Sequence[Method], complete: Callable[[Any], Any] = lambda node: node
) -> list[str]:
    """Write a line where the data of evaluations differ, though their objects have the same names.

    Masks may have been read in another way, or be other files.

    Args:
        found: Methods that are compared.
        complete: Function that fills in the arguments that a data node leaves out.
    """
    first = found[0].runs[0]
    own = data_of(first, complete)
    lines: dict[tuple[str, ...], str] = {}
    for method in found:
        for run in method.runs:
            other = data_of(run, complete)
            differing = [key for key in own | other if own.get(key) != other.get(key)]
            if not differing:
                continue
            shown = sorted(differing, key=lambda key: key != "data.root")[:3]
            named = ", ".join(f"{key} ({own.get(key)}, {other.get(key)})" for key in shown)
            line = f"the data of {first.folder} and {run.folder} differ in {named}; their objects "
            key = (method.name, *differing)  # the seeds of a method differ in the same
            lines.setdefault(key, f"{line}have the same names, see that they are the same")
    return list(lines.values())


def data_of(run: Evaluation, complete: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what decides about an evaluation's objects: its data, and digests of their files."""
    node = dict(complete(run.config.get("data") or {}))
    root = Path(str(node.get("root") or ""))
    for key in ("root", "images", "masks"):
        if isinstance(node.get(key), str):
            node[key] = str((root if key == "root" else root / node[key]).resolve())
    leaves = flat({"data": node}, ("data.loading", "data.seed"))
    named = run.config.get("digests") or {}
    paths = [value for value in leaves.values() if isinstance(value, str) and value in named]
    return leaves | {f"the file {path}": named[path] for path in paths}


def most_different(found: Sequence[Method], count: int) -> list[int]:
    """Find the objects on which methods differ most, the largest difference first.

    The difference is the range of the methods' areas under the curve.
    """
    areas = np.array([method.areas for method in found])
    spread = np.ptp(areas, axis=0)
    order = np.argsort(-spread, kind="stable")[:count].tolist()
    return [i for i in order if spread[i] > 0]
