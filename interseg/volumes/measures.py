"""Measures of volumes: confidence and residuals of proxy masks, cost of labels, Dice.

Dynamic interactive learning, sections 2.3 to 2.5.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.slices import Labelled, Mask, index, nearest


def distance_to_slices(shape: Sequence[int], labelled: Labelled) -> NDArray[np.float64]:
    """Measure the distance (D, H, W) of each voxel to the nearest labelled slice of any plane.

    It is infinite without labelled slices. The unit is voxels, whatever their sides in mm, as in
    the paper, whose volumes are resized to one grid.
    """
    distance = np.full(tuple(shape), np.inf)
    for axis, numbers in labelled.items():
        if len(numbers):
            depth = shape[axis]
            along = np.abs(np.arange(depth) - nearest(sorted(numbers), depth)).astype(float)
            sides = [1, 1, 1]
            sides[axis] = depth
            distance = np.minimum(distance, along.reshape(sides))
    return distance


def step_confidence(
    shape: Sequence[int], labelled: Labelled, omega: float = 4.0
) -> NDArray[np.float64]:
    """Compute w of eq. 12: 1 + omega on labelled slices, 1 elsewhere."""
    return 1 + omega * (distance_to_slices(shape, labelled) == 0)


def falling_confidence(
    shape: Sequence[int], labelled: Labelled, reach: float = 5.0
) -> NDArray[np.float64]:
    """Compute w of eq. 11 as exp(-d / reach).

    With the paper's reach of one voxel, it would be 0.05 at a distance of three voxels.
    """
    return np.exp(-distance_to_slices(shape, labelled) / reach)


def residual(
    proxy: Mask, probabilities: NDArray[np.floating], labelled: Labelled, weight: float = 0.7
) -> NDArray[np.float64]:
    """Compute R of eq. 17: large where proxy and prediction differ, and far from labelled slices.

    Args:
        proxy: (D, H, W) bool.
        probabilities: (D, H, W) of the segmenter.
        labelled: Labelled slices.
        weight: Weight omega_1 of the difference; the rest weighs the distance to the nearest
            labelled slice, scaled to [0, 1].
    """
    distance = distance_to_slices(proxy.shape, labelled)
    largest = float(distance.max())
    far = np.ones(proxy.shape)
    if not np.isinf(largest):
        far = distance / (largest or 1)  # the largest is 0 if all slices of an axis are labelled
    return weight * np.abs(proxy - probabilities) + (1 - weight) * far


def labour(labelled: Labelled, touched: Sequence[int]) -> float:
    """Compute the cost of labelled slices as a share of labelling all of the target (eq. 4).

    Args:
        labelled: Labelled slices of each axis, those that the target touches.
        touched: Number of slices that the target touches along each axis.
    """
    return sum(len(numbers) / touched[axis] for axis, numbers in labelled.items())


def touched_only(labelled: Labelled, target: Mask) -> Labelled:
    """Keep the slices that a target (D, H, W) touches: eq. 4 counts no others."""
    return {
        axis: [number for number in numbers if target[index(axis, number)].any()]
        for axis, numbers in labelled.items()
    }


def estimate_labour(labelled: Labelled, proxy: Mask) -> float:
    """Estimate `labour` by the slices that the proxy mask (D, H, W) touches.

    It is used if the target is not known. An empty proxy mask counts as touching all slices.
    """
    if not proxy.any():
        return labour(labelled, proxy.shape)
    return labour(touched_only(labelled, proxy), count_touched(proxy))


def count_touched(mask: Mask) -> tuple[int, int, int]:
    """Count the slices that a target touches along each axis, without those between its parts.

    Raises:
        InputError: An empty target.
    """
    if not mask.any():
        raise InputError("the target is empty; leave the volume out")
    counts = [len(np.unique(found)) for found in np.nonzero(mask)]
    return counts[0], counts[1], counts[2]


def dice(a: Mask, b: Mask) -> float:
    """Compute 2 |A and B| / (|A| + |B|); 1 if both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0
