"""Slices of volumes: a plane is named by the axis that its slices are counted along."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


Labelled = Mapping[int, Sequence[int]]
"""Numbers of the labelled slices of each axis."""


def nearest(numbers: Sequence[int], depth: int) -> NDArray[np.int64]:
    """(depth,) the nearest of some numbers to each of 0, 1, ...; the lower of two."""
    known = np.asarray(numbers)
    return known[np.abs(np.arange(depth)[:, None] - known[None]).argmin(1)]


def index(axis: int, number: int) -> tuple[slice | int, ...]:
    """Index of a slice of a volume."""
    return tuple(number if a == axis else slice(None) for a in range(3))


def other_axes(axis: int) -> tuple[int, ...]:
    """Return the axes within a slice."""
    return tuple(a for a in range(3) if a != axis)
