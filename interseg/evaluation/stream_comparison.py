"""Runs of task streams set against each other: an array's runs of single sequences are one method, sequences are paired."""

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
from interseg.evaluation.comparison import OWN, grouped
from interseg.evaluation.metrics import interval

FIGURES = ("basic", "forward", "backward", "drop")
KINDS = {
    "": "mean IoU",
    "official_": "the official code's IoU: classes by area, annotated pixels included",
}
"""Prefixes of the figures in `transfer.json`, and what they are."""
TASKS = ("_target_", "root", "classes", "size", "holdout", "length", "rounds", "seed")
"""Keys of a data module that decide which tasks a sequence has."""
Sequences = dict[str, dict[str, float]]
"""The figures of each sequence, by its number."""


class Round(NamedTuple):
    """Of a task, in `transfer.csv`."""

    number: int
    before: float
    """Mean IoU of the answer that the user saw."""
    iou: float
    """Of the refined one."""
    annotated: float
    """Share of the pixels that the user has annotated so far."""


@dataclass(frozen=True)
class StreamRun:
    """A run's folder with `transfer.json` and `transfer.csv`, read; raises `InputError` for another one."""

    folder: Path
    config: dict[str, Any] = field(init=False)
    sequences: Sequences = field(init=False)
    rounds: list[Round] = field(init=False)

    def __post_init__(self) -> None:
        try:
            found = json.loads((self.folder / "transfer.json").read_text())["sequences"]
            sequences = {
                k: {name: float(figures[name]) for name in names()} for k, figures in found.items()
            }
            config = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
            with (self.folder / "transfer.csv").open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["kind"].startswith("round")]
            rounds = [
                Round(
                    int(r["kind"].split()[1]),
                    float(r["before"]),
                    float(r["iou"]),
                    float(r["annotated"]),
                )
                for r in rows
            ]
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            yaml.YAMLError,
        ) as error:  # what readers raise for damaged files
            raise InputError(
                f"{self.folder} holds no finished sequence of tasks ({error}); give runs of train.py with clis/tasks.yaml"
            ) from None
        object.__setattr__(self, "sequences", sequences)
        object.__setattr__(self, "config", config)
        object.__setattr__(self, "rounds", rounds)

    def setting(self) -> dict[str, Any]:
        """Return what decides which tasks a sequence has and how they are measured."""
        config = OmegaConf.create(self.config)
        data = {key: OmegaConf.select(config, f"data.{key}") for key in TASKS}
        return data | {
            key: OmegaConf.select(config, f"callbacks.transfer.{key}")
            for key in ("forward_after", "backward_after")
        }


def names() -> list[str]:
    """Of all figures of a sequence."""
    return [prefix + figure for prefix in KINDS for figure in FIGURES]


class StreamMethod(NamedTuple):
    """What a method's runs have played."""

    sequences: Sequences
    rounds: list[Round]

    def curve(self) -> list[tuple[float, float]]:
        """Share of annotated pixels and mean IoU before the first round and after each one, means over tasks."""
        found = [(0.0, float(np.mean([r.before for r in self.rounds if r.number == 0])))]
        for number in sorted({r.number for r in self.rounds}):
            now = [r for r in self.rounds if r.number == number]
            found.append(
                (float(np.mean([r.annotated for r in now])), float(np.mean([r.iou for r in now])))
            )
        return found


def stream_methods(named: Sequence[tuple[str | None, StreamRun]]) -> dict[str, StreamMethod]:
    """Group the sequences by method, see `grouped`; which of them a run has played makes no difference.

    Raises:
        InputError: runs on other data or by other measures; two runs of one method with the same
            sequence; methods that have played different ones.
    """
    methods: dict[str, StreamMethod] = {}
    first_run = named[0][1]
    for _, run in named:
        for key, value in first_run.setting().items():
            if run.setting()[key] != value:
                differs = f"{key} is {value!r} in {first_run.folder} and {run.setting()[key]!r} in {run.folder}"
                raise InputError(
                    f"{differs}, so that their sequences are not the same; compare runs of the same tasks"
                )
    own = [
        *(key for key in OWN if key != "seed"),
        "data.sequence",
        "data.sequences",
        "trainer.max_epochs",
    ]
    for name, runs in grouped(named, own).items():
        methods[name] = StreamMethod({}, [])
        for run in runs:
            for number in run.sequences.keys() & methods[name].sequences.keys():
                raise InputError(
                    f"{name}: {run.folder} and another run have both played sequence {number}; give each once, or a name each"
                )
            methods[name].sequences.update(run.sequences)
            methods[name].rounds.extend(run.rounds)
    first, (sequences, _) = next(iter(methods.items()))
    for name, (others, _) in methods.items():
        if odd := sorted(sequences.keys() ^ others.keys(), key=int):
            raise InputError(
                f"{first} and {name} have not both played sequence {odd[0]}; compare runs of the same sequences"
            )
    return methods


def transfer_table(methods: dict[str, Sequences], prefix: str = "") -> list[list[str]]:
    """Rows of cells: means over sequences, and how much better the first method is than each other one, with bootstrap intervals.

    Args:
        methods: the sequences of each; the first has all that another one has.
        prefix: of `KINDS`.
    """
    first, theirs = next(iter(methods.items()))
    table = [
        [
            "",
            *FIGURES,
            *(
                f"{first} drops less by" if figure == "drop" else f"{first}'s lead, {figure}"
                for figure in FIGURES
            ),
        ]
    ]
    for method, own in methods.items():
        means, leads = [], []
        for figure in FIGURES:
            means.append(f"{np.mean([own[k][prefix + figure] for k in own]):.3f}")
            lead = [
                (-1 if figure == "drop" else 1)
                * (theirs[k][prefix + figure] - own[k][prefix + figure])
                for k in own
            ]
            spread = " [{:+.3f}, {:+.3f}]".format(*interval(lead)) if len(lead) > 1 else ""
            leads.append("" if method == first else f"{np.mean(lead):+.3f}{spread}")
        table.append([method, *means, *leads])
    return table


def markdown(table: list[list[str]]) -> str:
    """Rows of cells, the first one the heading."""
    head, *rows = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
