"""What an evaluation asks of the data that it plays."""

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
    """Of the evaluation that is played; None for a test without evaluate.py."""
    finished: set[int]
    """Objects that need not be played again."""

    @property
    def problems(self) -> list[str]:
        """What could not be read while the splits were listed, a line each."""

    @property
    def notes(self) -> list[str]:
        """What was decided about files that could be read in two ways, a line each."""

    @property
    def left_out(self) -> list[str]:
        """Files that are none of the splits', a line a kind."""

    def names(self, split: str) -> list[str]:
        """Name the objects of a split, by their ids."""

    def objects(self, split: str) -> NamedObjects:
        """Open the objects of a split."""

    def single(self, split: str, index: int) -> ClickBatch:
        """Make a batch of one object."""
