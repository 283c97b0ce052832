"""The record of an evaluation in progress: each batch's outcome is kept as it comes, so that a killed evaluation goes on.

A process appends to a file of its own, `objects.FINGERPRINT.PROCESS.jsonl` in the evaluation's folder. The fingerprint stands for
the evaluation's config, so that nothing is taken over from another network, user or data set. Parts of an evaluation that several
jobs play (`shard=K/N`) are merged by the same reading.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from interseg.metrics import OUTCOME


def fingerprint(folder: Path) -> str:
    """Twelve digits that stand for the config of the evaluation in a folder."""
    config = folder / "config.yaml"
    return hashlib.sha256(config.read_bytes() if config.exists() else b"").hexdigest()[:12]


def keep(folder: Path, process: str, batch: dict[str, Any]) -> None:
    """Append a played batch; floats are written so that they read back exactly, a line cut short by a kill is ended first."""
    line = {key: batch[key].tolist() for key in OUTCOME}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"objects.{fingerprint(folder)}.{process}.jsonl").open("ab+") as file:
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
