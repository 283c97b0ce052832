"""What passes between a method that is taught volumes and the person who labels slices; neither knows the other's side."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from interseg.continual.teacher import Listener
from interseg.volumes.slices import Mask


class MetVolume(NamedTuple):
    """What a person is shown before a round."""

    task: int
    """Number of the volume's task: 0, 1, ..."""
    round: int
    """Number of the round in it: 0, 1, ..."""
    id: int
    """The volume's number in the stream."""
    probabilities: NDArray[np.floating] | None
    """(D, H, W) the method's answer; None where it has learned nothing yet."""


class ToldSlices(NamedTuple):
    """What the person says."""

    slices: dict[int, dict[int, Mask]]
    """Masks of all slices that were labelled so far, by axis and number."""
    new: bool
    """Whether any of them was labelled, or changed, in this round."""
    last: bool
    """Whether the volume is done with this round."""


class SliceTeacher(Listener, Protocol):
    """Side of a person who teaches volumes."""

    def meet(self, met: MetVolume) -> ToldSlices:
        """Wait until the person has labelled."""
