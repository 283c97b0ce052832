"""The record of an evaluation: each batch's outcome is saved at once, so that it can resume.

Each process appends to its own file, `objects.FINGERPRINT.PROCESS.jsonl` in the evaluation's
folder. The fingerprint covers the config, the files that it names and the list of objects: a
resumed evaluation takes no result from another network, user or list, but may run on another
machine. Photos and masks that are edited under their names are not seen. The parts of an
evaluation that several jobs play (`shard=K/N`) are merged when they are read. The record stays
beside the files that are written from it, so that a damaged file can be written again.
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

UNPLAYED = ("run", "logger", "checkpoint", "shard", "overwrite", "loading", "callbacks", "trainer")
"""Config keys on which the games do not depend, except for the values that `played_of` selects."""
WRITTEN = ("report.json", "objects.csv", "report.html")
"""Files that are written from a record."""
UNKNOWN = "unknown"
"""Fingerprint for reports of versions that wrote none."""


def played_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Select the part of a config that the figures depend on."""
    callbacks, trainer = config.get("callbacks") or {}, config.get("trainer") or {}
    facts = {key: value for key, value in config.items() if key not in UNPLAYED}
    facts["callbacks"] = {"loop": callbacks.get("loop")}
    facts["trainer"] = {key: trainer.get(key) for key in ("precision", "limit_test_batches")}
    if trainer.get("fast_dev_run"):
        facts["trainer"]["fast_dev_run"] = trainer["fast_dev_run"]
    return facts


def plays_all(limit: float | None) -> bool:
    """Tell whether `limit_test_batches` is all: the share 1.0, where the number 1 is one batch."""
    return limit is None or (isinstance(limit, float) and limit == 1.0)


class EvaluationRecord:
    """The record of one evaluation: its identity, and the batches that were played.

    Args:
        folder: Folder of the evaluation.
        config: Merged config with its interpolations. The digests of the files that it names are
            added: other content under the same path is another evaluation.
        names: Names of the objects, by id.
        shard: (k, n) if this is the k-th of n parts.
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
        self.keys: Sequence[str] = tuple(OUTCOME)
        """Values that a played object has; one without them, of an earlier version, is played
        again."""

    @cached_property
    def mark(self) -> str:
        """Fingerprint of the games: network, user and objects."""
        return self._fingerprint({})

    @cached_property
    def report_mark(self) -> str:
        """Fingerprint of the games and of their report: callbacks and logger too."""
        report = [self.config.get(key) for key in ("callbacks", "logger")]
        return self._fingerprint({"report": report})

    def _fingerprint(self, more: dict[str, Any]) -> str:
        facts = OmegaConf.create(played_of(self.config) | more)
        lines = [OmegaConf.to_yaml(facts, sort_keys=True), *self.names]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def file(self, rank: int) -> Path:
        """Return the path of a process's file."""
        process = f"{self.shard[0]}of{self.shard[1]}.{rank}" if self.shard else str(rank)
        return self.folder / f"objects.{self.mark}.{process}.jsonl"

    def keep(self, rank: int, outcome: Mapping[str, torch.Tensor], keys: Sequence[str]) -> None:
        """Append parts of a played batch's outcome.

        Floats read back exactly. A line that a kill has cut is ended first.
        """
        line = {key: outcome[key].tolist() for key in keys}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file(rank).open("ab+") as file:
            cut = file.tell() > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n"
            file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")

    def read_batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches that this evaluation's processes have saved; skip incomplete lines."""
        for path in sorted(self.folder.glob(f"objects.{self.mark}.*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    items = json.loads(line).items()
                    outcome = {key: torch.from_numpy(np.array(value)) for key, value in items}
                # cut lines, and lines that hold other JSON
                except (ValueError, TypeError, AttributeError):
                    continue
                if outcome.keys() >= set(self.keys):
                    yield outcome

    def read_ids(self) -> set[int]:
        """Return the ids of the objects that are finished."""
        return {id for ids in self.read_ids_by_batch() for id in ids}

    def read_ids_by_batch(self) -> list[list[int]]:
        """Return the ids of the objects that are finished, batch by batch as they were played."""
        return [outcome["id"].tolist() for outcome in self.read_batches()]

    def is_finished(self, page: bool = False, problems: Sequence[str] = ()) -> bool:
        """Test whether the report and the table are complete and cover all objects.

        Args:
            page: Whether there must be a `report.html` too.
            problems: What is wrong with the data's list, which no further evaluation mends.
        """
        if page and not (self.folder / WRITTEN[2]).is_file():
            return False
        report = self.read_report()
        wanted = {"fingerprint": self.report_mark, "objects": len(self.names)}
        try:
            written = len(read_objects(self.folder / "objects.csv")[1])
        except (OSError, InputError):
            return False
        unread = set(report.get("errors", [""])) - set(problems)
        return wanted.items() <= report.items() and not unread and written == len(self.names)

    def is_reported(self) -> bool:
        """Test whether the folder's report is of these games, whatever it shows."""
        return bool(self.read_report().get("fingerprint_played") == self.mark)

    def read_report(self) -> dict[str, Any]:
        """Read the figures in the folder's report; none if there is no complete report."""
        try:
            return dict(json.loads((self.folder / "report.json").read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def has_others(self) -> bool:
        """Test whether the folder holds results of another evaluation or without fingerprint."""
        marks = {path.name.split(".")[1] for path in self.folder.glob("objects.*.jsonl")}
        if report := self.read_report():
            marks.add(report.get("fingerprint_played", UNKNOWN))
        return bool(marks - {self.mark})

    def forget_report(self) -> None:
        """Remove the files that were written from a record, unless they are this evaluation's."""
        if self.read_report().get("fingerprint") != self.report_mark:
            for name in WRITTEN:
                (self.folder / name).unlink(missing_ok=True)

    def replace_others(self) -> None:
        """Remove what the folder holds of other evaluations."""
        self.forget_others()
        self.forget_report()

    def forget(self) -> None:
        """Remove all that the folder holds of evaluations."""
        self.forget_others(own=True)
        for name in WRITTEN:
            (self.folder / name).unlink(missing_ok=True)

    def forget_others(self, own: bool = False) -> None:
        """Remove other evaluations' records from the folder, and with `own` this one's too."""
        keep = set() if own else set(self.folder.glob(f"objects.{self.mark}.*.jsonl"))
        for path in set(self.folder.glob("objects.*.jsonl")) - keep:
            path.unlink(missing_ok=True)
