"""From a few labelled slices to a volume: proxy masks, how far they are trusted, and where to label next.

Dynamic interactive learning, sections 2.3 to 2.5. Volumes are (D, H, W); a plane is named by the
axis that its slices are counted along.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.registration import Carry, dis_flow
from interseg.volumes.slices import Mask, index, nearest, other_axes


class ProxyMask:
    """The mask that follows from the slices labelled so far (algorithm 2), brought up to date slice by slice.

    Each slice of a plane takes the mask of its nearest labelled one (the lower of two), carried
    over by registration. Slices are only registered again when their nearest labelled slice has
    changed, all at once on some threads.

    Args:
        volume: (D, H, W) intensities.
        carry: registers two slices and carries the mask.
        threads: for slices.
    """

    def __init__(
        self, volume: NDArray[np.floating], carry: Carry = dis_flow, threads: int = 1
    ) -> None:
        if volume.ndim != 3 or not np.isfinite(volume).all():
            raise InputError(
                f"a volume is (D, H, W) of finite values, got {volume.shape}; look for NaN voxels and channels"
            )
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
                raise InputError(
                    f"slice {number} of {mask.shape} pixels along axis {axis}: there are {depth} of {shape}, numbered from 0"
                )
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
        fixed, moving = (
            np.ascontiguousarray(self.volume[index(axis, j)], np.float32) for j in (to, source)
        )
        return self.carry(fixed, moving, self.slices[axis][source])

    @property
    def labelled(self) -> dict[int, list[int]]:
        """Numbers of the labelled slices of each axis."""
        return {axis: sorted(masks) for axis, masks in self.slices.items()}

    def merged(self, threshold: float = 0.5, inclusive: bool = False) -> Mask:
        """(D, H, W) where the mean of the planes' proxies is above a threshold, or at it too: with two planes AND by default, else OR.

        Labelled slices are what the user has drawn, which algorithm 2 leaves to the mean: with AND
        a slice would lose there what the other plane's proxy lacks. Empty before the first label.
        """
        if not self.planes:
            return np.zeros(self.volume.shape, bool)
        mean = np.mean(list(self.planes.values()), axis=0)
        merged = mean >= threshold if inclusive else mean > threshold
        for axis, masks in self.slices.items():
            for number, mask in masks.items():
                merged[index(axis, number)] = mask
        return merged
