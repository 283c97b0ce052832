"""Guidance maps: clicks as image-like channels that a network reads beside the photo.

Every encoding maps clicks (B, N, 4) to (B, 2, H, W): the positive clicks' map, then the negative
clicks' map.
"""

from math import ceil, pi, sqrt

import numpy as np
import torch
from torch import Tensor

from interseg.clicks.layout import BOUNDARY
from interseg.distance import distance_to
from interseg.errors import InputError

GAUSSIAN_PEAK = 25 / (10 * sqrt(2 * pi))
"""ITIS' official code scales the normal density of standard deviation 10 by 25: 0.997 at the
click."""


class Guidance:
    """Base of the encodings: callable on clicks and a size."""

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        """Encode clicks.

        Args:
            clicks: (B, N, 4) int: y, x, label, kind; label -1 is padding.
            height: of the maps in pixels.
            width: of the maps in pixels.

        Returns:
            (B, 2, height, width) float32 on the clicks' device.
        """
        raise NotImplementedError


def signed(clicks: Tensor) -> Tensor:
    """Return clicks (B, N, 4) as they are; raises `InputError` for one that says neither object nor background."""
    if (clicks[..., 3] == BOUNDARY).any():
        raise InputError(
            "a click on the boundary was given to a network of positive and negative clicks; use another simulated user"
        )
    if (clicks[..., 2] > 1).any():
        raise InputError(
            f"a click has label {int(clicks[..., 2].max())}; a network of positive and negative clicks knows 1 and 0"
        )
    return clicks


class StampGuidance(Guidance):
    """A small template painted at every click, the maximum where two overlap; far pixels are 0.

    Painting costs the template's area per click, whatever the image's size. It is done on the CPU,
    where the clicks come from.
    """

    def __init__(self, template: Tensor) -> None:
        self.template = template.numpy()

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        reach = self.template.shape[0] // 2
        maps = np.zeros((len(clicks), 2, height, width), np.float32)
        for image, rows in enumerate(signed(clicks).tolist()):
            for y, x, label, _ in rows:
                if label >= 0:
                    top, left, bottom, right = (
                        max(y - reach, 0),
                        max(x - reach, 0),
                        y + reach + 1,
                        x + reach + 1,
                    )
                    window = maps[image, 1 - label, top:bottom, left:right]
                    stamp = self.template[top - y + reach :, left - x + reach :][
                        : window.shape[0], : window.shape[1]
                    ]
                    np.maximum(window, stamp, out=window)
        return torch.from_numpy(maps).to(clicks.device)


class GaussianGuidance(StampGuidance):
    """Gaussians cut to 0 beyond `clip` pixels (ITIS, section 4.2).

    Args:
        std: standard deviation in pixels; the peak stays 0.997.
        clip: distance in pixels beyond which the map is 0, as in the paper.
    """

    def __init__(self, std: float = 10.0, clip: float = 20.0) -> None:
        self.std, self.clip = std, clip
        distance = _template_distance(clip)
        super().__init__(
            torch.where(
                distance <= clip, GAUSSIAN_PEAK * torch.exp(-(distance**2) / (2 * std**2)), 0.0
            ).float()
        )


class FlooredGaussianGuidance(Guidance):
    """The Gaussian of ITIS' official code: `25 * N(min(d, 20); 0, 10)`, so that far pixels keep 0.135 instead of the paper's 0.

    A sign without clicks has the same floor everywhere.
    """

    def __init__(self, std: float = 10.0, clip: float = 20.0) -> None:
        self.clipped = GaussianGuidance(std, clip)
        self.floor = GAUSSIAN_PEAK * float(np.exp(-(clip**2) / (2 * std**2)))

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        return self.clipped(clicks, height, width).clamp_min(self.floor)


class DiskGuidance(StampGuidance):
    """Binary disks, 1 within `radius` pixels of a click (Benenson et al. 2019; RITM's encoding, radius 5)."""

    def __init__(self, radius: float = 5.0) -> None:
        self.radius = radius
        super().__init__((_template_distance(radius) <= radius).float())


class DistanceGuidance(Guidance):
    """Euclidean distance to the nearest click, `min(d, truncation) / truncation` (iFCN); 1 everywhere for a sign without clicks.

    Args:
        truncation: largest distance in pixels.
        inverse: 1 minus that: 1 at a click, 0 far away and without clicks (BRS' official code).
    """

    def __init__(self, truncation: float = 255.0, inverse: bool = False) -> None:
        self.truncation, self.inverse = truncation, inverse

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        maps = np.ones((len(clicks), 2, height, width), np.float32)
        for image, rows in enumerate(signed(clicks).cpu().numpy()):
            for channel, label in enumerate((1, 0)):
                pixels = rows[rows[:, 2] == label]
                if len(pixels):
                    clicked = np.zeros((height, width), bool)
                    clicked[pixels[:, 0], pixels[:, 1]] = True
                    maps[image, channel] = scaled_distance(clicked, self.truncation)
        return torch.from_numpy(1 - maps if self.inverse else maps).to(clicks.device)


def mask_distance(masks: Tensor, truncation: float = 255.0) -> Tensor:
    """Previous masks as a channel: distance to the mask, `min(d, truncation) / truncation` (ITIS, section 3); 1 for an empty mask.

    Args:
        masks: (B, H, W) bool or {0, 1}.
        truncation: largest distance in pixels.

    Returns:
        (B, 1, H, W) float32.
    """
    maps = [scaled_distance(m, truncation) for m in masks.cpu().numpy().astype(bool)]
    return torch.from_numpy(np.stack(maps)[:, None]).to(masks.device)


def scaled_distance(region: np.ndarray, truncation: float) -> np.ndarray:
    """(H, W) distance of each pixel to the nearest pixel of a region, cut at `truncation` and scaled to [0, 1]."""
    return np.minimum(distance_to(region), truncation) / np.float32(truncation)


def _template_distance(reach: float) -> Tensor:
    """(2r + 1, 2r + 1) distances to the middle pixel, r = ceil(reach); in float64, so that `d <= reach` holds exactly on the circle."""
    side = torch.arange(-ceil(reach), ceil(reach) + 1, dtype=torch.float64)
    return (side[:, None] ** 2 + side**2).sqrt()
