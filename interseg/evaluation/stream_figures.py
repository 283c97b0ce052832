"""Figures of task streams, from the rows of `transfer.csv`: each is one answer to one image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interseg.continual.transfer import mean_measured, transfer
from interseg.evaluation.intervals import interval
from interseg.evaluation.overlap import mean_iou, weighted_iou

Row = dict[str, Any]
"""Columns `sequence`, `task`, `image`, and `kind`: "round 0", "round 1", ..., "refined" or
"answer".

The other columns are figures: those of `answer_figures`, `before`, `annotated`, `propagated` (mean
IoU of the labels propagated from the annotations, on pixels without one), `seconds` and `passes`.
"""


def answer_figures(
    prediction: NDArray[np.integer],
    mask: NDArray[np.integer],
    rest: NDArray[np.integer],
    classes: int,
) -> dict[str, float]:
    """Measure the answer to an image.

    Args:
        prediction: (H, W) classes.
        mask: (H, W) true classes, 255 = ignore.
        rest: (H, W) the mask, 255 where the user has annotated.
        classes: Number of classes.

    Returns:
        `iou` and `weighted_iou` on all pixels; `basic`, the mean IoU on pixels without annotation.
    """
    return {
        "iou": mean_iou(prediction, mask, classes),
        "weighted_iou": weighted_iou(prediction, mask, classes),
        "basic": mean_iou(prediction, rest, classes),
    }


def stream_figures(
    rows: Sequence[Row],
    length: int,
    forward_after: int,
    backward_after: int,
) -> dict[str, Any]:
    """Compute the figures of `transfer` for finished sequences, their means, and round means.

    Args:
        rows: Rows of the sequences so far, at least one of which is finished.
        length: Number of tasks of a sequence.
        forward_after: See `transfer`.
        backward_after: See `transfer`.

    Returns:
        `sequences` by number, each with figures of the mean IoU without annotated pixels, on all
        pixels (`whole_...`) and of the official code's IoU (`official_...`); their `mean` and
        `interval`, which is None for a single one; `rounds`.
    """
    found: dict[str, dict[str, float]] = {}
    for sequence in sorted({row["sequence"] for row in rows}):
        own = [row for row in rows if row["sequence"] == sequence]
        answers = [row for row in own if row["kind"] == "refined"]
        if len(answers) < length:
            continue
        found[str(sequence)] = {}
        for figure, prefix in (("basic", ""), ("iou", "whole_"), ("weighted_iou", "official_")):
            refined = [row[figure] for row in answers]
            matrix = transfer_matrix(own, length, figure)
            values = transfer(matrix, refined, forward_after, backward_after)
            found[str(sequence)] |= {prefix + name: value for name, value in values.items()}
    names = next(iter(found.values())).keys()
    columns = {name: [values[name] for values in found.values()] for name in names}
    measured = {
        name: [value for value in values if not np.isnan(value)] for name, values in columns.items()
    }
    return {
        "sequences": found,
        "mean": {name: mean_measured(np.array(values)) for name, values in columns.items()},
        "interval": {
            name: interval(values) if len(values) > 1 else None for name, values in measured.items()
        },
        "rounds": round_means(rows),
    }


def transfer_matrix(rows: Sequence[Row], length: int, figure: str) -> NDArray[np.float64]:
    """Fill in R[t, i] of one sequence, (T, T); NaN where an image was not answered."""
    matrix = np.full((length, length), np.nan)
    for row in rows:
        if row["kind"] == "answer":
            matrix[row["task"], row["image"]] = row[figure]
    return matrix


def mean_matrix(rows: Sequence[Row]) -> dict[tuple[int, int], float]:
    """Average R[t, i], mean IoUs without annotated pixels, by task and image over sequences."""
    found: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        if row["kind"] == "answer":
            found.setdefault((row["task"], row["image"]), []).append(row["basic"])
    return {place: mean_measured(np.array(values)) for place, values in found.items()}


def round_kinds(rows: Sequence[Row]) -> list[str]:
    """List the kinds of rows that are rounds, `round 0`, `round 1`, ..., in their order."""
    kinds = {row["kind"] for row in rows if row["kind"].startswith("round ")}
    return sorted(kinds, key=lambda kind: int(kind.split()[1]))


def round_means(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Average `basic`, `seconds` and `passes` of each round over all tasks.

    The last two are None for a round in which no task had an annotation.
    """
    means = []
    for kind in round_kinds(rows):
        mean: dict[str, Any] = {"kind": kind}
        for name in ("basic", "seconds", "passes"):
            values = [row[name] for row in rows if row["kind"] == kind and name in row]
            mean[name] = mean_measured(np.array(values)) if values else None
        means.append(mean)
    return means
