"""Targets that a segmenter of volumes learns from: proxy masks, and how far they are trusted."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from interseg.batches import VolumeBatch
from interseg.errors import InputError
from interseg.volumes.measures import falling_confidence, step_confidence
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import backend_of
from interseg.volumes.slices import Mask


class Targets:
    """Settings by which labelled slices become a target with confidences.

    Args:
        registration: "dis", "dis_trusted", "affine_spline", "affine" or "copy".
        confidence: "step" (eq. 12), "falling" (eq. 11) or "none".
        omega: Weight of eq. 12 that labelled slices have more.
        reach: Distance of eq. 11, in voxels, at which trust falls to 1 / e.
        inclusive: Whether two planes are merged by OR instead of AND.
        threads: Number of threads that register slices.
    """

    def __init__(
        self,
        registration: str = "dis",
        confidence: str = "step",
        omega: float = 4.0,
        reach: float = 5.0,
        inclusive: bool = False,
        threads: int = 1,
    ) -> None:
        if confidence not in ("step", "falling", "none"):
            raise InputError(f"confidence is {confidence!r}; use step, falling or none")
        if threads < 1 or omega < 0 or reach <= 0:
            given = f"threads={threads}, omega={omega}, reach={reach}"
            raise InputError(f"{given}; use a thread at least, weights from 0 on, a reach above 0")
        self.backend, self.threads = backend_of(registration), threads
        self.rule, self.omega, self.reach, self.inclusive = confidence, omega, reach, inclusive

    def proxy(self, batch: VolumeBatch) -> ProxyMask:
        """Make the proxy mask of a volume that has no labelled slice yet."""
        return ProxyMask(batch["volume"][0, 0].float().cpu().numpy(), self.backend, self.threads)

    def merged(self, proxy: ProxyMask) -> Mask:
        """Merge the planes of a proxy mask to one (D, H, W)."""
        return proxy.merge(inclusive=self.inclusive)

    def confidence(
        self,
        shape: tuple[int, ...],
        labelled: Mapping[int, Sequence[int]],
    ) -> NDArray[np.floating]:
        """Compute the weight of each voxel (D, H, W) from the labelled slices, by axis."""
        if self.rule == "none":
            return np.ones(shape)
        if self.rule == "step":
            return step_confidence(shape, labelled, self.omega)
        return falling_confidence(shape, labelled, self.reach)


def fill(
    batch: VolumeBatch,
    mask: Mask,
    confidence: NDArray[np.floating],
    labelled: Mapping[int, Sequence[int]],
    labour: float,
) -> None:
    """Put into a round what follows from the slices that its user has labelled.

    Args:
        batch: Round, which is changed.
        mask: (D, H, W) mask that is learned.
        confidence: (D, H, W) weights of its voxels in the loss.
        labelled: Numbers of labelled slices, by axis.
        labour: Cost as a share of labelling the whole target.
    """
    batch["proxy"], batch["labelled"], batch["labour"] = mask, labelled, labour
    maps = (torch.from_numpy(np.asarray(value)) for value in (mask, confidence))
    batch["target"], batch["confidence"] = (m.to(batch["volume"])[None, None] for m in maps)
