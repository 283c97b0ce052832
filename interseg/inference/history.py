"""The history of a session: its steps, click by click, undone and done again.

Nothing here imports torch, so that sessions on exports have one too.
"""

import math
from typing import Generic, Protocol, TypeVar

from interseg.clicks.layout import Click, Clicks, Mask, clicks_of, no_clicks
from interseg.errors import InputError


class Answered(Protocol):
    """The session after a click, or before the first one, as far as a history knows it."""

    @property
    def click(self) -> Click | None:
        """The click; None before the first one."""

    @property
    def mask(self) -> Mask:
        """Mask (H, W) after it."""

    @property
    def seconds(self) -> float:
        """Seconds of the answer."""


S = TypeVar("S", bound=Answered)


class History(Generic[S]):
    """Base of the sessions: the steps so far, of which the last one is shown.

    Args:
        first: Step before the first click.
        undoable: Whether earlier answers are kept for undo.
    """

    def __init__(self, first: S, undoable: bool = True) -> None:
        self.undoable = undoable
        self._steps: list[S] = [first]
        self._undone: list[S] = []

    @property
    def mask(self) -> Mask:
        """Answer (H, W) to the clicks so far: bool, or classes."""
        return self._steps[-1].mask

    @property
    def clicks(self) -> Clicks:
        """Clicks (n, 4): y, x, label, kind."""
        given = [step.click for step in self._steps[1:] if step.click is not None]
        return clicks_of(given) if given else no_clicks()

    @property
    def seconds(self) -> list[float]:
        """Seconds of the answer to each click."""
        return [step.seconds for step in self._steps[1:]]

    @property
    def steps(self) -> list[S]:
        """The session before the first click and after each one."""
        return list(self._steps)

    def undo(self) -> Mask:
        """Undo the last click; raises `InputError` if there is none or `undoable` is False."""
        if len(self._steps) == 1:
            raise InputError("there is no click to undo")
        if not self.undoable:
            raise InputError("this session keeps no earlier answers; open it with undoable=True")
        self._undone.append(self._steps.pop())
        return self.mask

    def redo(self) -> Mask:
        """Redo the click that was undone last.

        Raises:
            InputError: No click was undone, or another click followed.
        """
        if not self._undone:
            raise InputError("there is no click to redo")
        self._steps.append(self._undone.pop())
        return self.mask

    def reset(self) -> Mask:
        """Undo all clicks; raises `InputError` after a click with `undoable=False`."""
        while len(self._steps) > 1:
            self.undo()
        return self.mask

    def take(self, step: S) -> None:
        """Add the answer to a click; what was undone cannot be done again."""
        self._steps.append(step)
        self._undone = []

    def begin(self, first: S) -> None:
        """Discard all steps, and begin with another first one."""
        self._steps, self._undone = [first], []


def logit_of(threshold: float) -> float:
    """Compute the logit of a threshold.

    Raises:
        InputError: A threshold that is no probability between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold}; it is a probability between 0 and 1")
    return math.log(threshold / (1 - threshold))
