"""Messages between a method that learns volumes and the person who labels slices."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from interseg.continual.teacher import Listener
from interseg.volumes.slices import Mask


class MetVolume(NamedTuple):
    """A volume before a round, as the person sees it."""

    task: int
    """Number of the volume's task: 0, 1, ..."""
    round: int
    """Number of the round in it: 0, 1, ..."""
    id: int
    """The volume's number in the stream."""
    probabilities: NDArray[np.floating] | None
    """(D, H, W) answer of the method; None if it has not learned anything yet."""


class ToldSlices(NamedTuple):
    """The person's labels of a round."""

    slices: dict[int, dict[int, Mask]]
    """Masks of all slices that were labelled so far, by axis and number."""
    new: bool
    """Whether any of them was labelled, or changed, in this round."""
    last: bool
    """Whether this is the volume's last round."""


class SliceTeacher(Listener, Protocol):
    """Side of a person who teaches volumes."""

    def meet(self, met: MetVolume) -> ToldSlices:
        """Wait until the person has labelled."""
