"""Losses on one logit a pixel, or on one a class; ignored pixels never count.

All images have equal weight.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from interseg.clicks.layout import IGNORE


def bootstrapped_cross_entropy(logits: Tensor, mask: Tensor, fraction: float = 0.25) -> Tensor:
    """Average the cross-entropy of the worst `fraction` of each image's valid pixels over images.

    The number of pixels is rounded up, at least one; an image without a valid pixel adds 0. The
    source is ITIS, section 4.2.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
        fraction: Share of the valid pixels, in (0, 1].
    """
    loss = pixel_cross_entropy(logits, mask)
    valid = (mask != IGNORE).flatten(1).sum(1)
    count = torch.ceil(valid * fraction).long().clamp_min(1)
    ranked = loss.topk(int(count.max()), dim=1, sorted=True).values
    chosen = torch.arange(ranked.shape[1], device=ranked.device) < count[:, None]
    return ((ranked * chosen).sum(1) / count).mean()


def pixel_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Compute the binary cross-entropy (B, H * W) of each pixel, 0 at ignored pixels."""
    truth = (mask == 1).to(logits.dtype)
    loss = binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")
    return (loss * (mask != IGNORE)).flatten(1)


def binary_cross_entropy(logits: Tensor, mask: Tensor) -> Tensor:
    """Average the mean cross-entropy of each image's valid pixels over images.

    An image without a valid pixel adds 0.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
    """
    valid = (mask != IGNORE).flatten(1).sum(1)
    return (pixel_cross_entropy(logits, mask).sum(1) / valid.clamp_min(1)).mean()


def normalized_focal(
    logits: Tensor,
    mask: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.5,
    constant_weights: bool = True,
) -> Tensor:
    """Compute the focal loss, divided by the mean of its weights in each image.

    The divisor is a constant of the gradient. In the papers the weights are not, so that the
    gradient grows for wrong pixels that improve. If they are constants too, a step is a step of
    weighted cross-entropy, which works better in a short training of a new decoder. The sources are
    Sofiiuk et al. 2019, eq. 3, and RITM, section 3.4.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
        gamma: Focusing exponent.
        alpha: Weight of object pixels; background pixels have 1 - alpha.
        constant_weights: Whether to stop the gradient at the weights; False as in the papers. The
            value is the same.
    """
    loss = pixel_cross_entropy(logits, mask)
    truth, valid = (mask == 1).flatten(1), (mask != IGNORE).flatten(1)
    surprise = loss.detach() if constant_weights else loss
    weight = (1 - torch.exp(-surprise)) ** gamma * valid
    total = weight.detach().sum(1, keepdim=True).clamp_min(1e-8)
    weight = weight / total * valid.sum(1, keepdim=True)
    balance = torch.where(truth, alpha, 1 - alpha)
    return ((loss * weight * balance).sum(1) / valid.sum(1).clamp_min(1)).mean()


def soft_jaccard(logits: Tensor, mask: Tensor) -> Tensor:
    """Average 1 minus the soft IoU of probabilities and object over images.

    The source is Rahman & Wang 2016, section 2. It is the only one of these losses in which a
    missed pixel weighs more in a small object. For an image without object pixels only the
    probabilities count; an image without a valid pixel adds 0.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
    """
    valid = (mask != IGNORE).flatten(1)
    truth = (mask == 1).flatten(1)
    probability = logits[:, 0].sigmoid().flatten(1) * valid
    both = (probability * truth).sum(1)
    union = probability.sum(1) + truth.sum(1) - both
    return ((union - both) / union.clamp_min(1.0)).mean()


def boundary_weight(distance: Tensor, width: float = 40.0, scale: float = 255.0) -> Tensor:
    """Compute w(p) of the boundary-aware loss: d / scale for background with d <= width, else 0.

    The source is two-in-one, eq. 2. The paper prints the distance squared; with 40 pixels that
    would be a band of 6 pixels, so the distance is taken as not squared.

    Args:
        distance: (B, H, W) distance in pixels of each pixel to the object, 0 on it
            (`interseg.distance.distance_to`); for a background pixel, that is the distance to the
            object's boundary.
        width: Width of the band in pixels; 0 for no weight anywhere.
        scale: Distance in pixels at which the weight is 1.
    """
    return torch.where(distance <= width, distance / scale, 0.0)


def label_counts(mask: Tensor) -> Tensor:
    """Count object and background pixels in masks (B, H, W), as (2,) float64."""
    return torch.stack([(mask == 1).sum(), (mask == 0).sum()]).double()


