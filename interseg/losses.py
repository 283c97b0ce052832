"""Losses on one logit a pixel; ignored pixels never count, and every image weighs the same."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from interseg.clicks import IGNORE


def bootstrapped_cross_entropy(logits: Tensor, mask: Tensor, fraction: float = 0.25) -> Tensor:
    """Mean cross-entropy of the worst `fraction` of each image's valid pixels, then the mean over images (ITIS, section 4.2).

    The number of pixels is rounded up, at least one; an image without a valid pixel adds 0.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
        fraction: of the valid pixels, in (0, 1].
    """
    loss = pixel_cross_entropy(logits, mask)
    valid = (mask != IGNORE).flatten(1).sum(1)
    count = torch.ceil(valid * fraction).long().clamp_min(1)
    ranked = loss.topk(int(count.max()), dim=1, sorted=True).values
    chosen = torch.arange(ranked.shape[1], device=ranked.device) < count[:, None]
    return ((ranked * chosen).sum(1) / count).mean()


def pixel_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, H * W) binary cross-entropy of each pixel, 0 where the mask is ignore."""
    truth = (mask == 1).to(logits.dtype)
    loss = binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")
    return (loss * (mask != IGNORE)).flatten(1)


def binary_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of the valid pixels of each image, then the mean over images; an image without a valid pixel adds 0.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
    """
    valid = (mask != IGNORE).flatten(1).sum(1)
    return (pixel_cross_entropy(logits, mask).sum(1) / valid.clamp_min(1)).mean()


def normalized_focal(logits: Tensor, mask: Tensor, gamma: float = 2.0, alpha: float = 0.5) -> Tensor:
    """Focal loss divided by the sum of its own weights in each image, which are held constant (Sofiiuk et al. 2019, eq. 3; RITM).

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
        gamma: focusing exponent.
        alpha: weight of object pixels; background has 1 - alpha.
    """
    loss = pixel_cross_entropy(logits, mask)
    truth, valid = (mask == 1).flatten(1), (mask != IGNORE).flatten(1)
    with torch.no_grad():
        weight = (1 - torch.exp(-loss)) ** gamma * valid
        weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-8) * valid.sum(1, keepdim=True)
    balance = torch.where(truth, alpha, 1 - alpha)
    return ((loss * weight * balance).sum(1) / valid.sum(1).clamp_min(1)).mean()


class BinaryCrossEntropy(nn.Module):
    """`binary_cross_entropy` as a part of a config."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return binary_cross_entropy(logits, mask)


class BootstrappedCrossEntropy(nn.Module):
    """`bootstrapped_cross_entropy` as a part of a config."""

    def __init__(self, fraction: float = 0.25) -> None:
        super().__init__()
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction is {fraction}; it is the share of the worst pixels and lies in (0, 1]")
        self.fraction = fraction

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return bootstrapped_cross_entropy(logits, mask, self.fraction)


class NormalizedFocal(nn.Module):
    """`normalized_focal` as a part of a config."""

    def __init__(self, gamma: float = 2.0, alpha: float = 0.5) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return normalized_focal(logits, mask, self.gamma, self.alpha)
