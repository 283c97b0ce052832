"""Contracts of streams of volumes: methods that learn from them, data modules that give them.

The callbacks of streams see a method and its data through these alone.
"""

from typing import Protocol

from torch import Tensor

from interseg.batches import VolumeBatch


class VolumeMethod(Protocol):
    """A method that learns from a stream of volumes."""

    start_anew: str
    """What begins with the first weights: each "permutation", each "volume", or "never" another."""

    def meet(self, batch: VolumeBatch) -> Tensor | None:
        """Answer a volume before a round: (1, 1, D, H, W) probabilities.

        None where nothing has been learned yet.
        """

    def predict(self, volume: Tensor) -> Tensor:
        """Answer a volume (1, 1, D, H, W): probabilities of the same shape."""


class VolumeStream(Protocol):
    """A data module that gives permutations of volumes, and holds some volumes out."""

    crop: str
    """Box that volumes are cropped to: "nonzero", "target" or "none"."""
    learn_from: str
    """Volumes that are played: "rest" or "held_out"."""

    def split(self) -> tuple[list[int], list[int]]:
        """Return the volumes that are held out, and those that are learned from."""

    def streamed(self) -> list[int]:
        """Return the volumes of the stream."""

    def order(self, permutation: int) -> list[int]:
        """Return the volumes that a permutation plays, in order."""

    def one(self, index: int) -> VolumeBatch:
        """Return a volume as a batch."""


class TaughtVolumeMethod(VolumeMethod, Protocol):
    """A method that a person may teach: it can say how long a round takes."""

    def updates(self, round: int) -> int:
        """Return the number of updates of the weights that a round takes in which something was labelled."""


class OpenVolumes(Protocol):
    """A data module whose volumes have as many rounds as they need, and to which volumes may be added."""

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next volume after a volume's last one."""
