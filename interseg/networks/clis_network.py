"""CLIS' encoder-decoder: variational kernels, each behind a gate (Zheng et al., AAAI 2021, section "Continual knowledge learning").

Four encoder and three decoder blocks of two 3x3 convolutions, ReLU, then the gate; max pooling by 2, nearest upsampling, concatenation
[up, skip]; 36 kernels in the first layer, 56 in the 13 others; a 1x1 head without gate; no norm. Sizes are the official code's.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from interseg.continual.bayesian import BayesianConvolution, GaussianWeights, bayesian_kl
from interseg.continual.gates import BuffetGates
from interseg.errors import InputError

DIVISOR = 8
"""Three poolings by 2."""


class CLISNetwork(nn.Module):
    """Image to logits of several classes.

    Args:
        classes: C, at least 2.
        first: kernels of the first layer.
        width: kernels of the others.
        variational: Gaussian weights and gates; False for the plain network that the baselines learn with.
        prior: of the gates, see `BuffetGates`.
        alpha: likewise, the expected number of active kernels in a layer.
        temperature: likewise.
        prior_std: of the weights' prior in pretraining.
        gates: at test time: "sample", "expected" (the means of the concrete gates) or "hard" (those with a probability above one half).
    """

    def __init__(
        self,
        classes: int = 2,
        first: int = 36,
        width: int = 56,
        variational: bool = True,
        prior: str = "finite",
        alpha: float | None = None,
        temperature: float = 2.0,
        prior_std: float = 1.0,
        gates: str = "sample",
    ) -> None:
        super().__init__()
        if classes < 2:
            raise InputError(f"classes is {classes}; a segmentation has at least 2, background among them")
        if gates not in ("sample", "expected", "hard"):
            raise InputError(f"gates is {gates!r}; use sample, expected or hard")
        self.classes, self.variational, self.test_gates = classes, variational, gates
        inputs = [3, first, *[width] * 6, 2 * width, width, 2 * width, width, 2 * width, width]
        outputs = [first, *[width] * 13]

        def convolution(i: int, o: int, size: int = 3) -> nn.Module:
            return BayesianConvolution(i, o, size, prior_std) if variational else nn.Conv2d(i, o, size, padding=size // 2)

        self.convolutions = nn.ModuleList(convolution(i, o) for i, o in zip(inputs, outputs, strict=True))
        self.head = convolution(width, classes, 1)
        self.gates = nn.ModuleList(BuffetGates(o, prior, alpha, temperature) for o in outputs) if variational else nn.ModuleList()
        self.counts = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_start(module.weight)
            elif isinstance(module, BayesianConvolution):
                he_start(module.weight.mean)

    def forward(self, image: Tensor, probabilities: list[Tensor] | None = None, sample: bool = True) -> Tensor:
        """Logits of one draw of weights and gates, the same for the whole batch.

        Args:
            image: (B, 3, H, W) in [0, 1]; sides that are no multiple of 8 are padded by replication, and cropped back.
            probabilities: pi of each layer; drawn from the posterior by default.
            sample: draw; False for means and probabilities.

        Returns:
            (B, C, H, W).
        """
        height, width = image.shape[-2:]
        x = pad(image, (0, -width % DIVISOR, 0, -height % DIVISOR), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)  # faster on a CPU
        z = self.draw_gates(probabilities if probabilities is not None else self.probabilities(sample), sample)
        skips = []
        for block in range(7):
            if 1 <= block <= 3:
                skips.append(x)
                x = max_pool2d(x, 2)
            elif block > 3:
                x = torch.cat([interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], 1)
            for layer in (2 * block, 2 * block + 1):
                x = self._convolve(self.convolutions[layer], x, sample).relu()
                if z:
                    x = x * z[layer][:, None, None]
        return self._convolve(self.head, x, sample)[..., :height, :width]

    def _convolve(self, layer: nn.Module, x: Tensor, sample: bool) -> Tensor:
        return layer(x, sample) if self.variational else layer(x)

    def probabilities(self, sample: bool = True) -> list[Tensor]:
        """Pi of each layer: of one draw of the posterior, or of its mean; empty for the plain network."""
        return [gates.probabilities(sample) for gates in self.gates]  # type: ignore[operator]

    def draw_gates(self, probabilities: list[Tensor], sample: bool = True) -> list[Tensor]:
        """Z of each layer."""
        if sample and (self.training or self.test_gates == "sample"):
            return [gates.draw(p) for gates, p in zip(self.gates, probabilities, strict=True)]  # type: ignore[operator]
        means = [gates.mean(p) for gates, p in zip(self.gates, probabilities, strict=True)]  # type: ignore[operator]
        if self.test_gates == "hard" and not self.training:
            return [z * (p > 0.5) for z, p in zip(means, probabilities, strict=True)]
        return means

    def kl(self, probabilities: list[Tensor]) -> Tensor:
        """The three KL terms of eq. 6, for a draw of the gates' probabilities; of the variational network alone."""
        terms = [term for gates, p in zip(self.gates, probabilities, strict=True) for term in gates.kl(p)]  # type: ignore[operator]
        return torch.stack(terms).sum() + bayesian_kl(self)

    def hand_over(self) -> None:
        """Make the posterior of weights and gates the prior of the next task."""
        for module in self.modules():
            if isinstance(module, GaussianWeights | BuffetGates):
                module.hand_over()


def he_start(weight: Tensor) -> None:
    """He's start for ReLU layers: without norms the default start shrinks the features of fourteen layers beneath the weights' noise."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
