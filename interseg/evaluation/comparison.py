"""Evaluations of the same objects set against each other: runs that differ in their seed alone are one method, objects are paired."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from omegaconf import OmegaConf

from interseg.clicks.layout import clicks_of, parse_click
from interseg.errors import InputError

OWN = (
    *("run", "seed", "weights", "evaluated", "digests", "checkpoint", "shard", "overwrite"),
    *("logger", "loading.num_workers", "callbacks.loop.seed"),
)
"""Keys of a config in which runs of one method may differ; so they may in paths of checkpoints."""


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation's folder, read.

    Raises:
        InputError: a folder without whole `report.json`, `objects.csv` and `config.yaml`.
    """

    folder: Path
    figures: dict[str, Any] = field(init=False)
    config: dict[str, Any] = field(init=False)
    names: list[str] = field(init=False)
    """Of the objects, by their number."""
    noc: dict[str, NDArray[np.float64]] = field(init=False)
    """(n,) clicks of each object, by figure: `noc@85`."""
    curves: NDArray[np.float64] = field(init=False)
    """(n, R) IoU after each click."""
    clicks: list[NDArray[np.int64]] = field(init=False)
    """(m, 4) y, x, label, kind of each object."""

    def __post_init__(self) -> None:
        try:
            figures = dict(json.loads((self.folder / "report.json").read_text()))
            config = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
            header, rows = read_objects(self.folder / "objects.csv")
        except InputError:
            raise
        except (
            OSError,
            ValueError,
            TypeError,
            yaml.YAMLError,
        ) as error:  # what the readers raise for damaged files
            raise InputError(
                f"{self.folder} holds no finished evaluation ({error}); give folders that evaluate.py printed"
            ) from None
        if len(rows) != figures.get("objects", len(rows)):
            raise InputError(
                f"{self.folder / 'objects.csv'} has {len(rows)} objects, its report.json {figures['objects']}; evaluate again"
            )
        values = {
            "figures": figures,
            "config": config,
            "names": [row.name for row in rows],
            "noc": {
                key: np.array([row.figures[key] for row in rows])
                for key in header
                if key.startswith("noc@")
            },
            "curves": np.array(
                [[row.figures[key] for key in header if key.startswith("iou@")] for row in rows]
            ),
            "clicks": [row.clicks for row in rows],
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)


class Row(NamedTuple):
    """An object in `objects.csv`."""

    id: int
    name: str
    """Its id too."""
    figures: dict[str, float]
    clicks: NDArray[np.int64]
    """(m, 4) y, x, label, kind."""


def read_objects(file: Path) -> tuple[list[str], list[Row]]:
    """Read the names of an evaluation's figures of objects, and its objects by id.

    Raises:
        InputError: a file that was cut or changed; it names the line.
    """
    rows = []
    with file.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        try:
            keys = [key for key in table.fieldnames or [] if key.startswith(("noc@", "iou@"))]
            for row in table:
                clicks = clicks_of(map(parse_click, row["clicks"].split()))
                rows.append(
                    Row(
                        int(row["id"]),
                        f"{row['id']} {row['name']}",
                        {key: float(row[key]) for key in keys},
                        clicks,
                    )
                )
        except (
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            csv.Error,
        ):  # a column, a number or the rest of a line is missing
            raise InputError(
                f"{file}, line {table.line_num}: not as evaluate.py writes it; evaluate again"
            ) from None
    if not rows:
        raise InputError(f"{file}, line {table.line_num}: there is no object; evaluate again")
    return keys, sorted(rows, key=lambda row: row.id)


