"""Clicks: their layout, and the move between a view and its source image."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

REGION, BOUNDARY = 0, 1
"""Kinds of clicks: on a pixel of the label's region, or on a pixel of the object's boundary
(two-in-one)."""
KINDS = ("region", "boundary")
"""Names of the kinds, in the order of their numbers."""
IGNORE = 255
"""The mask value of pixels that count neither as object nor as background."""
Mask = NDArray[np.bool_] | NDArray[np.uint8]
"""(H, W) of a prediction: bool, True on the object; or uint8 classes if a method knows several."""


class Click(NamedTuple):
    """A click on the pixel (y, x)."""

    y: int
    x: int
    label: int = 1
    """1 for object, 0 for background; or the number of a class if a network knows several."""
    kind: int = REGION


def check_whole(mask: NDArray[Any]) -> None:
    """Raise `InputError` for a mask of fractions, such as probabilities."""
    if mask.dtype.kind not in "biu" and (mask != np.round(mask)).any():
        raise InputError(
            f"the mask has fractions ({mask.dtype}); give a mask, e.g. probabilities > 0.5"
        )


Clicks = NDArray[np.int64]
"""(n, 4) int64: y, x, label, kind."""


def no_clicks() -> Clicks:
    """Make an empty click list, (0, 4)."""
    return np.zeros((0, 4), np.int64)


def clicks_of(rows: Iterable[Sequence[int]]) -> Clicks:
    """Make a click list (n, 4) from rows of y, x, label and, unless it is `REGION`, kind."""
    return np.array([Click(*row) for row in rows], np.int64).reshape(-1, 4)


def label_pixels(pixels: NDArray[np.integer], label: int) -> Clicks:
    """Make clicks (n, 4) of one label on pixels (n, 2)."""
    suffix = np.array([label, REGION], np.int64)
    return np.column_stack([pixels, np.tile(suffix, (len(pixels), 1))])


def format_click(click: Sequence[int]) -> str:
    """Write a click as `y:x:label`, followed by `:boundary` for a boundary click."""
    y, x, label, kind = click
    text = f"{y}:{x}:{label}"
    return text if kind == REGION else f"{text}:{KINDS[kind]}"


def parse_click(text: str) -> Click:
    """Read the text that `format_click` writes; raises `ValueError` for any other."""
    y, x, label, *kind = text.split(":")
    number = KINDS.index(kind[0]) if len(kind) == 1 else REGION
    if len(kind) > 1:
        raise ValueError(f"{text!r} is not a click; give y:x:label or y:x:label:kind")
    return Click(int(y), int(x), int(label), number)


def check_clicks(
    clicks: Clicks, height: int, width: int, classes: int = 2, kinds: Sequence[int] = (REGION,)
) -> None:
    """Raise `InputError` for the first click that is not allowed.

    Args:
        clicks: (n, 4).
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        classes: Number of labels that the method knows, 2 for object and background.
        kinds: Kinds of clicks that the method knows.
    """
    check_inside(clicks, height, width)
    for y, x, label, kind in np.asarray(clicks).tolist():
        if not 0 <= label < classes:
            known = "1 for object, 0 for background"
            if classes != 2:
                known = f"a class from 0 to {classes - 1}"
            raise InputError(f"click (y={y}, x={x}) has label {label}; use {known}")
        if kind not in kinds:
            given = KINDS[kind] if 0 <= kind < len(KINDS) else kind
            known = " or ".join(KINDS[k] for k in kinds)
            raise InputError(f"click (y={y}, x={x}) is of kind {given}; this method knows {known}")


def check_inside(clicks: Clicks, height: int, width: int) -> None:
    """Raise `InputError` for the first click outside an image of (height, width) pixels."""
    for y, x in np.asarray(clicks)[:, :2].tolist():
        if not (0 <= y < height and 0 <= x < width):
            raise InputError(
                f"click (y={y}, x={x}) lies outside the image of {height} x {width} pixels; "
                "clicks are (y, x, label, kind) with y first"
            )


def pad_clicks(clicks: Sequence[Clicks]) -> "Tensor":
    """Stack click lists to (B, N, 4) int64, the shorter ones padded with -1; N is at least 1."""
    import torch  # here, so that an exported network's clicks work without torch

    longest = max((len(c) for c in clicks), default=0)
    padded = np.full((len(clicks), max(longest, 1), 4), -1, np.int64)
    for row, c in zip(padded, clicks, strict=True):
        row[: len(c)] = c
    return torch.from_numpy(padded)


def unpad_clicks(clicks: "Tensor") -> list[Clicks]:
    """Remove the padding rows: (B, N, 4) to B arrays (n, 4), the inverse of `pad_clicks`."""
    return [c[c[:, 2] >= 0] for c in clicks.cpu().numpy().astype(np.int64)]


def to_source(clicks: Clicks, coordinates: NDArray[np.integer]) -> Clicks:
    """Move a view's clicks to the pixels of its source image.

    A click on padding has no source pixel and is dropped.

    Args:
        clicks: (n, 4) in view pixels.
        coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows padding.
    """
    moved = clicks.copy()
    moved[:, :2] = coordinates[clicks[:, 0], clicks[:, 1]]
    return moved[moved[:, 0] >= 0]


def to_view(clicks: Clicks, coordinates: NDArray[np.integer]) -> Clicks:
    """Move source clicks to the view pixels whose source is nearest.

    Clicks that the view does not show are dropped. A view pixel stands for the source pixels within
    the spacing of its neighbours, so that a click between two sampled pixels of a reduced view is
    kept and a click beyond the crop is not.

    Args:
        clicks: (n, 4) in source pixels.
        coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows padding.
    """
    source_y, source_x = (coordinates[..., axis].astype(np.int64) for axis in (0, 1))
    width = source_y.shape[1]
    shown = []
    for y, x, label, kind in clicks.tolist():
        distance = (source_y - y) ** 2 + (source_x - x) ** 2
        distance[source_y < 0] = np.iinfo(np.int64).max
        row, column = divmod(int(distance.argmin()), width)
        gap = max(abs(int(source_y[row, column]) - y), abs(int(source_x[row, column]) - x))
        if gap < _spacing(source_y, source_x, row, column):
            shown.append((row, column, label, kind))
    return clicks_of(shown)


def _spacing(
    source_y: NDArray[np.int64], source_x: NDArray[np.int64], row: int, column: int
) -> float:
    """Measure the largest source distance from a view pixel to its four neighbours, at least 1."""
    height, width = source_y.shape
    spacing = 1.0
    for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= r < height and 0 <= c < width and source_y[r, c] >= 0:
            down = source_y[r, c] - source_y[row, column]
            across = source_x[r, c] - source_x[row, column]
            spacing = max(spacing, float(np.hypot(down, across)))
    return spacing
