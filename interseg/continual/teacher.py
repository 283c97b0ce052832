"""Messages between a method that is taught and the person who teaches it."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from interseg.continual.annotations import Annotation


class Met(NamedTuple):
    """Round as a person is shown it."""

    task: int
    """Number of the photo's task: 0, 1, ..."""
    round: int
    """Number of the round in it: 0, 1, ..."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB, at the size that the method learns."""
    probabilities: NDArray[np.floating]
    """(C, H, W) the method's answer."""
    uncertainty: NDArray[np.floating]
    """(H, W) of the answer, in nats."""
    epistemic: NDArray[np.floating]
    """(H, W) its part that more learning would take away, in nats."""
    segments: NDArray[np.int64]
    """(H, W) superpixels, numbered from 0."""
    neighbour: tuple[int, float, bool] | None
    """Task that the photo is most like, the distance to it, and whether that is near enough to
    begin with its kernels.

    Tasks that the method had learned before its lessons have numbers below 0.
    """


class Told(NamedTuple):
    """Answer of the person to a round."""

    annotation: Annotation
    """(H, W) classes that were given in this round, 255 elsewhere."""
    new: int
    """Number of superpixels, clicks and scribbles among them."""
    last: bool
    """Whether the photo is done with this round."""


class Learned(NamedTuple):
    """Result of a round, of a photo or of a volume."""

    task: int
    round: int
    last: bool
    probabilities: NDArray[np.floating]
    """Refined answer: (C, H, W) of a photo, (1, D, H, W) of a volume."""
    activation: list[NDArray[np.floating]]
    """State of each layer's kernels, (K,) from 0 (off) to 1 (on); empty without gates."""


class Student(Protocol):
    """A method in the middle of its lessons, while it waits for the person."""

    def answer(self, task: int) -> NDArray[np.int64]:
        """Answer the photo of a task that is over, with what was learned since: (H, W) classes."""


class Listener(Protocol):
    """Side of a person who teaches photos or volumes, as far as it hears of what is learned.

    All is called by the thread that learns, and each may raise to end the lessons.
    """

    def update(self, done: int, of: int) -> None:
        """Hear of an update of the weights, the `done`-th of a round's."""

    def learned(self, learned: Learned) -> None:
        """Hear of a round's end, before its state is kept."""

    def rest(self) -> None:
        """Wait for photos or volumes: there are no more."""


class Teacher(Listener, Protocol):
    """Side of a person who teaches photos."""

    def begin(self, student: Student) -> None:
        """Hear who is taught."""

    def meet(self, met: Met) -> Told:
        """Wait until the person has annotated."""
