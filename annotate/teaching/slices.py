"""State of a taught volume, from its journal alone: drawn slices, and the rounds of `rounds.py`.

A slice is drawn as an object of a photo is (`annotate.state`): by clicks that a network answers,
and by brush; its events name the axis that it is counted along and its number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotate.journal import Event
from annotate.state import State, Thing, decode, encode, object_mask
from annotate.state import apply as apply_to_slice
from annotate.teaching.rounds import Rounds, apply_round
from interseg.volumes.slices import Mask, other_axes

Place = tuple[int, int]
"""Axis and number of a slice."""


@dataclass
class VolumeLecture(Rounds):
    """A volume after some events; its answers are run lengths of `encode_volume`, "" for none."""

    drawn: dict[Place, State] = field(default_factory=dict)
    said: int = 0
    """Number of events of slices."""

    @property
    def labelled(self) -> dict[Place, Thing]:
        """Drawings by slice; a slice on which everything was undone is left out."""
        things = {
            place: state.things[1]
            for place, state in sorted(self.drawn.items())
            if 1 in state.things
        }
        return {place: thing for place, thing in things.items() if thing.actions}

    def masks(self, shape: Sequence[int]) -> dict[int, dict[int, Mask]]:
        """Masks (h, w) of the labelled slices by axis and number."""
        found: dict[int, dict[int, Mask]] = {}
        for (axis, number), thing in self.labelled.items():
            mask = object_mask(thing.runs, slice_size(shape, axis))
            found.setdefault(axis, {})[number] = mask
        return found


def replay(events: Iterable[Event]) -> VolumeLecture:
    """Give the state after events."""
    lecture = VolumeLecture()
    for event in events:
        apply(lecture, event)
    return lecture


def apply(lecture: VolumeLecture, event: Event) -> None:
    """Let an event happen; raises `InputError` for one that this version does not know."""
    if "axis" in event:
        apply_to_slice(lecture.drawn.setdefault((event["axis"], event["number"]), State()), event)
        lecture.said += 1
    else:
        apply_round(lecture, event, lecture.said)
    lecture.spent += event.get("spent", 0.0)


def replay_to_decision(events: Sequence[Event], round: int) -> VolumeLecture:
    """Give the state in which a round was decided."""
    last = max(
        i
        for i, event in enumerate(events)
        if event["do"] in ("teach", "next") and event["round"] == round
    )
    return replay(events[: last + 1])


def slice_size(shape: Sequence[int], axis: int) -> tuple[int, int]:
    """Height and width of the slices along an axis of a volume (D, H, W)."""
    first, second = other_axes(axis)
    return shape[first], shape[second]


def encode_volume(mask: NDArray[np.bool_]) -> str:
    """Write a mask (D, H, W) as the run lengths of (D, H * W)."""
    return encode(mask.reshape(len(mask), -1))


def decode_volume(counts: str, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Read what `encode_volume` wrote; nothing where nothing was answered."""
    if not counts:
        return np.zeros(shape, bool)
    return decode(counts, (shape[0], shape[1] * shape[2])).reshape(shape)
