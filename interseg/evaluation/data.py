"""Protocols of the data that an evaluation plays."""

from typing import Protocol

from interseg.batches import ClickBatch
from interseg.evaluation.records import EvaluationRecord


class NamedObjects(Protocol):
    """A numbered list of objects."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Name an object for a person."""


class EvaluationData(Protocol):
    """A data module of clicks, as callbacks see it."""

    record: EvaluationRecord | None
    """Record of the evaluation; None for a test without evaluate.py."""
    finished: set[int]
    """Objects that need not be played again."""

    @property
    def problems(self) -> list[str]:
        """Files that could not be read while the splits were listed, one line each."""

    @property
    def notes(self) -> list[str]:
        """Decisions about files that could be read in two ways, one line each."""

    @property
    def left_out(self) -> list[str]:
        """Files that belong to no split, one line a kind."""

    def names(self, split: str) -> list[str]:
        """Name the objects of a split, by their ids."""

    def objects(self, split: str) -> NamedObjects:
        """Open the objects of a split."""

    def single(self, split: str, index: int) -> ClickBatch:
        """Make a batch of one object."""
