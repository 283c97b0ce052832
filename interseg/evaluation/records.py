"""The record of an evaluation: each batch's outcome is kept as it comes, so that a killed evaluation goes on and a damaged one is repaired.

A process appends to a file of its own, `objects.FINGERPRINT.PROCESS.jsonl` in the evaluation's
folder. The fingerprint stands for what the figures depend on, so that nothing is taken over from
another network, user or list of objects, while the machine may be another. Parts of an evaluation
that several jobs play (`shard=K/N`) are merged by the same reading. The record stays, beside the
files that are written from it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from interseg.checkpoints import named_digests
from interseg.errors import InputError
from interseg.evaluation.comparison import read_objects
from interseg.evaluation.metrics import OUTCOME

ELSEWHERE = ("run", "logger", "checkpoint", "shard", "overwrite", "loading", "callbacks", "trainer")
"""Keys of a config that do not change what is played, but for what `played_of` takes from them."""
WRITTEN = ("report.json", "objects.csv", "report.html")
"""What is written from a record."""
UNKNOWN = "unknown"
"""Fingerprint of what is played in a report of before there was one."""


def played_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Select what of a config the figures depend on."""
    callbacks, trainer = config.get("callbacks") or {}, config.get("trainer") or {}
    facts = {key: value for key, value in config.items() if key not in ELSEWHERE}
    facts["callbacks"] = {"loop": callbacks.get("loop")}
    facts["trainer"] = {key: trainer.get(key) for key in ("precision", "limit_test_batches")}
    return facts


class EvaluationRecord:
    """What an evaluation is of, and what of it is played.

    Args:
        folder: of the evaluation.
        config: merged, interpolations kept; the digests of the files that it names are added:
            other content under the same path is another evaluation.
        names: of the objects, by id.
        shard: (k, n) where this is the k-th of n parts.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        names: Sequence[str],
        shard: tuple[int, int] | None = None,
    ) -> None:
        digests = {**config.get("digests", {}), **named_digests(config)}
        self.config = {**config, "digests": digests}
        self.folder, self.names, self.shard = folder, list(names), shard

    @cached_property
    def mark(self) -> str:
        """Fingerprint of what is played: by which network and user, on which objects."""
        return self._fingerprint({})

    @cached_property
    def report_mark(self) -> str:
        """Fingerprint of what is reported of it too, and where."""
        return self._fingerprint(
            {"report": [self.config.get(key) for key in ("callbacks", "logger")]}
        )

    def _fingerprint(self, more: dict[str, Any]) -> str:
        facts = OmegaConf.create(played_of(self.config) | more)
        lines = [OmegaConf.to_yaml(facts, sort_keys=True), *self.names]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def file(self, rank: int) -> Path:
        """Name where a process keeps its batches."""
        process = f"{self.shard[0]}of{self.shard[1]}.{rank}" if self.shard else str(rank)
        return self.folder / f"objects.{self.mark}.{process}.jsonl"

    def keep(self, rank: int, outcome: Mapping[str, torch.Tensor], keys: Sequence[str]) -> None:
        """Append parts of a played batch's outcome; floats read back exactly, a line cut short by a kill is ended first."""
        line = {key: outcome[key].tolist() for key in keys}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file(rank).open("ab+") as file:
            cut = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
            file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")

    def kept(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches that processes of this very evaluation have kept; a line that was left incomplete is left out."""
        for path in sorted(self.folder.glob(f"objects.{self.mark}.*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    outcome = {
                        key: torch.from_numpy(np.array(value))
                        for key, value in json.loads(line).items()
                    }
                except (
                    ValueError,
                    TypeError,
                    AttributeError,
                ):  # cut lines, and JSON of anything else
                    continue
                if outcome.keys() >= set(OUTCOME):
                    yield outcome

    def kept_ids(self) -> set[int]:
        """Give the objects that are finished."""
        return {id for outcome in self.kept() for id in outcome["id"].tolist()}

    def finished(self) -> bool:
        """Tell whether the evaluation has ended and its files are whole: the report and the table are of all objects."""
        wanted = {"fingerprint": self.report_mark, "objects": len(self.names), "errors": []}
        try:
            written = len(read_objects(self.folder / "objects.csv")[1])
            return wanted.items() <= self.reported().items() and written == len(self.names)
        except (OSError, InputError):
            return False

    def reported(self) -> dict[str, Any]:
        """Read the figures in the folder's report; none where there is no whole one."""
        try:
            return dict(json.loads((self.folder / "report.json").read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def held_by_another(self) -> bool:
        """Tell whether the folder holds results of another evaluation, or of one that has no fingerprint."""
        marks = {path.name.split(".")[1] for path in self.folder.glob("objects.*.jsonl")}
        if report := self.reported():
            marks.add(report.get("fingerprint_played", UNKNOWN))
        return bool(marks - {self.mark})

    def forget_report(self) -> None:
        """Remove what was written from a record, unless it is this evaluation's."""
        if self.reported().get("fingerprint") != self.report_mark:
            for name in WRITTEN:
                (self.folder / name).unlink(missing_ok=True)

    def forget_others(self, own: bool = False) -> None:
        """Remove the records of other evaluations in the folder, and with `own` this one's too."""
        keep = set() if own else set(self.folder.glob(f"objects.{self.mark}.*.jsonl"))
        for path in set(self.folder.glob("objects.*.jsonl")) - keep:
            path.unlink(missing_ok=True)
