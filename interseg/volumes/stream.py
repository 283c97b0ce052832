"""Protocols of streams of volumes: methods that learn from them, data modules that give them.

The callbacks of streams use a method and its data only through these.
"""

from typing import Protocol

from torch import Tensor

from interseg.batches import VolumeBatch


class VolumeMethod(Protocol):
    """A method that learns from a stream of volumes."""

    start_anew: str
    """Unit at whose start the weights are reset: "permutation", "volume", or "never"."""

    def meet(self, batch: VolumeBatch) -> Tensor | None:
        """Return the probabilities (1, 1, D, H, W) of a volume before a round.

        None if the method has not learned anything yet.
        """

    def predict(self, volume: Tensor) -> Tensor:
        """Compute the probabilities of a volume (1, 1, D, H, W), in the same shape."""


class VolumeStream(Protocol):
    """A data module with permutations of volumes and some held-out volumes."""

    crop: str
    """Box to which volumes are cropped: "nonzero", "target" or "none"."""
    learn_from: str
    """Volumes that are played: "rest" or "held_out"."""

    def split(self) -> tuple[list[int], list[int]]:
        """Return the held-out volumes and the others."""

    def streamed(self) -> list[int]:
        """Return the volumes of the stream."""

    def order(self, permutation: int) -> list[int]:
        """Return the volumes that a permutation plays, in order."""

    def one(self, index: int) -> VolumeBatch:
        """Return a volume as a batch."""


class TaughtVolumeMethod(VolumeMethod, Protocol):
    """A method that a person may teach, and whose rounds have a known length."""

    def updates(self, round: int) -> int:
        """Return the number of weight updates of a round with new labels."""


class OpenVolumes(Protocol):
    """A data module with any number of rounds a volume, to which volumes may be added."""

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next volume after a volume's last one."""
