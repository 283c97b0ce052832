"""Contracts of streams of volumes, over those of `interseg/continual/stream.py`."""

from typing import Protocol

from torch import Tensor

from interseg.batches import VolumeBatch
from interseg.continual.protocol import StreamProtocol
from interseg.continual.stream import RoundMethod


class VolumeMethod(RoundMethod[VolumeBatch, Tensor], Protocol):
    """A method that learns volumes, answering each with probabilities (1, 1, D, H, W)."""


class VolumeStream(Protocol):
    """A data module with permutations of volumes and some held-out volumes."""

    crop: str
    """Box that volumes are cropped to: "nonzero", "target" or "none"."""
    protocol: StreamProtocol

    def split(self) -> tuple[list[int], list[int]]:
        """Return the held-out volumes and the others."""

    def streamed(self) -> list[int]:
        """Return the volumes of the stream."""

    def order(self, permutation: int) -> list[int]:
        """Return the volumes that a permutation plays, in order."""

    def one(self, index: int) -> VolumeBatch:
        """Return a volume as a batch."""
