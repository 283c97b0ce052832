"""Guidance maps: clicks as image-like channels that a network reads beside the photo.

Every encoding turns clicks (B, N, 4) into (B, 2, H, W): the positive clicks' map, then the negative
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
            height: Height of the maps in pixels.
            width: Width of the maps in pixels.

        Returns:
            (B, 2, height, width) float32 on the clicks' device.
        """
        raise NotImplementedError


def require_signs(clicks: Tensor) -> Tensor:
    """Return clicks (B, N, 4) unchanged if each is positive or negative.

    Raises:
        InputError: A click on a boundary, or of a class above 1.
    """
    if (clicks[..., 3] == BOUNDARY).any():
        raise InputError(
            "a click on the boundary was given to a network of positive and negative clicks; "
            "use another simulated user"
        )
    if (clicks[..., 2] > 1).any():
        raise InputError(
            f"a click has label {int(clicks[..., 2].max())}; "
            "a network of positive and negative clicks knows 1 and 0"
        )
    return clicks


class StampGuidance(Guidance):
    """Base of encodings that paint a small template at every click; other pixels are 0.

    Where templates overlap, the maximum counts. Painting costs the template's area per click,
    whatever the image's size. It is done on the CPU, where the clicks come from.
    """

    def __init__(self, template: Tensor) -> None:
        self.template = template.numpy()

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        maps = np.zeros((len(clicks), 2, height, width), np.float32)
        for image, rows in enumerate(require_signs(clicks).tolist()):
            for y, x, label, _ in rows:
                if label >= 0:
                    self._stamp(maps[image, 1 - label], y, x)
        return torch.from_numpy(maps).to(clicks.device)

    def _stamp(self, canvas: np.ndarray, y: int, x: int) -> None:
        """Paint the template's visible part on a map (H, W), in place."""
        reach = self.template.shape[0] // 2
        top, left = max(y - reach, 0), max(x - reach, 0)
        window = canvas[top : y + reach + 1, left : x + reach + 1]
        stamp = self.template[top - y + reach :, left - x + reach :]
        np.maximum(window, stamp[: window.shape[0], : window.shape[1]], out=window)


class GaussianGuidance(StampGuidance):
    """Gaussians cut to 0 beyond `clip` pixels (ITIS, section 4.2).

    Args:
        std: Standard deviation in pixels; the peak stays 0.997.
        clip: Distance in pixels beyond which the map is 0, as in the paper.
    """

    def __init__(self, std: float = 10.0, clip: float = 20.0) -> None:
        self.std, self.clip = std, clip
        distance = _template_distance(clip)
        gaussian = GAUSSIAN_PEAK * torch.exp(-(distance**2) / (2 * std**2))
        super().__init__(torch.where(distance <= clip, gaussian, 0.0).float())


class FlooredGaussianGuidance(Guidance):
    """The Gaussian of ITIS' official code, `25 * N(min(d, 20); 0, 10)`.

    So far pixels keep 0.135 instead of the paper's 0. A sign without clicks has the same floor
    everywhere.
    """

    def __init__(self, std: float = 10.0, clip: float = 20.0) -> None:
        self.clipped = GaussianGuidance(std, clip)
        self.floor = GAUSSIAN_PEAK * float(np.exp(-(clip**2) / (2 * std**2)))

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        return self.clipped(clicks, height, width).clamp_min(self.floor)


class DiskGuidance(StampGuidance):
    """Binary disks, 1 within `radius` pixels of a click.

    The source is Benenson et al. 2019; RITM uses a radius of 5.
    """

    def __init__(self, radius: float = 5.0) -> None:
        self.radius = radius
        super().__init__((_template_distance(radius) <= radius).float())


class DistanceGuidance(Guidance):
    """Euclidean distance to the nearest click, `min(d, truncation) / truncation` (iFCN).

    A sign without clicks has 1 everywhere.

    Args:
        truncation: Largest distance in pixels.
        inverse: Whether to return 1 minus that: 1 at a click, 0 far away and without clicks (BRS'
            official code).
    """

    def __init__(self, truncation: float = 255.0, inverse: bool = False) -> None:
        self.truncation, self.inverse = truncation, inverse

    def __call__(self, clicks: Tensor, height: int, width: int) -> Tensor:
        maps = np.ones((len(clicks), 2, height, width), np.float32)
        for image, rows in enumerate(require_signs(clicks).cpu().numpy()):
            for channel, label in enumerate((1, 0)):
                pixels = rows[rows[:, 2] == label]
                if len(pixels):
                    clicked = np.zeros((height, width), bool)
                    clicked[pixels[:, 0], pixels[:, 1]] = True
                    maps[image, channel] = scaled_distance(clicked, self.truncation)
        return torch.from_numpy(1 - maps if self.inverse else maps).to(clicks.device)


def mask_distance(masks: Tensor, truncation: float = 255.0) -> Tensor:
    """Encode previous masks as their distance, `min(d, truncation) / truncation`.

    An empty mask gives 1 everywhere. The source is ITIS, section 3.

    Args:
        masks: (B, H, W) bool or {0, 1}.
        truncation: Largest distance in pixels.

    Returns:
        (B, 1, H, W) float32.
    """
    maps = [scaled_distance(m, truncation) for m in masks.cpu().numpy().astype(bool)]
    return torch.from_numpy(np.stack(maps)[:, None]).to(masks.device)


def scaled_distance(region: np.ndarray, truncation: float) -> np.ndarray:
    """Measure each pixel's distance (H, W) to a region, cut at `truncation`, scaled to [0, 1]."""
    return np.minimum(distance_to(region), truncation) / np.float32(truncation)


def _template_distance(reach: float) -> Tensor:
    """Measure distances (2r + 1, 2r + 1) to the middle pixel, r = ceil(reach).

    In float64, so that `d <= reach` holds exactly on the circle.
    """
    side = torch.arange(-ceil(reach), ceil(reach) + 1, dtype=torch.float64)
    return (side[:, None] ** 2 + side**2).sqrt()
