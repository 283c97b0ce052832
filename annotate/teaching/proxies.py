"""Proxy masks of the slices that a person has drawn; only what has changed is registered."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotate.state import Runs
from annotate.teaching.slices import Place, VolumeLecture
from datamodules.scans import ScanDataset
from interseg.volumes.proxy import Carry, ProxyMask


class MadeProxy(NamedTuple):
    """A volume's proxy mask and the slices that it was made of."""

    task: int
    proxy: ProxyMask
    runs: dict[Place, Runs]


class Proxies:
    """Proxy masks; that of the last volume is kept.

    Args:
        scans: Volumes as the method sees them.
        carry: Registration that carries a mask from slice to slice.
        inclusive: See `ProxyMask.merged`.
    """

    def __init__(self, scans: ScanDataset, carry: Carry, inclusive: bool) -> None:
        self.scans, self.carry, self.inclusive = scans, carry, inclusive
        self._known: MadeProxy | None = None

    def of(
        self, task: int, lecture: VolumeLecture, shape: tuple[int, int, int]
    ) -> tuple[NDArray[np.bool_], ProxyMask]:
        """Make the proxy mask (D, H, W) of a volume's labelled slices.

        Args:
            task: Number of the volume.
            lecture: The volume's slices.
            shape: Size (D, H, W) of the volume.
        """
        runs = {place: thing.runs for place, thing in lecture.labelled.items()}
        known = self._known
        # a slice that was taken back is in the proxy mask that was known: it is made again
        if known is None or known.task != task or not known.runs.keys() <= runs.keys():
            known = MadeProxy(task, ProxyMask(self.scans.scan(task).image, self.carry), {})
        for axis, masks in lecture.masks(shape).items():
            fresh = {}
            for number, mask in masks.items():
                if known.runs.get((axis, number)) != runs[axis, number]:
                    fresh[number] = mask
            if fresh:
                known.proxy.label(axis, fresh)
        self._known = known._replace(runs=runs)
        return known.proxy.merge(inclusive=self.inclusive), known.proxy
