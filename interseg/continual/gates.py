"""Gates of kernels by an Indian buffet process, with probabilities pi (CLIS, eq. 2, 4, 7 to 9)."""

import torch
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn.functional import softplus

from interseg.errors import InputError

TINY = 1e-6
"""Probabilities stay this far from 0 and 1, where their logarithms end."""
MODES = ("expected", "straight_through", "concrete")
"""How gates z follow from their probabilities pi, see `BuffetGates`."""
CLOSED = 0.05
"""Probability with which spare kernels begin; the official code's."""
SURENESS = 10.0
"""Sum a + b of a posterior at the beginning."""


class BuffetGates(nn.Module):
    """Gates z of one layer, with q(v_k) = Beta(a_k, b_k) and probabilities pi that follow from v.

    Eq. 8 draws concrete gates at a temperature of 2. Behind fourteen layers without norms their
    noise drowns the signal: at pi = .89 the mean of a gate is .74, its coefficient of variation .24
    (benchmarks/clis.md). So two departures are the default: gates begin open, and z is its
    expectation pi, without a draw of v or z; the bound is that of the paper, at the posterior's
    mean.

    Args:
        count: Number of kernels, K, spare ones included.
        prior: "finite": Beta(alpha / K, 1) and pi = v, the finite Indian buffet; "stick":
            Beta(alpha, 1) and pi_k = v_1 ... v_k, the paper's eq. 2, which with its alpha of 1
            leaves about one kernel active.
        alpha: Expected number of active kernels under the prior; K / 3 for "finite", 1 for "stick".
        temperature: Temperature of the concrete Bernoulli; the paper's 2.
        mode: "expected": z = pi at the mean of v; "straight_through": z is 0 or 1, drawn, with the
            concrete gate's gradient; "concrete": eq. 8.
        start: Probability pi of every kernel at the beginning ("stick": of the last one).
        spare: Number of kernels, the last ones, that begin nearly closed and that a task may open.
    """

    prior_a: Tensor
    prior_b: Tensor

    def __init__(
        self,
        count: int,
        prior: str = "finite",
        alpha: float | None = None,
        temperature: float = 2.0,
        mode: str = "expected",
        start: float = 0.9,
        spare: int = 0,
    ) -> None:
        super().__init__()
        if prior not in ("finite", "stick"):
            raise InputError(f"prior is {prior!r}; use finite or stick")
        if temperature <= 0:
            raise InputError(f"temperature is {temperature}; it is above 0")
        if mode not in MODES:
            raise InputError(f"gates is {mode!r}; use {', '.join(MODES)}")
        if not 0 < start < 1:
            raise InputError(
                f"the gates' start is {start}; a probability between 0 and 1 is wanted"
            )
        self.prior, self.temperature, self.mode = prior, temperature, mode
        alpha = alpha if alpha is not None else (count / 3 if prior == "finite" else 1.0)
        a = torch.full((count,), alpha / count if prior == "finite" else alpha)
        self.register_buffer("prior_a", a)
        self.register_buffer("prior_b", torch.ones(count))
        # learning begins with every kernel: the prior switches off what is not needed
        v = torch.full((count,), start if prior == "finite" else start ** (1 / count))
        v[count - spare :] = CLOSED
        self.raw_a = nn.Parameter(inverse_softplus(SURENESS * v))
        self.raw_b = nn.Parameter(inverse_softplus(SURENESS * (1 - v)))

    @property
    def a(self) -> Tensor:
        """(K,) first parameter of the posterior."""
        return softplus(self.raw_a) + TINY

    @property
    def b(self) -> Tensor:
        """(K,) second parameter of the posterior."""
        return softplus(self.raw_b) + TINY

    def probabilities(self, sample: bool = True) -> Tensor:
        """Compute pi (K,) of one draw of v, or of its mean, as always for expected gates."""
        drawn = sample and self.mode != "expected"
        v = Beta(self.a, self.b).rsample() if drawn else self.a / (self.a + self.b)
        return self.of_sticks(v)

    def of_sticks(self, v: Tensor) -> Tensor:
        """Compute pi from v (eq. 2)."""
        return (v.cumprod(0) if self.prior == "stick" else v).clamp(TINY, 1 - TINY)

    def draw(self, probabilities: Tensor) -> Tensor:
        """Draw gates z (K,) by the mode, from 0 to 1 and differentiable in the probabilities."""
        if self.mode == "expected":
            return probabilities
        noise = torch.rand_like(probabilities).clamp(TINY, 1 - TINY)
        concrete = torch.sigmoid(
            (torch.logit(probabilities) + torch.logit(noise)) / self.temperature
        )  # eq. 8
        if self.mode == "concrete":
            return concrete
        return (concrete > 0.5).to(concrete.dtype) + (concrete - concrete.detach())

    def mean(self, probabilities: Tensor) -> Tensor:
        """Compute the expected gates (K,): pi, but for concrete ones, which are nearer to one half.

        Those are computed by 64 quantiles of the noise.
        """
        if self.mode != "concrete":
            return probabilities
        quantiles = (
            torch.arange(64, device=probabilities.device, dtype=probabilities.dtype) + 0.5
        ) / 64
        odds = torch.logit(probabilities.clamp(TINY, 1 - TINY))
        return torch.sigmoid((odds[:, None] + torch.logit(quantiles)) / self.temperature).mean(1)

    def kl(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the KL of v (eq. 7), and of z given v for a draw of pi, each summed over kernels.

        The latter is eq. 9 as it should read.

        Eq. 9 compares the Bernoulli of this draw with that of the mean pi under the prior.
        """
        before = self.of_sticks(self.prior_a / (self.prior_a + self.prior_b))
        return beta_kl(self.a, self.b, self.prior_a, self.prior_b).sum(), bernoulli_kl(
            probabilities, before
        ).sum()

    @torch.no_grad()
    def begin_at(self, probabilities: Tensor) -> None:
        """Move the posterior's mean to probabilities pi; its certainty a + b does not change."""
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
    """Compute KL(Beta(a, b) || Beta(a0, b0)), elementwise (CLIS, eq. 7)."""
    digamma = torch.digamma
    return (
        log_beta(a0, b0)
        - log_beta(a, b)
        + (a - a0) * digamma(a)
        + (b - b0) * digamma(b)
        + (a0 + b0 - a - b) * digamma(a + b)
    )


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """Compute ln B(a, b)."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def bernoulli_kl(p: Tensor, p0: Tensor) -> Tensor:
    """Compute KL(Bernoulli(p) || Bernoulli(p0)), elementwise.

    The paper's eq. 9 has logarithms where probabilities belong.
    """
    return p * (p.log() - p0.log()) + (1 - p) * (torch.log1p(-p) - torch.log1p(-p0))


def inverse_softplus(x: Tensor) -> Tensor:
    """Find y with softplus(y) = x > 0."""
    return x + torch.log(-torch.expm1(-x))