@dataclass(frozen=True)
class Method:
    """Evaluations of one method, a seed each."""

    name: str
    runs: Sequence[Evaluation]

    @property
    def names(self) -> list[str]:
        """Of the objects."""
        return self.runs[0].names

    @cached_property
    def curves(self) -> NDArray[np.float64]:
        """(n, R) IoU after each click, the mean over seeds."""
        return np.mean([run.curves for run in self.runs], axis=0)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(n,) area under each object's curve, as `interseg.evaluation.metrics.area_under_curve` takes it of their mean."""
        curves = self.curves
        return (
            np.trapezoid(curves, axis=1) / (curves.shape[1] - 1)
            if curves.shape[1] > 1
            else curves[:, 0]
        )

    def noc(self, key: str) -> NDArray[np.float64]:
        """(n,) clicks, the mean over seeds."""
        return np.mean([run.noc[key] for run in self.runs], axis=0)

    def figure(self, key: str) -> tuple[float, float] | None:
        """Mean and sample standard deviation over seeds (0 for a single one); None where a run has none."""
        values = [float(run.figures[key]) for run in self.runs if run.figures.get(key) is not None]
        if len(values) < len(self.runs):
            return None
        return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def methods(named: Sequence[tuple[str | None, Evaluation]]) -> list[Method]:
    """Group evaluations by method, see `grouped`.

    Raises:
        InputError: evaluations of different objects, targets or rounds; two of one method and seed.
    """
    found = [Method(name, runs) for name, runs in grouped(named).items()]
    first = found[0].runs[0]
    for method in found:
        for run in method.runs:
            if run.names != first.names:
                odd = sorted(set(run.names) ^ set(first.names)) or run.names
                raise InputError(
                    f"{run.folder} and {first.folder} are of different objects, e.g. {odd[0]}; compare evaluations of one set"
                )
            if run.noc.keys() != first.noc.keys() or run.curves.shape != first.curves.shape:
                ours, theirs = (
                    f"{', '.join(r.noc)} of {r.curves.shape[1]} clicks in {r.folder}"
                    for r in (run, first)
                )
                raise InputError(
                    f"targets or max_clicks differ: {ours}, {theirs}; evaluate with the same"
                )
        of_seed: dict[tuple[Any, Any], Path] = {}
        for run in method.runs:
            seeds = seeds_of(run.config)
            if seeds in of_seed:
                same = (
                    f"{method.name}: {of_seed[seeds]} and {run.folder} are both of seed {seeds[0]}"
                )
                raise InputError(
                    f"{same}; give each seed once, or a name each (NAME=EVALUATION) to set them side by side"
                )
            of_seed[seeds] = run.folder
    return found


def seeds_of(config: dict[str, Any]) -> tuple[Any, Any]:
    """Read an evaluation's seeds: of its network, and of its user's draws."""
    loop = (config.get("callbacks") or {}).get("loop") or {}
    drawn = loop.get("seed", "${seed}")
    return config.get("seed"), config.get("seed") if drawn == "${seed}" else drawn


class Run(Protocol):
    """What is grouped by its config."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    @property
    def config(self) -> dict[str, Any]:
        """What made it."""


R = TypeVar("R", bound=Run)


def grouped(named: Sequence[tuple[str | None, R]], own: Sequence[str] = OWN) -> dict[str, list[R]]:
    """Group runs by method, in the order given: those of one name, or without names those whose configs differ in `own` keys alone.

    Methods without a name are called by what their configs say of them and not of all, or by their
    folders.
    """
    groups: dict[str, list[tuple[str | None, R]]] = {}
    for name, run in named:
        groups.setdefault(name or json.dumps(flat(run.config, own), sort_keys=True), []).append(
            (name, run)
        )
    unnamed = [group[0][1] for group in groups.values() if group[0][0] is None]
    names = [group[0][0] or told_apart(group[0][1], unnamed, own) for group in groups.values()]
    names = [
        name if names.count(name) == 1 else str(group[0][1].folder)
        for name, group in zip(names, groups.values(), strict=True)
    ]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{twice[0]} is given twice, once by a name; give each folder once")
    return {
        name: [run for _, run in group] for name, group in zip(names, groups.values(), strict=True)
    }


def flat(config: dict[str, Any], own: Sequence[str] = OWN, path: str = "") -> dict[str, Any]:
    """Leaves of a config by dotted path, without `own` keys."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        where = f"{path}{key}"
        if where in own:
            continue
        if isinstance(value, dict):
            leaves |= flat(value, own, f"{where}.")
        elif not str(value).endswith(".ckpt"):
            leaves[where] = value
    return leaves


def told_apart(run: Run, others: Sequence[Run], own: Sequence[str] = OWN) -> str:
    """Return a run's name, and the leaves of its config that not all runs share, at most three."""
    leaves, rest = flat(run.config, own), [flat(other.config, own) for other in others]
    differs = [
        key
        for key, value in leaves.items()
        if key != "name" and any(other.get(key) != value for other in rest)
    ]
    differs = [key for key in differs if not isinstance(leaves[key], list)][:3]
    name = str(leaves.get("name", run.folder.name))
    return ", ".join([name, *(told(key, leaves[key]) for key in differs)])


def told(key: str, value: Any) -> str:
    """Write a leaf in short: the last part of its path and its value, a class by its node and its name."""
    *node, last = key.split(".")
    return (
        f"{node[-1]}={value.split('.')[-1]}" if last == "_target_" and node else f"{last}={value}"
    )


def most_different(found: Sequence[Method], count: int) -> list[int]:
    """Find the objects on which methods differ most, by the range of their areas under the curve, the largest first."""
    areas = np.array([method.areas for method in found])
    spread = np.ptp(areas, axis=0)
    return [int(i) for i in np.argsort(-spread, kind="stable")[:count] if spread[i] > 0]
