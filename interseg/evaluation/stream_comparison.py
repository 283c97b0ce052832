"""Comparison of runs of streams, of tasks or of volumes: sequences and permutations are paired.

An array's runs of single sequences are one method.
"""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from omegaconf import OmegaConf

from interseg.continual.protocol import StreamProtocol
from interseg.continual.transfer import mean_measured
from interseg.errors import InputError
from interseg.evaluation.grouping import OWN, group_runs

FIGURES = ("basic", "forward", "backward", "drop")
"""Figures of a sequence of tasks."""
VOLUME_FIGURES = ("dice", "proxy", "labour", "held_out")
"""Figures of a permutation of volumes: means of the last rounds of its volumes, and Dice of the
held-out ones after its last volume, where that was measured."""
LOWER = {"drop": "drops less by", "labour": "takes less labour by"}
"""Figures that are better when lower, and what is said of the first method's lead in them."""
KINDS = {
    "": "mean IoU, without the pixels that each method's user annotated",
    "whole_": "mean IoU, annotated pixels included",
    "official_": "the official code's IoU: classes by area, annotated pixels included",
}
"""Prefixes of the figures in `transfer.json`, and what they are. Without annotated pixels a method
is measured on other pixels than another one: what it had wrong is left out."""
TASKS = (
    *("_target_", "root", "classes", "size", "pretraining_images", "length", "seed"),
    *("images", "masks", "nested", "ordered", "films"),
)
"""Keys of a data module that decide which tasks a sequence has."""
VOLUMES = (
    *("_target_", "root", "size", "spacing", "crop", "margin", "values", "channel", "series"),
    *("held_out", "stream", "normalise", "without", "seed"),
)
"""Keys of a data module that decide which volumes a permutation has."""
DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)
"""What readers raise for damaged files."""
Sequences = dict[str, dict[str, float]]
"""The figures of each sequence or permutation, by its number."""


class StreamRound(NamedTuple):
    """A round of a task or volume."""

    number: int
    cost: float
    """Share of the pixels annotated so far, or of the labour of labelling the whole target."""
    quality: float
    """Mean IoU of the refined answer on pixels without annotation, or Dice of all of it."""
    before: float | None = None
    """Mean IoU of the answer that the user saw; None for a volume."""


class StreamRun(NamedTuple):
    """A run of a stream, read."""

    folder: Path
    config: dict[str, Any]
    setting: dict[str, Any]
    """Settings that decide what a sequence has and how it is measured."""
    sequences: Sequences
    rounds: list[StreamRound]


def read_run(folder: Path, complete: Callable[[Any], Any] = lambda node: node) -> StreamRun:
    """Read a run's folder with `transfer.json` and `transfer.csv`, or with `dice.csv`.

    Args:
        folder: Folder of the run.
        complete: Function that fills in the arguments that a node of its config leaves out.

    Raises:
        InputError: a folder without whole files of a finished sequence.
    """
    volumes = (folder / "dice.csv").exists()
    try:
        found = OmegaConf.load(folder / "config.yaml")
        config = OmegaConf.to_container(found)
        if not isinstance(config, dict):
            raise TypeError("config.yaml holds no keys")
        named = {str(key): value for key, value in config.items()}
        sequences, rounds = read_volumes(folder) if volumes else read_tasks(folder)
        if protocol_of(named, volumes).kind == "offline":
            # it is named after its last epoch, and has no order of volumes
            sequences = {"0": sequences[max(sequences, key=int)]}
        callbacks = named.get("callbacks") or {}
        filled = {key: complete(node) for key, node in callbacks.items()}
        whole = named | {"data": complete(named.get("data")), "callbacks": filled}
        setting = setting_of(whole, volumes)
    except DAMAGED as error:
        raise InputError(
            f"{folder} holds no finished sequence of tasks or volumes ({error}); give runs of "
            "train.py with clis/tasks.yaml or dynamic3d.yaml"
        ) from None
    return StreamRun(folder, named, setting, sequences, rounds)


def read_tasks(folder: Path) -> tuple[Sequences, list[StreamRound]]:
    """Read the figures of sequences of tasks, and their rounds."""
    found = json.loads((folder / "transfer.json").read_text())["sequences"]
    sequences = {}
    for number, figures in found.items():
        # runs of before lack `whole_`
        sequences[number] = {name: float(figures[name]) for name in names() if name in figures}
        if not sequences[number]:
            raise ValueError(f"transfer.json has no figures of sequence {number}")
    rounds = []
    for row in rows_of(folder / "transfer.csv"):
        if row["kind"].startswith("round"):
            number = int(row["kind"].split()[1])
            values = (float(row[key]) for key in ("annotated", "basic", "before"))
            rounds.append(StreamRound(number, *values))
    return sequences, rounds