def balanced_cross_entropy(
    logits: Tensor, mask: Tensor, weight: Tensor | None = None, counts: Tensor | None = None
) -> Tensor:
    """Compute the cross-entropy with equal weight of both labels, whatever their pixel numbers.

    The source is two-in-one, eq. 1 and 3; the paper's sum over pixels is a mean over the valid ones
    here. The weight of a pixel is the frequency of the other label, which is the normalised inverse
    frequency of its own; if there is only one label, it is 1.

    Args:
        logits: (B, 1, H, W).
        mask: (B, H, W) in {0, 1, 255}.
        weight: (B, H, W) factor of each pixel, `1 + boundary_weight(...)` for the boundary-aware
            loss.
        counts: (2,) numbers of object and background pixels, averaged over the processes of a step;
            this batch's own by default. With it, the mean of the processes' losses is the loss of
            their joined batches.
    """
    loss = pixel_cross_entropy(logits, mask)
    counts = label_counts(mask) if counts is None else counts
    total = counts.sum().clamp_min(1)
    balance = torch.where((counts > 0).all(), counts.flip(0) / total, 1.0).to(loss.dtype)
    balanced = loss * torch.where(mask.flatten(1) == 1, balance[0], balance[1])
    if weight is not None:
        balanced = balanced * weight.flatten(1)
    return balanced.sum() / total.to(loss.dtype)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Compute the mean over pixels of their weighted cross-entropy (CLIS, eq. 15).

    Ignored labels add 0.

    Args:
        logits: (B, C, H, W).
        labels: (B, H, W) classes, 255 = ignore; or (B, C, H, W) probabilities.
        weights: (B, H, W).
    """
    if labels.dim() == logits.dim():
        return (weights * cross_entropy(logits, labels, reduction="none")).mean()
    return (
        weights * cross_entropy(logits, labels.long(), reduction="none", ignore_index=IGNORE)
    ).mean()


def weighted_cross_entropy_and_dice(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean cross-entropy plus 1 - soft Dice, both with the same weights.

    The source is dynamic interactive learning, eq. 9; the paper names both losses.

    Args:
        logits: (B, 1, ...) of the target.
        target: (B, 1, ...) in [0, 1]; smoothed labels are in between.
        weight: (B, 1, ...) confidence in the target; its scale does not matter.

    Returns:
        The loss in single precision at least: a volume has more voxels than half precision counts.
    """
    if logits.dtype != torch.float64:
        logits, target, weight = logits.float(), target.float(), weight.float()
    total_weight = weight.flatten(1).sum(1).clamp_min(1e-8)
    share = weight / total_weight.view(-1, *[1] * (weight.dim() - 1))
    losses = binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (share * losses).flatten(1).sum(1)
    probabilities = logits.sigmoid()
    both = (share * probabilities * target).flatten(1).sum(1)
    total = (share * (probabilities + target)).flatten(1).sum(1)
    return (entropy + 1 - (2 * both + 1e-8) / (total + 1e-8)).mean()


class BoundaryAwareCrossEntropy(nn.Module):
    """BA-CE as a part of a config.

    With `width: 0`, it is the class-balanced cross-entropy (CB-CE) of the paper's comparison.

    Args:
        width: Width of the band, see `boundary_weight`.
        scale: Scale of the distance, see `boundary_weight`.
        region: Weight of `soft_jaccard` beside it, which the paper does not have. Equal weight of
            both labels lets a doubtful pixel count as object; a loss of the region takes that back.
            It is the mean of a process's own objects, whatever the number of the others'.
    """

    def __init__(self, width: float = 40.0, scale: float = 255.0, region: float = 0.0) -> None:
        super().__init__()
        self.width, self.scale, self.region = width, scale, region

    def forward(
        self,
        logits: Tensor,
        mask: Tensor,
        distance: Tensor,
        emphasis: Tensor | float = 1.0,
        counts: Tensor | None = None,
    ) -> Tensor:
        """Compute `balanced_cross_entropy` with `boundary_weight` and a further factor of pixels.

        Args:
            logits: (B, 1, H, W).
            mask: (B, H, W) in {0, 1, 255}.
            distance: (B, H, W), see `boundary_weight`.
            emphasis: (B, H, W) further factor of each pixel.
            counts: See `balanced_cross_entropy`.
        """
        weight = (1 + boundary_weight(distance, self.width, self.scale)) * emphasis
        loss = balanced_cross_entropy(logits, mask, weight, counts)
        return loss + self.region * soft_jaccard(logits, mask) if self.region else loss


class BinaryCrossEntropy(nn.Module):
    """`binary_cross_entropy` as a part of a config."""

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return binary_cross_entropy(logits, mask)


class BootstrappedCrossEntropy(nn.Module):
    """`bootstrapped_cross_entropy` as a part of a config."""

    def __init__(self, fraction: float = 0.25) -> None:
        super().__init__()
        if not 0 < fraction <= 1:
            raise ValueError(
                f"fraction is {fraction}; it is the share of the worst pixels and lies in (0, 1]"
            )
        self.fraction = fraction

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return bootstrapped_cross_entropy(logits, mask, self.fraction)


class NormalizedFocal(nn.Module):
    """`normalized_focal` as a part of a config."""

    def __init__(
        self, gamma: float = 2.0, alpha: float = 0.5, constant_weights: bool = True
    ) -> None:
        super().__init__()
        self.gamma, self.alpha, self.constant_weights = gamma, alpha, constant_weights

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return normalized_focal(logits, mask, self.gamma, self.alpha, self.constant_weights)


class FocalAndJaccard(NormalizedFocal):
    """`normalized_focal` of the pixels plus `soft_jaccard` of the region.

    Args:
        region: Weight of the region's loss.
        gamma, alpha, constant_weights: See `normalized_focal`.
    """

    def __init__(
        self,
        region: float = 1.0,
        gamma: float = 2.0,
        alpha: float = 0.5,
        constant_weights: bool = True,
    ) -> None:
        super().__init__(gamma, alpha, constant_weights)
        self.region = region

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return super().forward(logits, mask) + self.region * soft_jaccard(logits, mask)
