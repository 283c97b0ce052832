"""Reading checkpoints: tensors and plain values only, one clear error for what is none, and what tells their contents apart."""

import functools
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from interseg.errors import InputError

UNREAD = ("name", "run", "logger", "checkpoint", "shard", "evaluated", "digests")
"""Keys of a config under which a string is not the path of a file that a run reads to begin
with."""

SETTLED = 2 * 10**9
"""Nanoseconds after which a change cannot bear the time of the one before it."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU, its weights under `state_dict`; raises `InputError` for a damaged or foreign file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["state_dict"]
        return content
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ... for damaged or foreign files
        reason = str(error).splitlines()[0][:160]
        if reason.startswith(
            "Weights only load failed"
        ):  # advice that would unpickle a stranger's objects
            reason = "it is none, or holds more than tensors and plain values"
        raise InputError(f"{path} cannot be read as a checkpoint: {reason}") from None


def digest(path: str | Path) -> str:
    """Compute a file's SHA-256, once a process unless it has changed."""
    status = os.stat(path)
    settled = time.time_ns() - status.st_mtime_ns > SETTLED
    compute = _digest if settled else _digest.__wrapped__
    return compute(os.fspath(path), status.st_ino, status.st_size, status.st_mtime_ns)


@functools.cache
def _digest(path: str, *status: int) -> str:
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def named_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """Compute the SHA-256 of every file that a resolved config names, by its path there."""
    read = {key: value for key, value in config.items() if key not in UNREAD}
    return {path: digest(path) for path in sorted(set(_named_files(read)))}


def _named_files(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if os.path.isfile(value):
            yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _named_files(part)