def read_volumes(folder: Path) -> tuple[Sequences, list[StreamRound]]:
    """Read the figures of permutations of volumes, and their rounds."""
    rows = rows_of(folder / "dice.csv")
    played = [row for row in rows if row["kind"] == "round"]
    sequences = {}
    for number in dict.fromkeys(row["permutation"] for row in played):
        own = [row for row in rows if row["permutation"] == number]
        sequences[number] = permutation_figures(own)
    rounds = []
    for row in played:
        values = (float(row[key]) for key in ("labour", "dice"))
        rounds.append(StreamRound(int(row["round"]), *values))
    return sequences, rounds


def permutation_figures(rows: list[dict[str, str]]) -> dict[str, float]:
    """Return the figures of a permutation from its rows of `dice.csv`."""
    ends = {row["volume"]: row for row in rows if row["kind"] == "round"}  # the last of each
    figures = {}
    for name in ("dice", "proxy", "labour"):
        figures[name] = float(np.mean([float(row[name]) for row in ends.values()]))
    last = max(int(row["seen"]) for row in rows)
    measured = [row for row in rows if row["kind"] == "held_out" and int(row["seen"]) == last]
    if measured:
        figures["held_out"] = float(np.mean([float(row["dice"]) for row in measured]))
    return figures


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read a table's rows."""
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def setting_of(config: dict[str, Any], volumes: bool) -> dict[str, Any]:
    """Return what decides which tasks or volumes a sequence has and how they are measured."""
    found = OmegaConf.create(config)
    setting = {
        key: plain_value(OmegaConf.select(found, f"data.{key}"))
        for key in (VOLUMES if volumes else TASKS)
    }
    if isinstance(setting["root"], str):
        setting["root"] = str(Path(setting["root"]).resolve())
    protocol = protocol_of(config, volumes)
    if volumes:
        return setting | {"protocol.volumes": protocol.volumes, "protocol.first": protocol.first}
    setting["protocol.rounds"] = protocol.rounds
    for key in ("forward_after", "backward_after"):
        setting[key] = OmegaConf.select(found, f"callbacks.transfer.{key}")
    return setting


def plain_value(value: Any) -> Any:
    """Return a setting as a plain value, in which an empty list is none."""
    found = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    if isinstance(found, list | tuple):
        return list(found) or None
    return found


def protocol_of(config: dict[str, Any], volumes: bool) -> StreamProtocol:
    """Return what a run of a stream was."""
    node: dict[str, Any] = config.get("protocol") or {}
    kind = {"kind": "stream" if volumes else "sequence"}
    return StreamProtocol(**kind | {k: v for k, v in node.items() if k != "_target_"})


def names() -> list[str]:
    """List all figures of a sequence of tasks."""
    return [prefix + figure for prefix in KINDS for figure in FIGURES]


class StreamMethod(NamedTuple):
    """The sequences and rounds that a method's runs have played."""

    sequences: Sequences
    rounds: list[StreamRound]

    @property
    def of_volumes(self) -> bool:
        """Whether volumes were played, not tasks."""
        return all("dice" in figures for figures in self.sequences.values())

    def curve(self) -> list[tuple[float, float]]:
        """Return mean cost and mean quality before the first round, where known, and after each.

        Means are over tasks or volumes.
        """
        before = [r.before for r in self.rounds if r.number == 0 and r.before is not None]
        found = [(0.0, float(np.mean(before)))] if before else []
        for number in sorted({r.number for r in self.rounds}):
            now = [r for r in self.rounds if r.number == number]
            cost = float(np.mean([r.cost for r in now]))
            quality = mean_measured(np.array([r.quality for r in now]))
            found.append((cost, quality))
        return found


def stream_methods(named: Sequence[tuple[str | None, StreamRun]]) -> dict[str, StreamMethod]:
    """Group the sequences by method, see `group_runs`; runs may play different sequences.

    Raises:
        InputError: Runs on other data or by other measures; two runs of one method with the same
            sequence; methods that have played different sequences.
    """
    methods: dict[str, StreamMethod] = {}
    first_run = named[0][1]
    for _, run in named:
        for key in first_run.setting | run.setting:
            ours, theirs = first_run.setting.get(key), run.setting.get(key)
            if ours != theirs:
                differs = f"{key} is {ours!r} in {first_run.folder} and {theirs!r} in {run.folder}"
                raise InputError(
                    f"{differs}, so that their sequences are not the same; compare runs of the "
                    "same tasks or volumes"
                )
    own = [*(key for key in OWN if key != "seed"), "protocol.sequence", "protocol.sequences"]
    kinds = {(run.config.get("protocol") or {}).get("kind") for _, run in named}
    if "offline" not in kinds:  # whose epochs are its length, and not its sequences
        own.append("trainer.max_epochs")
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
                f"{first} and {name} have not both played sequence {odd[0]}; compare runs of the "
                "same sequences"
            )
    return methods
