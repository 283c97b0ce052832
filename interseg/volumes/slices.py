"""Slices of volumes; a plane is named by the axis along which its slices are numbered."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


Labelled = Mapping[int, Sequence[int]]
"""Numbers of the labelled slices of each axis."""


def nearest(numbers: Sequence[int], depth: int) -> NDArray[np.int64]:
    """Find the nearest of sorted numbers to each of 0, 1, ..., depth - 1; the lower of two."""
    known = np.asarray(numbers)
    distances = np.abs(np.arange(depth)[:, None] - known[None])
    return known[distances.argmin(1)]


def index(axis: int, number: int) -> tuple[slice | int, ...]:
    """Make the index of a slice of a volume."""
    place: list[slice | int] = [slice(None)] * 3
    place[axis] = number
    return tuple(place)


def other_axes(axis: int) -> tuple[int, ...]:
    """Return the axes within a slice."""
    return tuple(a for a in range(3) if a != axis)
