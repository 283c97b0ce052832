"""State of a taught photo, from its journal alone: labels, and the rounds of `rounds.py`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotate.journal import Event
from annotate.requests import seconds_spent, stroke_of, whole
from annotate.state import Runs, decode, encode
from annotate.teaching.rounds import Rounds, apply_round, decision_of
from interseg.clicks.layout import IGNORE, clicks_of
from interseg.continual.annotations import Annotation, draw_clicks, no_annotation
from interseg.errors import InputError

SUPERPIXEL, CLICK, SCRIBBLE = KINDS = ("superpixel", "click", "scribble")
"""Kinds of labels."""


class Label(NamedTuple):
    """Some pixels that a person has given a class."""

    kind: str
    label: int
    """The class."""
    pixels: str
    """Run lengths."""


@dataclass
class Lecture(Rounds):
    """A photo after some events; its answers are run lengths of classes above 0."""

    labels: list[Label] = field(default_factory=list)
    undone: list[Label] = field(default_factory=list)
    neighbour: tuple[int, float, bool] | None = None
    """Task that the photo was most like when it was met, their distance, and whether that was near
    enough."""
    iou: float | None = None
    """IoU of the answer then."""

    def given(self, round: int) -> list[Label]:
        """Return the labels of a decided round."""
        return self.labels[self.decided[round - 1].said if round else 0 : self.decided[round].said]


def replay(events: Iterable[Event]) -> Lecture:
    """Give the state after events."""
    lecture = Lecture()
    for event in events:
        apply(lecture, event)
    return lecture


def apply(lecture: Lecture, event: Event) -> None:
    """Let an event happen; raises `InputError` for one that this version does not know."""
    do = event["do"]
    if do == "label":
        lecture.labels.append(Label(event["kind"], event["label"], event["pixels"]))
        lecture.undone.clear()
    elif do == "undo":
        lecture.undone.append(lecture.labels.pop())
    elif do == "redo":
        lecture.labels.append(lecture.undone.pop())
    else:
        apply_round(lecture, event, len(lecture.labels))
        lecture.undone.clear()
    if do == "met":
        near = event["neighbour"]
        lecture.neighbour, lecture.iou = (
            None if near is None else (near[0], near[1], near[2]),
            event["iou"],
        )
    lecture.spent += event.get("spent", 0.0)


def event_of(
    lecture: Lecture, segments: NDArray[np.int64], classes: int, request: dict[str, Any]
) -> Event:
    """Make the event of a request; raises `InputError` before anything is kept.

    Args:
        lecture: Lecture of the photo.
        segments: (H, W) its superpixels.
        classes: C.
        request: `do`, and what belongs to it.
    """
    do = str(request.get("do"))[:40]
    base = {"do": do, "spent": seconds_spent(request)}
    decided = decision_of(lecture, do, len(lecture.labels) > lecture.kept)
    if decided is not None:
        return base | decided
    if do == "undo" and len(lecture.labels) == lecture.kept:
        raise InputError("there is nothing to undo; what was taught stays, label over it")
    if do == "redo" and not lecture.undone:
        raise InputError("there is nothing to redo")
    if do in ("undo", "redo"):
        return base
    if do == "label":
        label, pixels = whole(request, "label", 0, classes - 1), pixels_of(segments, request)
        return base | {"kind": request["kind"], "label": label, "pixels": pixels}
    raise InputError(f"{do!r} is nothing that can be done; reload the page")


def pixels_of(segments: NDArray[np.int64], request: dict[str, Any]) -> str:
    """Read which pixels a label is of, as run lengths; raises `InputError` for none."""
    kind, size = request.get("kind"), (segments.shape[0], segments.shape[1])
    if kind == SCRIBBLE:
        drawn = stroke_of(request, size)
    elif kind in (SUPERPIXEL, CLICK):
        y, x = (whole(request, axis, 0, limit - 1) for axis, limit in zip("yx", size, strict=True))
        radius = whole(request, "radius", 1, 100) if "radius" in request else 3
        drawn = (
            segments == segments[y, x]
            if kind == SUPERPIXEL
            else draw_clicks(clicks_of([(y, x, 1)]), size, radius) == 1
        )
    else:
        raise InputError(f"kind is {str(kind)[:40]!r}; use {', '.join(KINDS)}")
    if not drawn.any():
        raise InputError("the scribble is outside the photo")
    return encode(drawn)


def annotation_of(labels: Iterable[Label], size: tuple[int, int]) -> Annotation:
    """Draw labels, later ones over earlier ones: (H, W) classes, 255 elsewhere."""
    drawn = no_annotation(size)
    for label in labels:
        drawn[decode(label.pixels, size)] = label.label
    return drawn


def runs_with_background(annotation: Annotation) -> Runs:
    """Write labels (H, W), background among them; 255 is none."""
    return {
        str(label): encode(annotation == label)
        for label in np.unique(annotation).tolist()
        if label != IGNORE
    }


def digits_of(activation: Iterable[NDArray[np.floating]]) -> list[str]:
    """Write how far kernels are switched on as a digit each."""
    return [
        "".join(str(min(9, int(10 * value))) for value in layer.tolist()) for layer in activation
    ]
