"""Uncertainty of a network at each pixel, from several draws of its probabilities.

Its epistemic part is told apart (Kendall and Gal 2017; CLIS, eq. 10).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Uncertainty(NamedTuple):
    """Maps (..., H, W) in nats; predictive = aleatoric + epistemic."""

    predictive: Tensor
    """Entropy of the mean probabilities: eq. 10."""
    aleatoric: Tensor
    """Mean entropy of the draws: what the image leaves open."""
    epistemic: Tensor
    """Mutual information of prediction and weights: what the network has not learned."""


def uncertainty(draws: Tensor) -> Uncertainty:
    """Compute uncertainties from draws (S, ..., C, H, W) of class probabilities.

    One draw has no epistemic part.
    """
    predictive, aleatoric = entropy(draws.mean(0)), entropy(draws).mean(0)
    return Uncertainty(predictive, aleatoric, (predictive - aleatoric).clamp_min(0))


def entropy(probabilities: Tensor) -> Tensor:
    """Compute the entropy (..., H, W) of probabilities (..., C, H, W) in nats; 0 ln 0 is 0."""
    return -torch.xlogy(probabilities, probabilities).sum(-3)
