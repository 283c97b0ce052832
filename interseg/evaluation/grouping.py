"""Runs grouped by their configs: those of one method, and what tells methods apart."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from interseg.errors import InputError

OWN = (
    *("run", "seed", "weights", "evaluated", "digests", "checkpoint", "shard", "overwrite"),
    *("logger", "loading.num_workers", "callbacks.loop.seed"),
)
"""Config keys in which runs of one method may differ; paths of checkpoints may differ too."""


class Run(Protocol):
    """A run that can be grouped by its config."""

    @property
    def folder(self) -> Path:
        """Folder of the run."""

    @property
    def config(self) -> dict[str, Any]:
        """Config of the run."""


R = TypeVar("R", bound=Run)


def group_runs(
    named: Sequence[tuple[str | None, R]], own: Sequence[str] = OWN
) -> dict[str, list[R]]:
    """Group runs by method, in the order given.

    Runs of one name belong together; without names, runs whose configs differ only in `own` keys.
    A method without a name is called by the config values that distinguish it from the others, or
    by its folder.
    """
    groups: dict[str, list[R]] = {}
    given: list[str | None] = []
    for name, run in named:
        key = name or json.dumps(flat(run.config, own), sort_keys=True)
        if key not in groups:
            given.append(name)
        groups.setdefault(key, []).append(run)
    firsts = [runs[0] for runs in groups.values()]
    unnamed = [run for name, run in zip(given, firsts, strict=True) if name is None]
    names = [name or tell_apart(run, unnamed, own) for name, run in zip(given, firsts, strict=True)]
    names = [
        name if names.count(name) == 1 else str(run.folder)
        for name, run in zip(names, firsts, strict=True)
    ]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{twice[0]} is given twice, once by a name; give each folder once")
    return dict(zip(names, groups.values(), strict=True))


def flat(config: dict[str, Any], own: Sequence[str] = OWN, path: str = "") -> dict[str, Any]:
    """Flatten a config to its leaves by dotted path, without `own` keys."""
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


def tell_apart(run: Run, others: Sequence[Run], own: Sequence[str] = OWN) -> str:
    """Name a run by its name and at most three leaves of its config that not all runs share."""
    leaves = flat(run.config, own)
    rest = [flat(other.config, own) for other in others]
    differing = []
    for key, value in leaves.items():
        if key == "name" or isinstance(value, list):
            continue
        if any(other.get(key) != value for other in rest):
            differing.append(format_leaf(key, value))
    name = str(leaves.get("name", run.folder.name))
    return ", ".join([name, *differing[:3]])


def format_leaf(key: str, value: Any) -> str:
    """Write a leaf in short: the last part of its path and its value.

    A class is written as the name of its node and its own name.
    """
    *node, last = key.split(".")
    if last == "_target_" and node:
        return f"{node[-1]}={value.split('.')[-1]}"
    return f"{last}={value}"
