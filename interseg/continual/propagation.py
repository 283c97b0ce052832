"""Propagation of annotated pixels over the image: CLIS' energy (eq. 11 to 14) and its minimum.

The energy is convex in the probabilities. The official code takes 401 steps of Adam on it;
`propagate` solves its stationarity condition pixel by pixel, all at once, over and over, at a
coarse grid first.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from torch import Tensor
from torch.nn.functional import interpolate

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""To four of the eight neighbours; the other four are these pairs seen from their other ends."""
LEAST = 1e-6
"""No probability is below it: the logarithm of 0 has no end."""
SMALL = 16
"""Pixels of a side below which there is no coarser grid."""


def lab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert an RGB image (H, W, 3) to CIE LAB (3, H, W), in hundreds: lightness in [0, 1]."""
    return np.moveaxis(rgb2lab(image).astype(np.float32) / 100, -1, 0)


def similarity(colours: Tensor, contrast: float = 100.0) -> list[Tensor]:
    """Compute exp(-k |r_m - r_n|^2) of every pair of neighbours (eq. 13).

    Args:
        colours: (3, H, W) of `lab`.
        contrast: Contrast k; the paper does not give it.

    Returns:
        One (H - |dy|, W - |dx|) each of `STEPS`.
    """
    pairs = (ends(colours, step) for step in STEPS)
    return [torch.exp(-contrast * ((m - n) ** 2).sum(0)) for m, n in pairs]


def energy(
    theta: Tensor, prior: Tensor, annotation: Tensor, pairs: list[Tensor], weight: float = 1000.0
) -> Tensor:
    """Compute G of eq. 11, summed over pixels and pairs of neighbours, each pair once.

    Args:
        theta: (C, H, W) probabilities.
        prior: (C, H, W) the network's.
        annotation: (H, W) uint8 class of annotated pixels, 255 elsewhere.
        pairs: Weights of pairs, of `similarity`, or multiples of it.
        weight: Weight lambda of annotated pixels (eq. 14); "sufficiently large" in the paper.
    """
    log = theta.log()
    total = (theta * (log - prior.log())).sum()  # eq. 12: KL(theta || prior)
    for step, w in zip(STEPS, pairs, strict=True):
        (p, q), (log_p, log_q) = ends(theta, step), ends(log, step)
        total = total + (w * (p - q) * (log_p - log_q)).sum() / 2  # eq. 13
    return total - weight * (one_hot(annotation, len(theta)) * log).sum()


def propagate(
    prior: Tensor,
    annotation: Tensor,
    pairs: list[Tensor],
    weight: float = 1000.0,
    iterations: int = 60,
    tolerance: float = 1e-3,
) -> Tensor:
    """Compute the probabilities of least energy.

    At the minimum each pixel's p, its neighbours' q and their weights w satisfy, with a constant
    for p to sum to 1,

        (1 + sum w / 2) ln p = ln prior + sum w ln q / 2 + (sum w q / 2 + weight * annotation) / p +
        constant.

    Args:
        prior: (C, H, W) probabilities of the network.
        annotation: (H, W) uint8 class of annotated pixels, 255 elsewhere.
        pairs: Weights of pairs, of `similarity`, or multiples of it.
        weight: Weight of annotated pixels.
        iterations: Most turns at each size.
        tolerance: Change of a probability; the turns end where none has changed more.

    Returns:
        (C, H, W); the prior itself where nothing is annotated and every pair weighs 0.
    """
    return descend(
        normalise(prior),
        weight * one_hot(annotation, len(prior)).to(prior.dtype),
        pairs,
        iterations,
        tolerance,
    )


def descend(
    prior: Tensor, given: Tensor, pairs: list[Tensor], iterations: int, tolerance: float
) -> Tensor:
    """Take turns from the answer at half the size, which holds influences from far away.

    A turn carries them one pixel.
    """
    theta = torch.where(
        given.sum(0) > 0, normalise(given), start(prior, given, pairs, iterations, tolerance)
    )
    log_prior, scale = prior.log(), 1 + neighbour_sum(torch.ones_like(prior[:1]), pairs) / 2
    for _ in range(iterations):
        log = theta.log()
        around, log_around = neighbour_sum(torch.cat([theta, log]), pairs).chunk(2)
        known = log_prior + log_around / 2
        pull = around / 2 + given
        new = newton(theta, known, pull, scale)
        change = (new - theta).abs().max()
        theta = new
        if change < tolerance:
            break
    return theta


def start(
    prior: Tensor, given: Tensor, pairs: list[Tensor], iterations: int, tolerance: float
) -> Tensor:
    """Enlarge the answer at half the size; below `SMALL` begin with the prior.

    A pixel there stands for four, its pairs of neighbours reach twice as far: against its own terms
    they weigh a quarter.
    """
    height, width = prior.shape[1:]
    if min(height, width) < SMALL:
        return prior
    half = (height // 2, width // 2)
    near = [
        area_mean(w[None], (half[0] - down, half[1] - abs(right)))[0] / 4
        for (down, right), w in zip(STEPS, pairs, strict=True)
    ]
    found = descend(
        normalise(area_mean(prior.log(), half).exp()),
        area_mean(given, half),
        near,
        iterations,
        tolerance,
    )
    return normalise(
        interpolate(found[None], (height, width), mode="bilinear", align_corners=False)[0]
    )


def area_mean(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Reduce maps (K, H, W) to a smaller size."""
    return interpolate(maps[None], size, mode="area")[0]


def newton(theta: Tensor, known: Tensor, pull: Tensor, scale: Tensor) -> Tensor:
    """Take a step towards p with `scale ln p - pull / p = known + constant`, from p (C, H, W).

    In u = ln p the left side is scale u - pull exp(-u), whose slope is scale + pull / p.
    """
    slope = scale + pull / theta
    log = theta.log()
    residual = known - scale * log + pull / theta
    constant = -(residual / slope * theta).sum(0) / (theta / slope).sum(
        0
    )  # keeps the sum of probabilities to first order
    return normalise((log + ((residual + constant) / slope).clamp(-2, 2)).exp())


def normalise(values: Tensor) -> Tensor:
    """Scale probabilities (C, H, W) to sum to 1 over classes, none below `LEAST`."""
    values = values / values.sum(0, keepdim=True).clamp_min(LEAST)
    return values.clamp_min(LEAST) / values.clamp_min(LEAST).sum(0, keepdim=True)


def one_hot(annotation: Tensor, classes: int) -> Tensor:
    """Make (C, H, W) bool of annotated pixels."""
    return (
        annotation
        == torch.arange(classes, device=annotation.device, dtype=annotation.dtype)[:, None, None]
    )


def ends(maps: Tensor, step: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cut maps (..., H, W) to both ends of every pair of neighbours that a step joins."""
    down, right = step
    height, width = maps.shape[-2:]
    first = maps[..., : height - down, max(0, -right) : width - max(0, right)]
    return first, maps[..., down:, max(0, right) : width + min(0, right)]


def neighbour_sum(maps: Tensor, pairs: list[Tensor]) -> Tensor:
    """Compute the weighted sum (K, H, W) of maps over the eight neighbours of each pixel."""
    total = torch.zeros_like(maps)
    for step, w in zip(STEPS, pairs, strict=True):
        (to_first, to_second), (first, second) = ends(total, step), ends(maps, step)
        to_first += w * second
        to_second += w * first
    return total
