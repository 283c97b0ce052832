"""Comparison of runs of task streams.

An array's runs of single sequences are one method, and the sequences of methods are paired.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from omegaconf import OmegaConf

from interseg.errors import InputError
from interseg.evaluation.comparison import OWN, group_runs
from interseg.evaluation.metrics import interval

FIGURES = ("basic", "forward", "backward", "drop")
KINDS = {
    "": "mean IoU",
    "official_": "the official code's IoU: classes by area, annotated pixels included",
}
"""Prefixes of the figures in `transfer.json`, and their meanings."""
TASKS = ("_target_", "root", "classes", "size", "holdout", "length", "rounds", "seed")
"""Keys of a data module that decide which tasks a sequence has."""
DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)
"""Errors that the readers raise for damaged files."""
Sequences = dict[str, dict[str, float]]
"""The figures of each sequence, by its number."""


class Round(NamedTuple):
    """A round of a task, in `transfer.csv`."""

    number: int
    before: float
    """Mean IoU of the answer that the user saw."""
    iou: float
    """Mean IoU of the refined answer."""
    annotated: float
    """Share of the pixels that the user has annotated so far."""


def parse_round(row: dict[str, str]) -> Round:
    """Read a round from a row of `transfer.csv`."""
    number = int(row["kind"].split()[1])
    return Round(number, float(row["before"]), float(row["iou"]), float(row["annotated"]))


@dataclass(frozen=True)
class StreamRun:
    """The content of a run's folder: `transfer.json`, `transfer.csv` and `config.yaml`.

    Raises:
        InputError: A folder without complete files.
    """

    folder: Path
    config: dict[str, Any] = field(init=False)
    sequences: Sequences = field(init=False)
    rounds: list[Round] = field(init=False)

    def __post_init__(self) -> None:
        try:
            found = json.loads((self.folder / "transfer.json").read_text())["sequences"]
            sequences = {}
            for number, figures in found.items():
                sequences[number] = {name: float(figures[name]) for name in names()}
            config = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
            with (self.folder / "transfer.csv").open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["kind"].startswith("round")]
            rounds = [parse_round(row) for row in rows]
        except DAMAGED as error:
            raise InputError(
                f"{self.folder} holds no finished sequence of tasks ({error}); "
                "give runs of train.py with clis/tasks.yaml"
            ) from None
        object.__setattr__(self, "sequences", sequences)
        object.__setattr__(self, "config", config)
        object.__setattr__(self, "rounds", rounds)

    def setting(self) -> dict[str, Any]:
        """Return the values that decide which tasks a sequence has and how they are measured."""
        config = OmegaConf.create(self.config)
        setting = {key: OmegaConf.select(config, f"data.{key}") for key in TASKS}
        for key in ("forward_after", "backward_after"):
            setting[key] = OmegaConf.select(config, f"callbacks.transfer.{key}")
        return setting


def names() -> list[str]:
    """List the names of all figures of a sequence."""
    return [prefix + figure for prefix in KINDS for figure in FIGURES]


class StreamMethod(NamedTuple):
    """The sequences and rounds that a method's runs have played."""

    sequences: Sequences
    rounds: list[Round]

    def curve(self) -> list[tuple[float, float]]:
        """Compute the curve of mean IoU against the share of annotated pixels, means over tasks.

        The first point is before the first round, each other one after a round.
        """
        start = [r.before for r in self.rounds if r.number == 0]
        found = [(0.0, float(np.mean(start)))]
        for number in sorted({r.number for r in self.rounds}):
            now = [r for r in self.rounds if r.number == number]
            annotated = np.mean([r.annotated for r in now])
            iou = np.mean([r.iou for r in now])
            found.append((float(annotated), float(iou)))
        return found


def stream_methods(named: Sequence[tuple[str | None, StreamRun]]) -> dict[str, StreamMethod]:
    """Group the sequences by method, see `group_runs`; runs may play different sequences.

    Raises:
        InputError: Runs on other data or by other measures; two runs of one method with the same
            sequence; methods that have played different sequences.
    """
    _check_same_setting([run for _, run in named])
    own = [key for key in OWN if key != "seed"]
    own += ["data.sequence", "data.sequences", "trainer.max_epochs"]
    methods: dict[str, StreamMethod] = {}
    for name, runs in group_runs(named, own).items():
        methods[name] = StreamMethod({}, [])
        for run in runs:
            for number in run.sequences.keys() & methods[name].sequences.keys():
                raise InputError(
                    f"{name}: {run.folder} and another run have both played sequence {number}; "
                    "give each once, or a name each"
                )
            methods[name].sequences.update(run.sequences)
            methods[name].rounds.extend(run.rounds)
    first, (sequences, _) = next(iter(methods.items()))
    for name, (others, _) in methods.items():
        if odd := sorted(sequences.keys() ^ others.keys(), key=int):
            raise InputError(
                f"{first} and {name} have not both played sequence {odd[0]}; "
                "compare runs of the same sequences"
            )
    return methods


def _check_same_setting(runs: Sequence[StreamRun]) -> None:
    """Raise `InputError` if runs differ in their tasks or measures."""
    first = runs[0]
    for run in runs:
        setting = run.setting()
        for key, value in first.setting().items():
            if setting[key] != value:
                raise InputError(
                    f"{key} is {value!r} in {first.folder} and {setting[key]!r} in {run.folder}, "
                    "so that their sequences are not the same; compare runs of the same tasks"
                )


def transfer_table(methods: dict[str, Sequences], prefix: str = "") -> list[list[str]]:
    """Make rows of cells: means over sequences, and the first method's lead over each other one.

    A lead has a bootstrap interval if there are several sequences.

    Args:
        methods: Sequences of each method; the first method has all that another one has.
        prefix: Key of `KINDS`.
    """
    first, theirs = next(iter(methods.items()))
    heads = {figure: f"{first}'s lead, {figure}" for figure in FIGURES}
    heads["drop"] = f"{first} drops less by"
    table = [["", *FIGURES, *heads.values()]]
    for method, own in methods.items():
        means, leads = [], []
        for figure in FIGURES:
            key, sign = prefix + figure, -1 if figure == "drop" else 1
            means.append(f"{np.mean([own[k][key] for k in own]):.3f}")
            lead = [sign * (theirs[k][key] - own[k][key]) for k in own]
            spread = " [{:+.3f}, {:+.3f}]".format(*interval(lead)) if len(lead) > 1 else ""
            leads.append("" if method == first else f"{np.mean(lead):+.3f}{spread}")
        table.append([method, *means, *leads])
    return table


def markdown(table: list[list[str]]) -> str:
    """Write rows of cells as a markdown table; the first row is the heading."""
    head, *rows = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
