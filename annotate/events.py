"""Events that requests become: kept in a photo's journal, the network's answer included."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from annotate.journal import Event
from annotate.requests import given_runs, seconds_spent, stroke_of, whole
from annotate.state import (
    CLICK,
    NOTHING,
    START,
    STROKE,
    Runs,
    State,
    Thing,
    encode,
    give_back,
    mask_of,
    paint_layer,
    runs_of,
    thing_of,
)
from interseg.clicks.layout import KINDS, Click, Mask, check_clicks, clicks_of
from interseg.errors import InputError

CLASSES = "classes"
"""Category of the one object that a photo has for a network of classes."""


class Drawable(Protocol):
    """A photo or a slice of a volume, on which objects are drawn."""

    state: State
    size: tuple[int, int]
    """Height and width."""


class KnownKinds(Protocol):
    """A network, by what it tells apart."""

    @property
    def outputs(self) -> int:
        """Number of logits a pixel: 1 of an object against background, else one a class."""

    @property
    def kinds(self) -> Sequence[int]:
        """Kinds of clicks."""


Answer = Callable[[Any, Thing, Click], tuple[Mask, float]]
"""Function that answers a click on an object of a photo: its mask, and the seconds it took."""


def event_of(
    photo: Drawable,
    known: KnownKinds,
    classes: Sequence[str],
    request: dict[str, Any],
    answer: Answer,
    first: Callable[[], Runs] = dict,
) -> Event:
    """Make the event of a request; raises `InputError` before anything is kept.

    Args:
        photo: Photo of the request.
        known: Outputs and click kinds of the network, e.g. its segmenter.
        classes: Names that an object may have.
        request: `do`, and what belongs to it.
        answer: Function that asks the network.
        first: Function that gives what a network of classes says without clicks; nothing by
            default.
    """
    do, state = request.get("do"), photo.state
    base: Event = {"do": do, "spent": seconds_spent(request)}
    if do == "finish" and not state.present and (runs := first()):
        return {"do": do, "accepted": runs}
    if do in ("finish", "reopen"):
        return {"do": do}
    if do in (CLICK, STROKE, START):
        thing = acted_on(photo, known, classes, request)
        base |= {"object": thing.number} | (
            {"category": thing.category} if thing.number not in state.things else {}
        )
        if do == CLICK:
            return base | make_click(photo, known, thing, request, answer)
        if do == STROKE:
            runs = thing.runs if thing.actions else first()
            return base | make_stroke(photo, known, runs, request)
        return base | make_start(photo, known, thing, request)
    thing = thing_of(state, whole(request, "object", 1, 10**6))
    base |= {"object": thing.number}
    if do == "undo":
        if not thing.actions:
            raise InputError("there is nothing to undo")
        return base | {
            "to": whole(request, "to", 0, len(thing.actions) - 1)
            if "to" in request
            else len(thing.actions) - 1
        }
    if do == "redo" and not thing.undone:
        raise InputError("there is nothing to redo")
    if do == "category" and known.outputs == 1:
        return base | {"category": category_of(classes, request)}
    if do in ("redo", "remove", "restore"):
        return base
    raise InputError(f"{str(do)[:40]!r} is nothing that can be done; reload the page")


def acted_on(
    photo: Drawable, known: KnownKinds, classes: Sequence[str], request: dict[str, Any]
) -> Thing:
    """Find the object that a request is about, or make the next one."""
    state = photo.state
    if request.get("object") is not None:
        return thing_of(state, whole(request, "object", 1, 10**6))
    if known.outputs > 1 and state.things:
        return state.things[1]  # a network of classes answers the photo as a whole
    return Thing(
        max(state.things, default=0) + 1,
        category_of(classes, request) if known.outputs == 1 else CLASSES,
    )


def category_of(classes: Sequence[str], request: dict[str, Any]) -> str:
    """Read the class of an object; raises `InputError` for one that is not chosen from."""
    category = request.get("category", classes[0])
    if category not in classes:
        raise InputError(
            f"category is {str(category)[:40]!r}; it is one of {', '.join(classes)[:200]}"
        )
    return str(category)


def make_click(
    photo: Drawable, known: KnownKinds, thing: Thing, request: dict[str, Any], answer: Answer
) -> Event:
    """Make the event of a click: what the network answers, under what is painted."""
    kind = request.get("kind", KINDS[0])
    if kind not in KINDS:
        raise InputError(f"kind is {str(kind)[:40]!r}; use {' or '.join(KINDS)}")
    y, x = (
        whole(request, axis, 0, limit - 1) for axis, limit in zip("yx", photo.size, strict=True)
    )
    click = Click(y, x, whole(request, "label", 0, 255), KINDS.index(kind))
    check_clicks(clicks_of([click]), *photo.size, max(2, known.outputs), known.kinds)
    mask, seconds = answer(photo, thing, click)
    layer = paint_layer(thing.actions, photo.size)
    if layer is not None:
        give_back(layer, click)
        overruled = np.where(layer == NOTHING, mask, layer)
        mask = overruled.astype(bool) if mask.dtype == bool else overruled.astype(np.uint8)
    return {"click": [y, x, click.label, kind], "runs": runs_of(mask), "seconds": round(seconds, 4)}


def make_stroke(photo: Drawable, known: KnownKinds, runs: Runs, request: dict[str, Any]) -> Event:
    """Make the event of a stroke of the brush over a mask."""
    label = whole(request, "label", 0, max(1, known.outputs - 1))
    pixels = stroke_of(request, photo.size)
    mask = mask_of(runs, photo.size, known.outputs)
    mask[pixels] = label
    return {"stroke": encode(pixels), "label": label, "runs": runs_of(mask)}


def make_start(photo: Drawable, known: KnownKinds, thing: Thing, request: dict[str, Any]) -> Event:
    """Make the event of an object that starts from a mask."""
    if thing.actions:
        way = "start another one" if known.outputs == 1 else "undo all of it first"
        raise InputError(f"an object that was begun cannot start from a mask; {way}")
    return {"runs": given_runs(request, photo.size, max(1, known.outputs - 1))}
