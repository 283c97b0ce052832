"""The record of an evaluation: each batch's outcome is kept as it comes, so that a killed evaluation goes on and a damaged one is repaired.

A process appends to a file of its own, `objects.FINGERPRINT.PROCESS.jsonl` in the evaluation's folder. The fingerprint stands for
what the figures depend on, so that nothing is taken over from another network, user or list of objects, while the machine may be
another. Parts of an evaluation that several jobs play (`shard=K/N`) are merged by the same reading. The record stays, beside the files
that are written from it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from interseg.errors import InputError
from interseg.evaluation.comparison import read_objects
from interseg.evaluation.metrics import OUTCOME

ELSEWHERE = ("run", "logger", "checkpoint", "shard", "loading", "callbacks", "trainer")
"""Keys of a config that do not change what is played, but for the user loop and the precision."""


def fingerprint(folder: Path, names: Sequence[str], report: bool = False) -> str:
    """Twelve digits that stand for what the evaluation in a folder is of: its `config.yaml` and the names of the objects, by id.

    Args:
        folder: of the evaluation.
        names: of the objects.
        report: stand for what is reported of it too, and where.
    """
    try:
        config = dict(OmegaConf.load(folder / "config.yaml"))
    except OSError:
        config = {}
    callbacks, trainer = config.get("callbacks") or {}, config.get("trainer") or {}
    facts = {key: value for key, value in config.items() if key not in ELSEWHERE}
    facts |= {"loop": callbacks.get("loop"), "precision": trainer.get("precision")}
    if report:
        facts |= {key: config.get(key) for key in ("callbacks", "logger")}
    lines = [OmegaConf.to_yaml(OmegaConf.create(facts), sort_keys=True), *names]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def record_file(folder: Path, mark: str, process: str) -> Path:
    """Where a process of the evaluation of a fingerprint keeps its batches."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"objects.{mark}.{process}.jsonl"


def keep(path: Path, batch: dict[str, Any]) -> None:
    """Append a played batch; floats are written so that they read back exactly, a line cut short by a kill is ended first."""
    line = {key: batch[key].tolist() for key in OUTCOME}
    with path.open("ab+") as file:
        cut = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
        file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")


def kept(folder: Path, mark: str) -> Iterator[dict[str, Any]]:
    """The batches that processes of this very evaluation have kept; a line that a kill or a full disk left incomplete is left out."""
    for path in sorted(folder.glob(f"objects.{mark}.*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                values = json.loads(line)
                batch = {key: torch.tensor(values[key], dtype=kind) for key, kind in OUTCOME.items()}
            except (ValueError, KeyError, TypeError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
                continue
            yield batch


def kept_ids(folder: Path, mark: str) -> set[int]:
    """The objects that are finished."""
    return {id for batch in kept(folder, mark) for id in batch["id"].tolist()}


def finished(folder: Path, names: Sequence[str]) -> bool:
    """Whether the evaluation in a folder has ended and its files are whole: the report and the table are of all objects."""
    mark = {"fingerprint": fingerprint(folder, names, report=True), "objects": len(names), "errors": []}
    try:
        return mark.items() <= reported(folder).items() and len(read_objects(folder / "objects.csv")[1]) == len(names)
    except (OSError, InputError):
        return False


def reported(folder: Path) -> dict[str, Any]:
    """The figures in a folder's report; none where there is no whole one."""
    try:
        return dict(json.loads((folder / "report.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def forget_others(folder: Path, mark: str) -> None:
    """Remove the records in a folder but the evaluation's of a fingerprint; all of them for an empty one."""
    for path in set(folder.glob("objects.*.jsonl")).difference(folder.glob(f"objects.{mark}.*.jsonl")):
        path.unlink(missing_ok=True)
