"""Figures of lessons: what a method gained from a person and kept (`transfer.json`)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE
from interseg.evaluation.overlap import mean_iou


class TaughtPhoto(NamedTuple):
    """A finished photo of a lesson; all maps are (H, W) classes."""

    name: str
    met: NDArray[np.integer]
    """Answer before the first round."""
    refined: NDArray[np.integer]
    """Answer after the last round."""
    now: NDArray[np.integer]
    """Answer of the method as it is now, after later photos."""
    annotation: NDArray[np.uint8]
    """Labels that the person gave; 255 elsewhere."""
    truth: NDArray[np.uint8]
    """True classes; 255 where they are not known."""
    rounds: int
    labels: int
    spent: float
    """Seconds that the person spent."""
    seconds: float
    """Seconds that the method learned."""


def taught_figures(photos: Sequence[TaughtPhoto], classes: int) -> dict[str, Any]:
    """Measure lessons.

    As in CLIS' figures, `basic` is the mean IoU of refined answers, `forward` that of answers to
    photos before they were taught, `backward` that of the present answers to earlier photos, and
    `drop` the loss of the latter, all on pixels that were not labelled. A person's stream has no
    fixed tasks after which to measure, so `forward` covers every photo but the first and `backward`
    every photo but the last.

    If the truth is not known, the refined answer, which the person accepted, takes its place, on
    all pixels: `backward` then measures how much of the accepted answers is still given, and
    `basic`, which would be 1, is None.

    Args:
        photos: Photos in the order in which they were taught.
        classes: Number of classes, C.

    Returns:
        Figures of each photo, their means, and `reference`, "truth" or "accepted"; means of nothing
        are None.
    """
    known = bool(photos) and all((photo.truth != IGNORE).any() for photo in photos)
    rows = []
    for photo in photos:
        if known:
            rest = np.where(photo.annotation != IGNORE, IGNORE, photo.truth)
            row = row_of(photo, photo.truth, rest, classes)
            rows.append(row | {"basic": row["refined"]})
        else:
            rows.append(row_of(photo, photo.refined, photo.refined, classes) | {"basic": None})
    means = {
        "basic": mean([row["basic"] for row in rows]),
        "forward": mean([row["met"] for row in rows[1:]]),
        "backward": mean([row["now"] for row in rows[:-1]]),
        "drop": mean([row["drop"] for row in rows[:-1]]),
    }
    return {"reference": "truth" if known else "accepted", "mean": means, "photos": rows}


def row_of(
    photo: TaughtPhoto,
    reference: NDArray[np.integer],
    rest: NDArray[np.integer],
    classes: int,
) -> dict[str, Any]:
    """Measure a photo before its lesson against a reference (H, W), and after it against the rest.

    What cannot be measured, since every pixel was labelled, is None.
    """
    refined, now = mean_iou(photo.refined, rest, classes), mean_iou(photo.now, rest, classes)
    measured = not np.isnan(refined)
    return {
        "name": photo.name,
        "rounds": photo.rounds,
        "labels": photo.labels,
        "spent": round(photo.spent, 2),
        "seconds": photo.seconds,
        "met": mean_iou(photo.met, reference, classes),
        "refined": refined if measured else None,
        "now": now if measured else None,
        "drop": refined - now if measured else None,
        "labelled": float((photo.annotation != IGNORE).mean()),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """Average the values that are not None; None if there are none."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
