"""From a few labelled slices to a volume: proxy masks, how far they are trusted, and where to label next.

Dynamic interactive learning, sections 2.3 to 2.5. Volumes are (D, H, W); a plane is named by the axis that its slices are counted along.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.registration import Carry, dis_flow

Mask = NDArray[np.bool_]
Labelled = Mapping[int, Sequence[int]]
"""Numbers of the labelled slices of each axis."""


class ProxyMask:
    """The mask that follows from the slices labelled so far (algorithm 2), brought up to date slice by slice.

    Each slice of a plane takes the mask of its nearest labelled one (the lower of two), carried over by registration. Slices are only
    registered again when their nearest labelled slice has changed, all at once on some threads.

    Args:
        volume: (D, H, W) intensities.
        carry: registers two slices and carries the mask.
        threads: for slices.
    """

    def __init__(self, volume: NDArray[np.floating], carry: Carry = dis_flow, threads: int = 1) -> None:
        if volume.ndim != 3 or not np.isfinite(volume).all():
            raise InputError(f"a volume is (D, H, W) of finite values, got {volume.shape}; look for NaN voxels and channels")
        self.volume, self.carry, self.threads = volume, carry, threads
        self.slices: dict[int, dict[int, Mask]] = {}
        self.planes: dict[int, Mask] = {}
        self.sources: dict[int, NDArray[np.int64]] = {}
        self.registrations = 0
        """Registrations so far."""

    def label(self, axis: int, labels: Mapping[int, Mask]) -> None:
        """Add labelled slices along an axis, masks (h, w) by number, and bring the plane's proxy up to date."""
        depth = self.volume.shape[axis]
        shape = tuple(self.volume.shape[a] for a in other_axes(axis))
        for number, mask in labels.items():
            if not 0 <= number < depth or mask.shape != shape:
                raise InputError(f"slice {number} of {mask.shape} pixels along axis {axis}: there are {depth} of {shape}, numbered from 0")
        known = self.slices.setdefault(axis, {})
        known.update({number: mask.astype(bool) for number, mask in labels.items()})
        if not known:
            return
        sources = nearest(sorted(known), depth)
        before = self.sources.get(axis, np.full(depth, -1))
        plane = self.planes.setdefault(axis, np.zeros(self.volume.shape, bool))
        changed = [j for j in range(depth) if sources[j] != before[j] or int(sources[j]) in labels]
        to_register = [j for j in changed if j not in known]
        with ThreadPoolExecutor(self.threads) as pool:
            carried = pool.map(lambda j: self._carried(axis, j, int(sources[j])), to_register)
            for j, mask in zip(to_register, carried, strict=True):
                plane[index(axis, j)] = mask
        for j in changed:
            if j in known:
                plane[index(axis, j)] = known[j]
        self.sources[axis] = sources
        self.registrations += len(to_register)

    def _carried(self, axis: int, to: int, source: int) -> Mask:
        fixed, moving = (np.ascontiguousarray(self.volume[index(axis, j)], np.float32) for j in (to, source))
        return self.carry(fixed, moving, self.slices[axis][source])

    @property
    def labelled(self) -> dict[int, list[int]]:
        """Numbers of the labelled slices of each axis."""
        return {axis: sorted(masks) for axis, masks in self.slices.items()}

    def merged(self, threshold: float = 0.5, inclusive: bool = False) -> Mask:
        """(D, H, W) where the mean of the planes' proxies is above a threshold, or at it too: with two planes AND by default, else OR.

        Labelled slices are what the user has drawn, which algorithm 2 leaves to the mean: with AND a slice would lose there what the other
        plane's proxy lacks. Empty before the first label.
        """
        if not self.planes:
            return np.zeros(self.volume.shape, bool)
        mean = np.mean(list(self.planes.values()), axis=0)
        merged = mean >= threshold if inclusive else mean > threshold
        for axis, masks in self.slices.items():
            for number, mask in masks.items():
                merged[index(axis, number)] = mask
        return merged


def nearest(numbers: Sequence[int], depth: int) -> NDArray[np.int64]:
    """(depth,) the nearest of some numbers to each of 0, 1, ...; the lower of two."""
    known = np.asarray(numbers)
    return known[np.abs(np.arange(depth)[:, None] - known[None]).argmin(1)]


def index(axis: int, number: int) -> tuple[slice | int, ...]:
    """Index of a slice of a volume."""
    return tuple(number if a == axis else slice(None) for a in range(3))


def other_axes(axis: int) -> tuple[int, ...]:
    """The axes within a slice."""
    return tuple(a for a in range(3) if a != axis)


