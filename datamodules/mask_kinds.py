"""Kinds of mask files, recognised file by file: one object, ids, a trimap, or soft edges."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS = ("auto", "binary", "ids", "trimap", "soft", "colours", "parts")
WHY = {
    "binary": "two values, 0 and 1 or 0 and 255",
    "ids": "several values, each an object; 255, where it is the largest, is ignored",
    "trimap": "0, 128 and 255; 128 is ignored",
    "soft": "black, white and values without areas between; above half is the object",
}
"""Values by which a mask of each kind is recognised."""
EMPTY, UNCLEAR = "empty", "unclear"
HALF = 127.5
"""Grey value between background and object of a soft mask of 8 bits."""
BLACK = 2**24
"""Id of black if another colour is the background."""
MARGIN = 32
"""Number of grey values by which a soft mask's background and object may differ from black and
white."""
MANY = 16
"""Number of values without areas that a mask of ids may have beyond those with areas."""
COUNTED = 2**16
"""Value below which pixels are counted in a table."""
SPARSE, SPARSE_JPEG = 0.1, 0.3
"""Share of pixels inside areas of their own value below which values are sparse; it is larger for
JPEG, whose blocks make small areas."""


class Found(NamedTuple):
    """Facts about a mask file."""

    values: frozenset[int]
    kind: str
    """Kind of the mask: one of `KINDS`, `EMPTY` or `UNCLEAR`."""
    parts: int = 1
    """Number of its large parts, of a binary mask."""


def kind_of(labels: NDArray[np.int32], lossy: bool = False) -> str:
    """Recognise the kind of a mask.

    {0, 1} or {0, 255} is "binary", {0, 128, 255} a "trimap". If black and white fill areas and the
    grey values in between do not, these are the edges of a "soft" mask: JPEG's fringes, or
    anti-aliasing. Many other values without areas are `UNCLEAR`: a photo, probabilities, ids with
    soft edges. All other masks are "ids", unless a lossy format may have changed the ids.

    Args:
        labels: Values (H, W) of the mask.
        lossy: Whether the file's format keeps values approximately only.
    """
    values = values_of(labels)
    if values <= {0}:
        return EMPTY
    if values <= {0, 1} or values <= {0, 255}:
        return "binary"
    if values <= {0, 128, 255}:
        return "trimap"
    if is_soft(labels, lossy):
        return "soft"
    return UNCLEAR if is_smeared(labels, lossy) else "ids"


def is_soft(labels: NDArray[np.int32], lossy: bool) -> bool:
    """Tell whether a mask of 8 bits is one object with soft edges.

    Its two most frequent values are nearly black and nearly white, and the values in between are
    sparse. If there are only one or two in between, one must be above half: ids without a gap, with
    255 ignored, are small numbers.
    """
    values, counts = count_values(labels)
    if values[-1] > 255 or values[-1] < 255 - MARGIN or values[0] > MARGIN:
        return False
    if lossy:
        between = (labels > MARGIN) & (labels < 255 - MARGIN)
        return is_sparse(labels, between, SPARSE_JPEG)
    most_frequent = np.argsort(-counts, kind="stable")[:2]
    low, high = sorted(values[most_frequent].tolist())
    if low > MARGIN or high < 255 - MARGIN:
        return False
    others = [value for value in values.tolist() if value not in (low, high)]
    if not others or (len(others) < 3 and max(others) < HALF):
        return False
    return is_sparse(labels, (labels != low) & (labels != high))


def is_smeared(labels: NDArray[np.int32], lossy: bool) -> bool:
    """Tell whether most values of a mask, and many, fill no area, or its format keeps no ids."""
    values = values_of(labels)
    if lossy or len(values) <= MANY:
        return lossy and len(values) > 2
    inside = interior(labels)
    areas = values_of(labels[1:-1, 1:-1][inside])
    return len(values) - len(areas) > max(MANY, len(areas))


def is_sparse(labels: NDArray[np.int32], chosen: NDArray[np.bool_], share: float = SPARSE) -> bool:
    """Tell whether few of some pixels are inside areas of their own value.

    Of the pixels of ids, even of small objects, more are.

    Args:
        labels: Values (H, W) of a mask.
        chosen: Pixels (H, W) to look at.
        share: Share of them that must be inside.
    """
    inside = interior(labels) & chosen[1:-1, 1:-1]
    return int(inside.sum()) < share * max(1, int(chosen.sum()))


def interior(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Find the pixels (H - 2, W - 2) of labels (H, W) whose four neighbours have their value."""
    centre = labels[1:-1, 1:-1]
    inside = np.ones(centre.shape, bool)
    for neighbour in (labels[:-2, 1:-1], labels[2:, 1:-1], labels[1:-1, :-2], labels[1:-1, 2:]):
        inside &= centre == neighbour
    return inside


