"""Kernels switched on by an Indian buffet process: a gate each, whose probability is learned (CLIS, eq. 2, 4, 7 to 9)."""

import torch
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn.functional import softplus

from interseg.errors import InputError

TINY = 1e-6
"""Probabilities stay this far from 0 and 1, where their logarithms end."""


class BuffetGates(nn.Module):
    """The gates of one layer: q(v_k) = Beta(a_k, b_k), the probabilities pi that follow from v, and concrete Bernoulli gates z.

    Args:
        count: of kernels, K.
        prior: "finite": Beta(alpha / K, 1) and pi = v, the finite Indian buffet; "stick": Beta(alpha, 1) and pi_k = v_1 ... v_k, the
            paper's eq. 2, which with its alpha of 1 leaves about one kernel active.
        alpha: expected number of active kernels under the prior; K / 3 for "finite", 1 for "stick".
        temperature: of the concrete Bernoulli; the paper's 2.
    """

    prior_a: Tensor
    prior_b: Tensor

    def __init__(self, count: int, prior: str = "finite", alpha: float | None = None, temperature: float = 2.0) -> None:
        super().__init__()
        if prior not in ("finite", "stick"):
            raise InputError(f"prior is {prior!r}; use finite or stick")
        if temperature <= 0:
            raise InputError(f"temperature is {temperature}; it is above 0")
        self.prior, self.temperature = prior, temperature
        alpha = alpha if alpha is not None else (count / 3 if prior == "finite" else 1.0)
        a = torch.full((count,), alpha / count if prior == "finite" else alpha)
        self.register_buffer("prior_a", a)
        self.register_buffer("prior_b", torch.ones(count))
        # from probabilities near 1, so that learning begins with every kernel: the prior switches off what is not needed
        self.raw_a = nn.Parameter(inverse_softplus(torch.full((count,), 8.0)))
        self.raw_b = nn.Parameter(inverse_softplus(torch.full((count,), 1.0 if prior == "finite" else 0.1)))

    @property
    def a(self) -> Tensor:
        """(K,) first parameter of the posterior."""
        return softplus(self.raw_a) + TINY

    @property
    def b(self) -> Tensor:
        """(K,) second parameter of the posterior."""
        return softplus(self.raw_b) + TINY

    def probabilities(self, sample: bool = True) -> Tensor:
        """(K,) pi of one draw of v, or of its mean."""
        v = Beta(self.a, self.b).rsample() if sample else self.a / (self.a + self.b)
        return self.of_sticks(v)

    def of_sticks(self, v: Tensor) -> Tensor:
        """Pi from v (eq. 2)."""
        return (v.cumprod(0) if self.prior == "stick" else v).clamp(TINY, 1 - TINY)

    def draw(self, probabilities: Tensor) -> Tensor:
        """(K,) concrete Bernoulli gates (eq. 8), between 0 and 1 and differentiable in the probabilities."""
        noise = torch.rand_like(probabilities).clamp(TINY, 1 - TINY)
        return torch.sigmoid((torch.logit(probabilities) + torch.logit(noise)) / self.temperature)

    def mean(self, probabilities: Tensor) -> Tensor:
        """(K,) expected concrete gates, by 64 quantiles of the noise; at a temperature above 0 they are nearer to one half than pi."""
        quantiles = (torch.arange(64, device=probabilities.device, dtype=probabilities.dtype) + 0.5) / 64
        odds = torch.logit(probabilities.clamp(TINY, 1 - TINY))
        return torch.sigmoid((odds[:, None] + torch.logit(quantiles)) / self.temperature).mean(1)

    def kl(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """KL of v (eq. 7) and, for one draw of pi, of z given v (eq. 9 as it should read), each summed over the kernels.

        Eq. 9 compares the Bernoulli of this draw with that of the mean pi under the prior.
        """
        before = self.of_sticks(self.prior_a / (self.prior_a + self.prior_b))
        return beta_kl(self.a, self.b, self.prior_a, self.prior_b).sum(), bernoulli_kl(probabilities, before).sum()

    @torch.no_grad()
    def begin_at(self, probabilities: Tensor) -> None:
        """Move the posterior's mean to some probabilities pi; it stays as sure of them as it was (a + b)."""
        v = probabilities
        if self.prior == "stick":
            v = v / torch.cat([torch.ones_like(v[:1]), v[:-1]])
        v, total = v.clamp(TINY, 1 - TINY), self.a + self.b
        self.raw_a.copy_(inverse_softplus((v * total - TINY).clamp_min(TINY)))
        self.raw_b.copy_(inverse_softplus(((1 - v) * total - TINY).clamp_min(TINY)))

    @torch.no_grad()
    def hand_over(self) -> None:
        """Make the posterior the prior of the next task."""
        self.prior_a.copy_(self.a)
        self.prior_b.copy_(self.b)


def beta_kl(a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> Tensor:
    """KL(Beta(a, b) || Beta(a0, b0)), elementwise (CLIS, eq. 7)."""
    digamma = torch.digamma
    return log_beta(a0, b0) - log_beta(a, b) + (a - a0) * digamma(a) + (b - b0) * digamma(b) + (a0 + b0 - a - b) * digamma(a + b)


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Ln B(a, b)."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def bernoulli_kl(p: Tensor, p0: Tensor) -> Tensor:
    """KL(Bernoulli(p) || Bernoulli(p0)), elementwise; the paper's eq. 9 has logarithms where probabilities belong."""
    return p * (p.log() - p0.log()) + (1 - p) * (torch.log1p(-p) - torch.log1p(-p0))


def inverse_softplus(x: Tensor) -> Tensor:
    """Y with softplus(y) = x > 0."""
    return x + torch.log(-torch.expm1(-x))
