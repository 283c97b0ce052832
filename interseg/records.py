"""The record of an evaluation in progress: each batch's outcome is kept as it comes, so that a killed evaluation goes on.

A process appends to a file of its own, `objects.FINGERPRINT.PROCESS.jsonl` in the evaluation's folder. The fingerprint stands for
what the figures depend on, so that nothing is taken over from another network, user or data set, while the machine may be another.
Parts of an evaluation that several jobs play (`shard=K/N`) are merged by the same reading.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from interseg.metrics import OUTCOME

ELSEWHERE = ("run", "logger", "checkpoint", "shard", "loading", "callbacks", "trainer")
"""Keys of a config that do not change what is played, but for the user loop and the precision."""


def fingerprint(folder: Path) -> str:
    """Twelve digits that stand for what the evaluation in a folder is of, by its `config.yaml`."""
    try:
        config = dict(OmegaConf.load(folder / "config.yaml"))
    except OSError:
        config = {}
    callbacks, trainer = config.get("callbacks") or {}, config.get("trainer") or {}
    facts = {key: value for key, value in config.items() if key not in ELSEWHERE}
    facts |= {"loop": callbacks.get("loop"), "precision": trainer.get("precision")}
    return hashlib.sha256(OmegaConf.to_yaml(OmegaConf.create(facts), sort_keys=True).encode()).hexdigest()[:12]


def record_file(folder: Path, process: str) -> Path:
    """Where a process of the evaluation in a folder keeps its batches."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"objects.{fingerprint(folder)}.{process}.jsonl"


def keep(path: Path, batch: dict[str, Any]) -> None:
    """Append a played batch; floats are written so that they read back exactly, a line cut short by a kill is ended first."""
    line = {key: batch[key].tolist() for key in OUTCOME}
    with path.open("ab+") as file:
        cut = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
        file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")


def kept(folder: Path) -> Iterator[dict[str, Any]]:
    """The batches that processes of this very evaluation have kept; a line that a kill or a full disk left incomplete is left out."""
    for path in sorted(folder.glob(f"objects.{fingerprint(folder)}.*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                values = json.loads(line)
                batch = {key: torch.tensor(values[key], dtype=kind) for key, kind in OUTCOME.items()}
            except (ValueError, KeyError, TypeError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
                continue
            yield batch


def kept_ids(folder: Path) -> set[int]:
    """The objects that are finished."""
    return {id for batch in kept(folder) for id in batch["id"].tolist()}


def forget(folder: Path) -> None:
    """Remove the records in a folder, those of other evaluations too."""
    for path in folder.glob("objects.*.jsonl"):
        path.unlink(missing_ok=True)
