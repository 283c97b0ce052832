"""Proxy masks of volumes, computed from a few labelled slices by registration.

Dynamic interactive learning, section 2.4. Volumes are (D, H, W); a plane is named by the axis along
which its slices are numbered.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.registration import Carry, dis_flow
from interseg.volumes.slices import Mask, index, nearest, other_axes


class ProxyMask:
    """The mask that follows from the slices labelled so far (algorithm 2).

    Each slice of a plane gets the mask of its nearest labelled slice (the lower of two) by
    registration. A slice is registered again only if its nearest labelled slice has changed; the
    slices of an update are registered in parallel.

    Args:
        volume: (D, H, W) intensities.
        carry: Function that registers two slices and moves the mask.
        threads: Number of threads.

    Raises:
        InputError: A volume of another shape, or with values that are not finite.
    """

    def __init__(
        self, volume: NDArray[np.floating], carry: Carry = dis_flow, threads: int = 1
    ) -> None:
        if volume.ndim != 3 or not np.isfinite(volume).all():
            raise InputError(
                f"a volume is (D, H, W) of finite values, got {volume.shape}; "
                "look for NaN voxels and channels"
            )
        self.volume, self.carry, self.threads = volume, carry, threads
        self.slices: dict[int, dict[int, Mask]] = {}
        self.planes: dict[int, Mask] = {}
        self.sources: dict[int, NDArray[np.int64]] = {}
        self.registrations = 0
        """Number of registrations so far."""

    def label(self, axis: int, labels: Mapping[int, Mask]) -> None:
        """Add labelled slices along an axis, and update the plane's proxy.

        Args:
            axis: Axis along which the slices are numbered.
            labels: Masks (h, w) by number.
        """
        depth = self.volume.shape[axis]
        shape = tuple(self.volume.shape[a] for a in other_axes(axis))
        for number, mask in labels.items():
            if not 0 <= number < depth or mask.shape != shape:
                raise InputError(
                    f"slice {number} of {mask.shape} pixels along axis {axis}: "
                    f"there are {depth} of {shape}, numbered from 0"
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
            carried = pool.map(lambda j: self._carry(axis, j, int(sources[j])), to_register)
            for j, mask in zip(to_register, carried, strict=True):
                plane[index(axis, j)] = mask
        for j in changed:
            if j in known:
                plane[index(axis, j)] = known[j]
        self.sources[axis] = sources
        self.registrations += len(to_register)

    def _carry(self, axis: int, to: int, source: int) -> Mask:
        fixed = np.ascontiguousarray(self.volume[index(axis, to)], np.float32)
        moving = np.ascontiguousarray(self.volume[index(axis, source)], np.float32)
        return self.carry(fixed, moving, self.slices[axis][source])

    @property
    def labelled(self) -> dict[int, list[int]]:
        """Numbers of the labelled slices of each axis."""
        return {axis: sorted(masks) for axis, masks in self.slices.items()}

    def merge(self, inclusive: bool = False) -> Mask:
        """Merge the planes' proxies to a mask (D, H, W), empty before the first label.

        It is True where the mean of the proxies is above a half; with `inclusive` also at
        it. With two planes, that is AND by default and OR with `inclusive`. Labelled slices keep
        the user's masks; algorithm 2 takes the mean there too, so that with AND a labelled slice
        would lose pixels that the other plane's proxy lacks. A plane of whose labelled slices none
        shows the target knows nothing of it elsewhere, and is left out while another one does.

        Args:
            inclusive: Whether a mean of a half counts.
        """
        if not self.planes:
            return np.zeros(self.volume.shape, bool)
        shown = {
            axis for axis, masks in self.slices.items() if any(m.any() for m in masks.values())
        }
        planes = [plane for axis, plane in self.planes.items() if axis in shown or not shown]
        mean = np.mean(planes, axis=0)
        merged = mean >= 0.5 if inclusive else mean > 0.5
        for axis, masks in self.slices.items():
            for number, mask in masks.items():
                merged[index(axis, number)] = mask
        return merged
