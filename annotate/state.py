"""State of a photo, from its events: objects, what was done to each, and the masks that followed.

The state is a function of the events alone: it is what remains when everything but the journal is
lost. A network's answer is in the event of its click, so that masks are read without a network and
stay what the person saw.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from annotate.journal import Event, Journal
from interseg.clicks.layout import KINDS, Click, Mask
from interseg.errors import InputError
from interseg.masks import unpack_runs

Runs = dict[str, str]
"""A mask's labels above 0, each as COCO's compressed run lengths; an object's only label is "1"."""
CLICK, STROKE, START = "click", "stroke", "start"
"""Kinds of actions on an object; all can be undone."""


class Action(NamedTuple):
    """Something that a person did to an object."""

    kind: str
    runs: Runs
    """The mask after it."""
    click: Click | None = None
    stroke: str = ""
    """Painted pixels, as run lengths."""
    label: int = 1
    """Label that the pixels were painted with."""
    seconds: float = 0.0
    """Seconds of the network's answer."""


@dataclass
class Thing:
    """An object of a photo."""

    number: int
    category: str
    actions: list[Action] = field(default_factory=list)
    undone: list[Action] = field(default_factory=list)
    """Actions that were undone, the next one to redo last."""
    removed: bool = False
    spent: float = 0.0
    """Seconds that the person needed, undone actions included."""

    @property
    def present(self) -> bool:
        """Tell whether it counts: it was not removed, and something was done to it."""
        return bool(self.actions) and not self.removed

    @property
    def runs(self) -> Runs:
        """The mask."""
        return self.actions[-1].runs if self.actions else {}

    @property
    def clicks(self) -> list[Click]:
        """The clicks, in order."""
        return [action.click for action in self.actions if action.click is not None]


@dataclass
class State:
    """A photo after some events."""

    things: dict[int, Thing] = field(default_factory=dict)
    finished: bool = False
    accepted: Runs = field(default_factory=dict)
    """Answer without clicks of a network of classes, where the photo was finished with it."""
    last: int | None = None
    """Number of the object that something was done to last."""
    networks: list[str] = field(default_factory=list)
    """Networks that answered, by their digests."""

    @property
    def present(self) -> list[Thing]:
        """The objects that count, by number."""
        return [thing for _, thing in sorted(self.things.items()) if thing.present]


def replay(events: Iterable[Event]) -> State:
    """Give the state after events."""
    state = State()
    for event in events:
        apply(state, event)
    return state


def read_annotated(file: Path) -> tuple[Journal, State]:
    """Read a photo's journal and what it means; raise `InputError` for one that tells nothing."""
    try:
        journal = Journal(file)
        return journal, replay(journal.events)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{file.name} cannot be read ({error.strerror}); see to its rights, or shorten the "
            "photo's name"
        ) from None
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} has an event that means nothing ({type(error).__name__}: {error}); "
            "mend or remove its line"
        ) from None


def apply(state: State, event: Event) -> None:
    """Let an event happen; raises `InputError` for one that cannot."""
    do = event["do"]
    if do in (CLICK, STROKE, START):
        thing = state.things.setdefault(
            event["object"], Thing(event["object"], event.get("category", "object"))
        )
        thing.actions.append(action_of(event))
        thing.undone.clear()
        thing.removed = False
    elif do == "undo":
        thing = thing_of(state, event["object"])
        while len(thing.actions) > event["to"]:
            thing.undone.append(thing.actions.pop())
    elif do == "redo":
        thing = thing_of(state, event["object"])
        if not thing.undone:
            raise InputError("there is nothing to redo")
        thing.actions.append(thing.undone.pop())
    elif do in ("remove", "restore"):
        thing_of(state, event["object"]).removed = do == "remove"
    elif do == "category":
        thing_of(state, event["object"]).category = event["category"]
    elif do in ("finish", "reopen"):
        state.finished = do == "finish"
        state.accepted = event.get("accepted", {})
    elif do == "network":
        state.networks.append(event["digest"])
    elif do != "begin":
        raise InputError(
            f"{do!r} is an event that this version does not know; "
            "a newer annotator may have written it"
        )
    if "object" in event:
        state.last = event["object"]
        state.things[event["object"]].spent += event.get("spent", 0.0)


def thing_of(state: State, number: int) -> Thing:
    """Find an object; raises `InputError` where there is none."""
    if number not in state.things:
        raise InputError(f"there is no object {number}; reload the page")
    return state.things[number]


def action_of(event: Event) -> Action:
    """Read an action from its event."""
    if event["do"] == CLICK:
        y, x, label, kind = event["click"]
        return Action(
            CLICK, event["runs"], Click(y, x, label, KINDS.index(kind)), seconds=event["seconds"]
        )
    return Action(
        event["do"], event["runs"], stroke=event.get("stroke", ""), label=event.get("label", 1)
    )


def encode(mask: NDArray[Any]) -> str:
    """Write a mask (H, W) as COCO's compressed run lengths."""
    return str(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode())


def decode(counts: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read what `encode` wrote of a mask of (height, width); raise `InputError` for other text."""
    try:
        return coco_mask.decode({"size": list(size), "counts": counts.encode()}).astype(bool)
    except (ValueError, UnicodeError):
        raise InputError(
            f"run lengths are damaged, or of another size than {size[0]} x {size[1]}"
        ) from None


def check_runs(counts: str, size: tuple[int, int]) -> None:
    """Raise `InputError` for run lengths that do not fill an image of (height, width) exactly."""
    try:
        runs = unpack_runs(counts)
    except ValueError:
        runs = [-1]
    if any(run < 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise InputError(f"run lengths are damaged, or of another size than {size[0]} x {size[1]}")


def runs_of(mask: Mask) -> Runs:
    """Write a mask: of an object, or of classes."""
    if mask.dtype == bool:
        return {"1": encode(mask)}
    return {str(label): encode(mask == label) for label in np.unique(mask).tolist() if label}


def object_mask(runs: Runs, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read an object's mask (H, W); empty without runs."""
    return decode(runs["1"], size) if runs else np.zeros(size, bool)


def mask_of(runs: Runs, size: tuple[int, int], outputs: int = 1) -> Mask:
    """Read a mask (H, W): bool of an object, or the classes of a network with several outputs."""
    if outputs == 1:
        return object_mask(runs, size)
    classes = np.zeros(size, np.uint8)
    for label, counts in runs.items():
        classes[decode(counts, size)] = int(label)
    return classes


NOTHING = 255
"""Value of a painted layer's pixels that nobody painted."""


def paint_layer(actions: Iterable[Action], size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Return the labels (H, W) that a person painted, `NOTHING` elsewhere; None for no paint.

    What is painted overrules the network, also its answers to later clicks: brush and eraser are
    for the last pixels. A click that says otherwise on a painted spot gives the spot, with what is
    joined to it, back to the network.
    """
    done = list(actions)
    if all(action.kind != STROKE for action in done):
        return None
    layer = np.full(size, NOTHING, np.uint8)
    for action in done:
        if action.kind == STROKE:
            layer[decode(action.stroke, size)] = action.label
        elif action.click is not None:
            give_back(layer, action.click)
    return layer if (layer != NOTHING).any() else None


def give_back(layer: NDArray[np.uint8], click: Click) -> None:
    """Clear the painted spot that a click contradicts."""
    label = int(layer[click.y, click.x])
    if label not in (NOTHING, click.label):
        _, parts = cv2.connectedComponents((layer == label).astype(np.uint8), connectivity=8)
        layer[parts == parts[click.y, click.x]] = NOTHING
