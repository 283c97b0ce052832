"""What a method gained and kept that a person taught: `transfer.json` of lessons, at any moment."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE
from interseg.evaluation.overlap import mean_iou


class TaughtPhoto(NamedTuple):
    """A photo that is done; all maps are (H, W) classes."""

    name: str
    met: NDArray[np.integer]
    """The answer before its first round."""
    refined: NDArray[np.integer]
    """The answer after its last."""
    now: NDArray[np.integer]
    """The answer with all that was learned since."""
    annotation: NDArray[np.uint8]
    """What the person labelled; 255 elsewhere."""
    truth: NDArray[np.uint8]
    """255 where it is not known."""
    rounds: int
    labels: int
    spent: float
    """The person's seconds."""
    seconds: float
    """The method's, to learn."""


def taught_figures(photos: Sequence[TaughtPhoto], classes: int) -> dict[str, Any]:
    """Measure lessons.

    As in CLIS' figures `basic` is the mean IoU of refined answers on pixels that were not labelled,
    `forward` that of answers to photos before they were taught, `backward` of earlier photos with
    all that was learned since, and `drop` what these lost. A person's stream has no fixed tasks
    after which to measure, so that forward counts every photo but the first, backward all but the
    last.

    Where no truth is known the refined answer, which the person went on from, stands for it:
    backward then says how much of what was accepted is still answered so, and basic, which would be
    1, is None.

    Args:
        photos: in the order in which they were taught.
        classes: C.

    Returns:
        Figures of each photo, their means, and `reference`, "truth" or "accepted"; means of nothing
        are None.
    """
    known = bool(photos) and all((photo.truth != IGNORE).any() for photo in photos)
    rows = [row_of(photo, photo.truth if known else photo.refined, classes) for photo in photos]
    means = {
        "basic": mean([row["basic"] for row in rows]) if known else None,
        "forward": mean([row["met"] for row in rows[1:]]),
        "backward": mean([row["now"] for row in rows[:-1]]),
        "drop": mean([row["refined"] - row["now"] for row in rows[:-1]]),
    }
    return {"reference": "truth" if known else "accepted", "mean": means, "photos": rows}


def row_of(photo: TaughtPhoto, reference: NDArray[np.integer], classes: int) -> dict[str, Any]:
    """Measure a photo against a reference (H, W)."""
    rest = np.where(photo.annotation != IGNORE, IGNORE, reference)
    row = {
        "name": photo.name,
        "rounds": photo.rounds,
        "labels": photo.labels,
        "spent": round(photo.spent, 2),
        "seconds": photo.seconds,
    }
    figures = {
        name: mean_iou(getattr(photo, name), reference, classes)
        for name in ("met", "refined", "now")
    }
    basic = mean_iou(photo.refined, rest, classes)
    return (
        row
        | figures
        | {
            "basic": None if np.isnan(basic) else basic,
            "labelled": float((photo.annotation != IGNORE).mean()),
        }
    )


def mean(values: Sequence[float | None]) -> float | None:
    """Average values, those that are None left out; None where there are none."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
