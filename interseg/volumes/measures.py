"""Measures of volumes: how far proxy masks are trusted, where they are doubtful, what labels cost, Dice.

Dynamic interactive learning, sections 2.3 to 2.5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.slices import Labelled, Mask, nearest


def distance_to_slices(shape: Sequence[int], labelled: Labelled) -> NDArray[np.float64]:
    """(D, H, W) voxels from each voxel to the nearest labelled slice of any plane; infinite where there is none.

    In voxels, whatever their sides in mm: the paper counts them too, in volumes resized to one
    grid.
    """
    distance = np.full(tuple(shape), np.inf)
    for axis, numbers in labelled.items():
        if len(numbers):
            along = np.abs(np.arange(shape[axis]) - nearest(sorted(numbers), shape[axis])).astype(
                float
            )
            distance = np.minimum(
                distance, along.reshape([-1 if a == axis else 1 for a in range(3)])
            )
    return distance


def step_confidence(
    shape: Sequence[int], labelled: Labelled, omega: float = 4.0
) -> NDArray[np.float64]:
    """W of eq. 12: 1 + omega on labelled slices, 1 elsewhere."""
    return 1 + omega * (distance_to_slices(shape, labelled) == 0)


def falling_confidence(
    shape: Sequence[int], labelled: Labelled, reach: float = 5.0
) -> NDArray[np.float64]:
    """W of eq. 11 as exp(-d / reach): with the paper's reach of one voxel it would be 0.05 three voxels away."""
    return np.exp(-distance_to_slices(shape, labelled) / reach)


def residual(
    proxy: Mask, probabilities: NDArray[np.floating], labelled: Labelled, weight: float = 0.7
) -> NDArray[np.float64]:
    """R of eq. 17: where proxy and prediction differ, and far from labelled slices.

    Args:
        proxy: (D, H, W) bool.
        probabilities: (D, H, W) the segmenter's.
        labelled: slices.
        weight: omega_1 of the difference; the rest is the distance to the nearest labelled slice,
            scaled to [0, 1].
    """
    distance = distance_to_slices(proxy.shape, labelled)
    largest = float(distance.max())
    far = (
        np.ones(proxy.shape) if np.isinf(largest) else distance / (largest or 1)
    )  # 0 where all slices of an axis are labelled
    return weight * np.abs(proxy - probabilities) + (1 - weight) * far


def labour(labelled: Labelled, touched: Sequence[int]) -> float:
    """Cost of labelled slices as a share of labelling all of the target (eq. 4).

    Args:
        labelled: slices of each axis.
        touched: slices that the target touches along each axis.
    """
    return sum(len(numbers) / touched[axis] for axis, numbers in labelled.items())


def estimated_labour(labelled: Labelled, proxy: Mask) -> float:
    """Estimate `labour` where the target is not known: by the slices that the proxy mask (D, H, W) touches, all while it is empty."""
    return labour(labelled, touched_slices(proxy) if proxy.any() else proxy.shape)


def touched_slices(mask: Mask) -> tuple[int, int, int]:
    """Slices that a target touches along each axis, without those between its parts; raises `InputError` for an empty one."""
    if not mask.any():
        raise InputError("the target is empty; leave the volume out")
    counts = [len(np.unique(found)) for found in np.nonzero(mask)]
    return counts[0], counts[1], counts[2]


def dice(a: Mask, b: Mask) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0
