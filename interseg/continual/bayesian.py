"""Variational weights, Gaussians whose posterior is the next task's prior (CLIS, eq. 3 to 6)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class GaussianWeights(nn.Module):
    """Tensor of weights as independent Gaussians, q(w) = N(mean, exp(log_variance)), with a prior.

    The prior is Gaussian too.

    Args:
        start: Means to begin with.
        prior_std: Standard deviation of the prior N(0, prior_std^2), until the first `hand_over`.
        log_variance: Log-variance of every weight at the beginning; -8 in the official code.
    """

    prior_mean: Tensor
    prior_log_variance: Tensor

    def __init__(self, start: Tensor, prior_std: float = 1.0, log_variance: float = -8.0) -> None:
        super().__init__()
        self.mean = nn.Parameter(start.detach().clone())
        self.log_variance = nn.Parameter(torch.full_like(start, log_variance))
        self.register_buffer("prior_mean", torch.zeros_like(start))
        self.register_buffer("prior_log_variance", torch.full_like(start, 2 * math.log(prior_std)))

    def forward(self, sample: float = 1.0) -> Tensor:
        """Draw weights with a share of the noise, differentiably; a share of 0 gives the means."""
        if not sample:
            return self.mean
        return self.mean + sample * torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)

    def kl(self) -> Tensor:
        """Compute KL(q || prior), summed over the weights (the third term of eq. 6)."""
        ratio = torch.exp(self.log_variance - self.prior_log_variance)
        moved = (self.mean - self.prior_mean) ** 2 / self.prior_log_variance.exp()
        return 0.5 * (ratio + moved - 1 - self.log_variance + self.prior_log_variance).sum()

    @torch.no_grad()
    def sharpen(self, information: Tensor) -> None:
        """Lower variances towards the optimum of eq. 6.

        There, 1 / variance = 1 / prior variance + expected Hessian of the data's loss.

        A gradient finds it slowly: what it says of a log-variance drowns in what it says of the
        mean. This is one step of that fixed point, with the Fisher information for the Hessian; the
        paper has no such step.

        Args:
            information: Diagonal of the information, of the weights' shape, summed over the data.
        """
        precision = torch.exp(-self.prior_log_variance) + information
        self.log_variance.copy_(torch.minimum(self.log_variance, -precision.log()))

    @torch.no_grad()
    def hand_over(self) -> None:
        """Make the posterior the prior of the next task."""
        self.prior_mean.copy_(self.mean)
        self.prior_log_variance.copy_(self.log_variance)


class BayesianConvolution(nn.Module):
    """Convolution that keeps the size and draws its weights at every call, or uses their means.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        size: Side of the kernel, odd.
        prior_std: See `GaussianWeights`.
        log_variance: See `GaussianWeights`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        prior_std: float = 1.0,
        log_variance: float = -8.0,
    ) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, size)
        assert plain.bias is not None
        self.weight = GaussianWeights(plain.weight, prior_std, log_variance)
        self.bias = GaussianWeights(plain.bias, prior_std, log_variance)
        self.padding = size // 2

    def forward(self, x: Tensor, sample: float = 1.0) -> Tensor:
        """Convolve (B, inputs, H, W) to (B, outputs, H, W); the whole batch sees one draw."""
        return conv2d(x, self.weight(sample), self.bias(sample), padding=self.padding)


def bayesian_kl(module: nn.Module) -> Tensor:
    """Compute the KL of all variational weights in a module."""
    return torch.stack([part.kl() for part in gaussian_weights(module)]).sum()


def gaussian_weights(module: nn.Module) -> list[GaussianWeights]:
    """List all variational weights in a module."""
    return [part for part in module.modules() if isinstance(part, GaussianWeights)]