def distance_to_slices(shape: Sequence[int], labelled: Labelled) -> NDArray[np.float64]:
    """(D, H, W) voxels from each voxel to the nearest labelled slice of any plane; infinite where there is none.

    In voxels, whatever their sides in mm: the paper counts them too, in volumes resized to one grid.
    """
    distance = np.full(tuple(shape), np.inf)
    for axis, numbers in labelled.items():
        if len(numbers):
            along = np.abs(np.arange(shape[axis]) - nearest(sorted(numbers), shape[axis])).astype(float)
            distance = np.minimum(distance, along.reshape([-1 if a == axis else 1 for a in range(3)]))
    return distance


def step_confidence(shape: Sequence[int], labelled: Labelled, omega: float = 4.0) -> NDArray[np.float64]:
    """W of eq. 12: 1 + omega on labelled slices, 1 elsewhere."""
    return 1 + omega * (distance_to_slices(shape, labelled) == 0)


def falling_confidence(shape: Sequence[int], labelled: Labelled, reach: float = 5.0) -> NDArray[np.float64]:
    """W of eq. 11 as exp(-d / reach): with the paper's reach of one voxel it would be 0.05 three voxels away."""
    return np.exp(-distance_to_slices(shape, labelled) / reach)


def residual(proxy: Mask, probabilities: NDArray[np.floating], labelled: Labelled, weight: float = 0.7) -> NDArray[np.float64]:
    """R of eq. 17: where proxy and prediction differ, and far from labelled slices.

    Args:
        proxy: (D, H, W) bool.
        probabilities: (D, H, W) the segmenter's.
        labelled: slices.
        weight: omega_1 of the difference; the rest is the distance to the nearest labelled slice, scaled to [0, 1].
    """
    distance = distance_to_slices(proxy.shape, labelled)
    largest = float(distance.max())
    far = np.ones(proxy.shape) if np.isinf(largest) else distance / (largest or 1)  # 0 where all slices of an axis are labelled
    return weight * np.abs(proxy - probabilities) + (1 - weight) * far


def guided_slices(
    residuals: NDArray[np.floating], labelled: Sequence[int], axis: int, count: int, generator: np.random.Generator
) -> list[int]:
    """New slices along an axis, drawn by their residuals (algorithm 4); as many as there are, none where no residual is left."""
    chances = residuals.sum(other_axes(axis))
    chances[list(labelled)] = 0
    positive = np.flatnonzero(chances > 0)
    if len(positive) == 0:
        return []
    p = chances[positive] / chances[positive].sum()
    return sorted(generator.choice(positive, min(count, len(positive)), replace=False, p=p).tolist())


def labour(labelled: Labelled, touched: Sequence[int]) -> float:
    """Cost of labelled slices as a share of labelling all of the target (eq. 4).

    Args:
        labelled: slices of each axis.
        touched: slices that the target touches along each axis.
    """
    return sum(len(numbers) / touched[axis] for axis, numbers in labelled.items())


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


class SliceUser:
    """Labels whole slices along some planes each round, with the true masks.

    Args:
        axes: of the planes.
        count: new slices along each.
        guided: choose by the residual map (algorithm 4); False for random slices.
        weight: omega_1 of the residual map.
        touched: label slices that the target touches only, guided or not, as the paper's users delineate the target in each; eq. 4
            counts no others. False lets both choose any slice.
    """

    def __init__(
        self, axes: Sequence[int] = (0, 1), count: int = 1, guided: bool = True, touched: bool = True, weight: float = 0.7
    ) -> None:
        if count < 1 or not axes or any(axis not in (0, 1, 2) for axis in axes) or len({*axes}) < len(axes):
            raise InputError(f"axes={list(axes)}, count={count}; axes are 0, 1 and 2, each once, and at least one slice is labelled")
        if not 0 <= weight <= 1:
            raise InputError(f"weight is {weight}; the residual map is a mean of two parts, give 0 to 1")
        self.axes, self.count, self.guided, self.touched, self.weight = tuple(axes), count, guided, touched, weight

    def annotate(
        self, proxy: Mask, truth: Mask, probabilities: NDArray[np.floating] | None, labelled: Labelled, generator: np.random.Generator
    ) -> dict[int, dict[int, Mask]]:
        """The new slices of a round: masks by number, by axis; fewer where there are no more.

        Args:
            proxy: (D, H, W) so far.
            truth: (D, H, W).
            probabilities: (D, H, W) of a segmenter that has learned something; None for random slices.
            labelled: slices so far.
            generator: the only source of randomness.
        """
        found = {}
        residuals = residual(proxy, probabilities, labelled, self.weight) if self.guided and probabilities is not None else None
        for axis in self.axes:
            untouched = np.flatnonzero(~truth.any(other_axes(axis))).tolist() if self.touched else []
            closed = {*labelled.get(axis, ()), *untouched}
            if residuals is not None:
                numbers = guided_slices(residuals, sorted(closed), axis, self.count, generator)
            else:
                left = [j for j in range(truth.shape[axis]) if j not in closed]
                numbers = sorted(generator.permutation(left)[: self.count].tolist())
            found[axis] = {number: truth[index(axis, number)].copy() for number in numbers}
        return found