def count_values(labels: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Find the sorted values of labels, and the number of pixels of each.

    Counting is ten times as fast as sorting.
    """
    if labels.size and labels.max() >= COUNTED:
        return np.unique(labels, return_counts=True)
    counts = np.bincount(labels.ravel())
    values = np.flatnonzero(counts)
    return values, counts[values]


def values_of(labels: NDArray[np.int32]) -> frozenset[int]:
    """Find the values of labels."""
    return frozenset(count_values(labels)[0].tolist())


def settle(found: Mapping[str, Found]) -> tuple[dict[str, str], dict[str, str]]:
    """Settle the kinds of a folder's masks, and find those that do not fit the others.

    A file keeps the kind that it has by itself. Odd are: among ids, a file of 0 and 255 alone if
    other files ignore their pixels of 255 (else it is one object); among ids, a file of 0, 128 and
    255, which could be either; a file of 0 and 128 alone.

    Args:
        found: Masks by name.

    Returns:
        The kind of each file; and the reasons why odd files are left out.
    """
    ids = [file for file in found.values() if file.kind == "ids"]
    ignoring = any(max(file.values) == 255 for file in ids)
    odd = {}
    for name, file in found.items():
        if file.kind == UNCLEAR:
            values = (
                f"has {len(file.values)} values, most without areas (a photo, probabilities, "
                "soft edges, a JPEG of ids)"
            )
            odd[name] = (
                f"{values}; save ids as PNG, or give data.kind=soft to cut all masks at half, "
                "or ids to take every value"
            )
        elif file.values == {0, 128}:
            odd[name] = (
                "has 0 and 128 alone: ignored, or an object; "
                "give data.kind=trimap or binary, or draw the object as 255"
            )
        elif file.kind == "trimap" and ids:
            odd[name] = (
                "has 0, 128 and 255 among masks of ids; give data.kind=trimap or ids, or remove it"
            )
        elif file.kind == "binary" and 255 in file.values and ignoring:
            odd[name] = (
                "has 0 and 255 alone among masks of ids that ignore 255; draw its id, or remove it"
            )
    return {name: file.kind for name, file in found.items() if name not in odd}, odd


def object_ids(values: frozenset[int], kind: str, background: int = 0) -> list[int]:
    """List the objects of a mask by its values."""
    if kind == "colours":
        colours = values - {background}
        return sorted(BLACK if colour == 0 else colour for colour in colours)
    if kind == "parts":
        return sorted(values - {0})
    if kind == "ids":
        ignored = {255} if max(values, default=0) == 255 else set()
        return sorted(values - {0} - ignored)
    threshold = {"trimap": 128, "soft": HALF}.get(kind, 0)
    return [1] if max(values, default=0) > threshold else []


def labels_of(
    values: NDArray[np.int32], kind: str, background: int = 0
) -> tuple[NDArray[np.int32], int | None]:
    """Make a label map (H, W) of a mask's values.

    Returns:
        The map with 0 for background and an id per object; and the id to ignore, None for none.
    """
    if kind == "binary":
        return (values > 0).astype(np.int32), None
    if kind == "soft":
        return (values > HALF).astype(np.int32), None
    if kind == "trimap":
        return np.where(values > 128, 1, values * (values == 128)).astype(np.int32), 128
    if kind == "colours":
        ids = np.where(values == 0, BLACK, values)
        ids[values == background] = 0
        return ids.astype(np.int32), None
    if kind == "parts":
        return values, None
    return values, 255 if values.max() == 255 else None


def parts_of(labels: NDArray[np.int32], threshold: float = 0) -> NDArray[np.int32]:
    """Number the connected parts of the pixels above a threshold from 1; diagonals connect."""
    _, parts = cv2.connectedComponents((labels > threshold).astype(np.uint8), connectivity=8)
    return np.asarray(parts, np.int32)


def count_large_parts(labels: NDArray[np.int32]) -> int:
    """Count the connected parts that have a quarter of the largest one's pixels, or more."""
    _, counts = count_values(parts_of(labels))
    areas = counts[1:] if (labels == 0).any() else counts
    return int((4 * areas >= areas.max(initial=1)).sum())


def name_of(id: int, kind: str) -> str:
    """Name an object of a mask: its id, or its colour."""
    return f"object #{id % BLACK:06x}" if kind == "colours" else f"object {id}"
