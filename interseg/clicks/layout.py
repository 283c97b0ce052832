"""Clicks: their layout, and the move between a view and its source image.

A click is a row `(y, x, label)` of integers: pixel coordinates and 1 for object, 0 for background, 2 for the object's boundary; -1
pads a batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.errors import InputError

Click = tuple[int, int, int]
"""y, x, label (1 object, 0 background, 2 the object's boundary)."""
Clicks = NDArray[np.int64]
"""(n, 3) int64: y, x, label."""

IGNORE = 255
"""The mask value of pixels that count neither as object nor as background."""


BOUNDARY = 2
"""The label of a click on the object's boundary (two-in-one), where the object has a pixel."""


def no_clicks() -> Clicks:
    """An empty click list, (0, 3)."""
    return np.zeros((0, 3), np.int64)


def check_clicks(clicks: Clicks, height: int, width: int) -> None:
    """Raise `InputError` for the first click outside an image of (height, width) pixels or with an unknown label."""
    check_inside(clicks, height, width)
    for y, x, label in np.asarray(clicks).tolist():
        if label not in (0, 1, BOUNDARY):
            raise InputError(f"click (y={y}, x={x}) has label {label}; use 1 for object, 0 for background, 2 for the object's boundary")


def check_inside(clicks: Clicks, height: int, width: int) -> None:
    """Raise `InputError` for the first click outside an image of (height, width) pixels."""
    for y, x, _ in np.asarray(clicks).tolist():
        if not (0 <= y < height and 0 <= x < width):
            raise InputError(
                f"click (y={y}, x={x}) lies outside the image of {height} x {width} pixels; clicks are (y, x, label) with y first"
            )


def pad_clicks(clicks: Sequence[Clicks]) -> Tensor:
    """Stack click lists of different lengths to (B, N, 3) int64, padded with -1; N is at least 1."""
    longest = max((len(c) for c in clicks), default=0)
    padded = np.full((len(clicks), max(longest, 1), 3), -1, np.int64)
    for row, c in zip(padded, clicks, strict=True):
        row[: len(c)] = c
    return torch.from_numpy(padded)


def unpad_clicks(clicks: Tensor) -> list[Clicks]:
    """The inverse of `pad_clicks`: (B, N, 3) to B arrays (n, 3) without padding rows."""
    return [c[c[:, 2] >= 0] for c in clicks.cpu().numpy().astype(np.int64)]


def to_source(clicks: Clicks, coordinates: NDArray[np.integer]) -> Clicks:
    """Clicks of a view in the pixels of its source image; a click on padding has no source pixel and is dropped.

    Args:
        clicks: (n, 3) in view pixels.
        coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows padding.
    """
    moved = clicks.copy()
    moved[:, :2] = coordinates[clicks[:, 0], clicks[:, 1]]
    return moved[moved[:, 0] >= 0]


def to_view(clicks: Clicks, coordinates: NDArray[np.integer]) -> Clicks:
    """Source clicks in the pixels of a view: the view pixel whose source is nearest; clicks that the view does not show are dropped.

    A view pixel stands for the source pixels within the spacing of its neighbours, so that a click between two sampled
    pixels of a reduced view survives, and one beyond the crop does not.

    Args:
        clicks: (n, 3) in source pixels.
        coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows padding.
    """
    source_y, source_x = (coordinates[..., axis].astype(np.int32) for axis in (0, 1))
    width = source_y.shape[1]
    shown = []
    for y, x, label in clicks.tolist():
        distance = (source_y - y) ** 2 + (source_x - x) ** 2
        distance[source_y < 0] = np.iinfo(np.int32).max
        row, column = divmod(int(distance.argmin()), width)
        gap = max(abs(int(source_y[row, column]) - y), abs(int(source_x[row, column]) - x))
        if gap < _spacing(source_y, source_x, row, column):
            shown.append((row, column, label))
    return np.array(shown, np.int64).reshape(-1, 3)


def _spacing(source_y: NDArray[np.int32], source_x: NDArray[np.int32], row: int, column: int) -> float:
    """Largest source distance between a view pixel and its four neighbours in the view; at least 1."""
    spacing = 1.0
    for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= r < source_y.shape[0] and 0 <= c < source_y.shape[1] and source_y[r, c] >= 0:
            spacing = max(spacing, float(np.hypot(source_y[r, c] - source_y[row, column], source_x[r, c] - source_x[row, column])))
    return spacing
