"""Rounds of a photo or a volume that is taught, from its journal alone.

A round is decided by the person, then learned by the method, then over.

A round is decided by "teach", or by "next", which ends the photo; it may be cancelled while it is
learned, and is over with the event "taught". A killed server learns a round that was decided and is
not over again, of what was said until then.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from annotate.journal import Event
from interseg.errors import InputError


class Decision(NamedTuple):
    """Decision of a person on a round."""

    said: int
    """Number of labels, or of events of slices, that there were until then."""
    last: bool
    """Tells whether the photo is done with this round."""


class Taught(NamedTuple):
    """Result of a round."""

    answer: Any
    """The refined answer."""
    seconds: float
    """Seconds that the method learned."""
    activation: list[str]
    """A digit for each kernel of each layer, 9 for one that is switched on; empty without gates."""
    iou: float | None
    """Mean IoU of the answer, where truth is known."""


@dataclass
class Rounds:
    """State that photos and volumes that are taught share."""

    decided: dict[int, Decision] = field(default_factory=dict)
    """Decisions by round."""
    rounds: list[Taught] = field(default_factory=list)
    met: Any = None
    """The answer before the first round; None while it was not met."""
    spent: float = 0.0
    """Seconds that the person needed."""
    problem: str = ""
    """Why the round that was decided last was not learned."""

    @property
    def round(self) -> int:
        """Number of the round that is next."""
        return len(self.rounds)

    @property
    def kept(self) -> int:
        """Number of labels, or of events of slices, that have been taught."""
        return self.decided[self.round - 1].said if self.rounds else 0

    @property
    def learning(self) -> bool:
        """True while a round is decided and not over."""
        return self.round in self.decided

    @property
    def finished(self) -> bool:
        """True when the photo is done."""
        return bool(self.rounds) and self.decided[self.round - 1].last

    @property
    def answer(self) -> Any:
        """The newest answer."""
        return self.rounds[-1].answer if self.rounds else self.met


def apply_round(rounds: Rounds, event: Event, said: int) -> None:
    """Let an event of a round happen; raises `InputError` for one that this version does not know.

    Args:
        rounds: Rounds of what is taught.
        event: Event that happens.
        said: Count of what has been said.
    """
    do = event["do"]
    if do in ("teach", "next"):
        rounds.decided[event["round"]] = Decision(said, do == "next")
        rounds.problem = ""
    elif do == "cancel":
        del rounds.decided[event["round"]]
        rounds.problem = event.get("problem", "")
    elif do == "met":
        rounds.met = event["answer"]
    elif do == "taught":
        rounds.rounds.append(
            Taught(event["answer"], event["seconds"], event.get("activation", []), event.get("iou"))
        )
    elif do != "begin":
        raise InputError(
            f"{do!r} is an event that this version does not know; "
            "a newer annotator may have written it"
        )


def decision_of(rounds: Rounds, do: str, new: bool) -> Event | None:
    """Make the event of a request about a round; None for a request about something else.

    Args:
        rounds: Rounds of what is taught.
        do: Action that is asked for.
        new: Whether something was said that has not been taught.

    Raises:
        InputError: it cannot be done now.
    """
    if do == "cancel":
        if not rounds.learning:
            raise InputError("there is nothing to cancel, the round is over")
        return {"do": do, "round": rounds.round}
    if rounds.learning:
        raise InputError("the round is being learned; wait, or cancel it")
    if do not in ("teach", "next"):
        return None
    if do == "teach" and not new:
        raise InputError("nothing new is labelled; label something, or go on to the next one")
    return {"do": do, "round": rounds.round}
