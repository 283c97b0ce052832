"""Checkpoints: reading tensors and plain values only, with clear errors, and digests of files."""

import functools
import glob
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interseg.errors import InputError

UNREAD = ("name", "run", "logger", "checkpoint", "shard", "evaluated", "digests")
"""Config keys whose strings are not paths of files that a run reads at its start."""

SETTLED = 2 * 10**9
"""Nanoseconds after which a new change of a file is sure to have another time."""


def sized_as(buffer: Tensor, state: Mapping[str, Tensor], key: str) -> Tensor:
    """Make a buffer of the size that a state has for it, on the buffer's own device.

    A state may have been copied on another device than the module is on now.
    """
    return torch.empty_like(state.get(key, buffer), device=buffer.device)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU, with its weights under `state_dict`.

    Raises:
        InputError: A damaged or foreign file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content["state_dict"]
        return content
    except Exception as error:  # RuntimeError, UnpicklingError, EOFError, KeyError, ...
        reason = str(error).splitlines()[0][:160]
        # torch's own advice would unpickle a stranger's objects
        if reason.startswith("Weights only load failed"):
            reason = "it is none, or holds more than tensors and plain values"
        raise InputError(f"{path} cannot be read as a checkpoint: {reason}") from None


def digest(path: str | Path) -> str:
    """Compute a file's SHA-256; a process reads a file again only if it has changed."""
    status = os.stat(path)
    settled = time.time_ns() - status.st_mtime_ns > SETTLED
    compute = _digest if settled else _digest.__wrapped__
    return compute(os.fspath(path), status.st_ino, status.st_size, status.st_mtime_ns)


@functools.cache
def _digest(path: str, *status: int) -> str:
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def named_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """Compute the SHA-256 of every file that a resolved config names, by its path there.

    Of a model of transformers, a folder with a `config.json` that `model` names, all files count,
    of an ONNX file those named after it (`encoder.onnx.data`), which hold its weights, too.
    """
    read = {key: value for key, value in config.items() if key not in UNREAD}
    named = {*_named_files(read), *_files_below(_named_paths(config.get("model")))}
    weights = {str(p) for one in named if one.endswith(".onnx") for p in _weights_beside(one)}
    return {path: digest(path) for path in sorted(named | weights)}


def _named_files(value: Any) -> Iterator[str]:
    return (path for path in _named_paths(value) if os.path.isfile(path))


def _named_paths(value: Any) -> Iterator[str]:
    """Yield the files and folders that a config's values name."""
    if isinstance(value, str):
        if value and os.path.exists(value):
            yield value
    elif isinstance(value, Mapping | list | tuple):
        parts = value.values() if isinstance(value, Mapping) else value
        for part in parts:
            yield from _named_paths(part)


def _files_below(paths: Iterable[str]) -> Iterator[str]:
    for folder in paths:
        if os.path.isfile(os.path.join(folder, "config.json")):
            yield from (str(file) for file in Path(folder).rglob("*") if file.is_file())


def _weights_beside(file: str) -> Iterator[Path]:
    """Yield `encoder.onnx.data` and the like, in which ONNX keeps what a file has no room for."""
    path = Path(file)
    return (one for one in path.parent.glob(f"{glob.escape(path.name)}?*") if one.is_file())


def mismatches(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """List the keys that only one of two state dicts has, else those of different shapes."""
    missing = sorted(given.keys() ^ own.keys())
    if missing:
        return missing
    return [key for key, value in own.items() if given[key].shape != value.shape]
