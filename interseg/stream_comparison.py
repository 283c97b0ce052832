"""Runs of task streams set against each other: an array's runs of single sequences are one method, sequences are paired."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import OmegaConf

from interseg.comparison import OWN, grouped
from interseg.errors import InputError
from interseg.metrics import interval

FIGURES = ("basic", "forward", "backward", "drop")
KINDS = {"": "mean IoU", "official_": "the official code's IoU: classes by area, annotated pixels included"}
"""Prefixes of the figures in `transfer.json`, and what they are."""
Sequences = dict[str, dict[str, float]]
"""The figures of each sequence, by its number."""


@dataclass(frozen=True)
class StreamRun:
    """A run's folder with `transfer.json`, read; raises `InputError` for another one."""

    folder: Path
    config: dict[str, Any] = field(init=False)
    sequences: Sequences = field(init=False)

    def __post_init__(self) -> None:
        try:
            found = json.loads((self.folder / "transfer.json").read_text())["sequences"]
            sequences = {k: {name: float(figures[name]) for name in names()} for k, figures in found.items()}
            config = OmegaConf.to_container(OmegaConf.load(self.folder / "config.yaml"))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:  # what readers raise for damaged files
            raise InputError(
                f"{self.folder} holds no finished sequence of tasks ({error}); give runs of train.py with clis/tasks.yaml"
            ) from None
        object.__setattr__(self, "sequences", sequences)
        object.__setattr__(self, "config", config)


def names() -> list[str]:
    """Of all figures of a sequence."""
    return [prefix + figure for prefix in KINDS for figure in FIGURES]


def stream_methods(named: Sequence[tuple[str | None, StreamRun]]) -> dict[str, Sequences]:
    """The sequences of each method, see `grouped`; which of them a run has played makes no difference.

    Raises:
        InputError: two runs of one method with the same sequence; methods that have played different ones.
    """
    methods: dict[str, Sequences] = {}
    for name, runs in grouped(named, [*OWN, "data.sequence", "trainer.max_epochs"]).items():
        methods[name] = {}
        for run in runs:
            for number in run.sequences.keys() & methods[name].keys():
                raise InputError(f"{name}: {run.folder} and another run have both played sequence {number}; give each once, or a name each")
            methods[name] |= run.sequences
    first, sequences = next(iter(methods.items()))
    for name, others in methods.items():
        if odd := sorted(sequences.keys() ^ others.keys(), key=int):
            raise InputError(f"{first} and {name} have not both played sequence {odd[0]}; compare runs of the same sequences")
    return methods


def transfer_table(methods: dict[str, Sequences], prefix: str = "") -> str:
    """Markdown: means over sequences, and how much better the first method is than each other one, with bootstrap intervals."""
    first, theirs = next(iter(methods.items()))
    headings = [*FIGURES, *(f"{first} drops less by" if figure == "drop" else f"{first}'s lead, {figure}" for figure in FIGURES)]
    lines = ["| | " + " | ".join(headings) + " |", "|---" * (2 * len(FIGURES) + 1) + "|"]
    for method, own in methods.items():
        means, leads = [], []
        for figure in FIGURES:
            means.append(f"{np.mean([own[k][prefix + figure] for k in own]):.3f}")
            lead = [(-1 if figure == "drop" else 1) * (theirs[k][prefix + figure] - own[k][prefix + figure]) for k in own]
            low, high = interval(lead)
            leads.append("" if method == first else f"{np.mean(lead):+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(f"| {method} | " + " | ".join([*means, *leads]) + " |")
    return "\n".join(lines)
