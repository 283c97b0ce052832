"""CLIS' encoder-decoder: variational kernels, each behind a gate (Zheng et al., AAAI 2021, section "Continual knowledge learning").

Four encoder and three decoder blocks of two 3x3 convolutions, ReLU, then the gate; max pooling by
2, nearest upsampling, concatenation [up, skip]; 36 kernels in the first layer, 56 in the 13 others;
a 1x1 head without gate; no norm. Sizes are the official code's.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from interseg.continual.bayesian import BayesianConvolution, GaussianWeights, bayesian_kl
from interseg.continual.gates import BuffetGates
from interseg.errors import InputError

DIVISOR = 8
"""Three poolings by 2."""
SPARE = -8.0
"""Log-variance of the weights of spare kernels and of those that read them; the official code's
most."""
JOINED = tuple(f"convolutions.{layer}." for layer in (8, 10, 12))
"""Layers that read two maps: one from below and one from the encoder."""


class CLISNetwork(nn.Module):
    """Image to logits of several classes.

    Args:
        classes: C, at least 2.
        first: kernels of the first layer.
        width: kernels of the others.
        variational: Gaussian weights and gates; False for the plain network that the baselines
            learn with.
        prior: of the gates, see `BuffetGates`.
        alpha: expected number of active kernels in a layer, see `BuffetGates`.
        temperature: of concrete gates, see `BuffetGates`.
        prior_std: of the weights' prior in pretraining.
        gates: "expected", "straight_through" or "concrete", see `BuffetGates`.
        gates_start: probability with which gates begin.
        spare: kernels that every layer has beyond these, nearly closed, for tasks to open.
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
        gates: str = "expected",
        gates_start: float = 0.9,
        spare: int = 0,
    ) -> None:
        super().__init__()
        if classes < 2:
            raise InputError(
                f"classes is {classes}; a segmentation has at least 2, background among them"
            )
        if spare < 0 or (spare and not variational):
            raise InputError(
                f"spare is {spare}; it is 0 or more, and 0 for a plain network, which has no gates to open"
            )
        self.classes, self.variational, self.spare = classes, variational, spare
        first, width = first + spare, width + spare
        inputs = [3, first, *[width] * 6, 2 * width, width, 2 * width, width, 2 * width, width]
        outputs = [first, *[width] * 13]

        def convolution(i: int, o: int, size: int = 3) -> nn.Module:
            return (
                BayesianConvolution(i, o, size, prior_std)
                if variational
                else nn.Conv2d(i, o, size, padding=size // 2)
            )

        self.convolutions = nn.ModuleList(
            convolution(i, o) for i, o in zip(inputs, outputs, strict=True)
        )
        self.head = convolution(width, classes, 1)
        gated = outputs if variational else []
        self.gates = nn.ModuleList(
            BuffetGates(o, prior, alpha, temperature, gates, gates_start, spare) for o in gated
        )
        self.counts = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_start(module.weight)
            elif isinstance(module, BayesianConvolution):
                he_start(module.weight.mean)

    def forward(
        self, image: Tensor, probabilities: list[Tensor] | None = None, sample: float = 1.0
    ) -> Tensor:
        """Logits of one draw of weights and gates, the same for the whole batch.

        Args:
            image: (B, 3, H, W) in [0, 1]; sides that are no multiple of 8 are padded by
                replication, and cropped back.
            probabilities: pi of each layer; drawn from the posterior by default.
            sample: share of the weights' noise; with 0 nothing is drawn, and weights and gates are
                their means.

        Returns:
            (B, C, H, W).
        """
        z = self.draw_gates(
            probabilities if probabilities is not None else self.probabilities(bool(sample)),
            bool(sample),
        )
        return self._answer(image, z, sample)

    def plain(self, image: Tensor) -> Tensor:
        """Logits (B, C, H, W) of the network that the means are, without gates."""
        return self._answer(image, [], 0.0)

    def _answer(self, image: Tensor, z: list[Tensor], sample: float) -> Tensor:
        height, width = image.shape[-2:]
        x = pad(image, (0, -width % DIVISOR, 0, -height % DIVISOR), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)  # faster on a CPU
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

    def _convolve(self, layer: nn.Module, x: Tensor, sample: float) -> Tensor:
        return layer(x, sample) if self.variational else layer(x)

    def probabilities(self, sample: bool = True) -> list[Tensor]:
        """Pi of each layer: of one draw of the posterior, or of its mean; empty for the plain network."""
        return [gates.probabilities(sample) for gates in self.gates]  # type: ignore[operator]

    @property
    def layers(self) -> list[BayesianConvolution]:
        """The variational convolutions, the head last; none in the plain network."""
        return [
            layer
            for layer in (*self.convolutions, self.head)
            if isinstance(layer, BayesianConvolution)
        ]

    def draw_gates(self, probabilities: list[Tensor], sample: bool = True) -> list[Tensor]:
        """Z of each layer: drawn as the gates' mode says, or expected."""
        pairs = zip(self.gates, probabilities, strict=True)
        return [gates.draw(p) if sample else gates.mean(p) for gates, p in pairs]  # type: ignore[operator]

    @torch.no_grad()
    def convert(self, log_variance: float = -6.0) -> None:
        """Turn a plain network, which the means are, into a variational one whose expected gates leave its answers as they were.

        Every layer is divided by its mean gates: relu(x / g) g = relu(x). The paper has no such
        step.

        Args:
            log_variance: that every weight begins with; `GaussianWeights.sharpen` lowers it.
        """
        for gates, layer in zip(self.gates, self.layers[:-1], strict=True):
            mean = gates.mean(gates.probabilities(sample=False))  # type: ignore[operator]
            mean[len(mean) - self.spare :] = 1  # what nobody reads yet need not be louder
            layer.weight.mean.div_(mean[:, None, None, None])
            layer.bias.mean.div_(mean)
        for module in self.modules():
            if isinstance(module, GaussianWeights):
                module.log_variance.fill_(log_variance)
        for name, value in self.named_parameters():
            if name.endswith("log_variance") and self.spare:
                value.masked_fill_(~self.ordinary(name, value), min(SPARE, log_variance))

    def readers(self, name: str, value: Tensor) -> Tensor:
        """Tell which rows of a tensor of the state belong to kernels that are no spare ones; the head's all do."""
        rows = torch.arange(len(value), device=value.device)
        return rows < len(value) - (0 if name.startswith("head.") else self.spare)

    def ordinary(self, name: str, value: Tensor) -> Tensor:
        """Tell which entries of a tensor of the state have to do with no spare kernel, as its own or as what it reads."""
        kept = torch.ones_like(value, dtype=torch.bool)
        kept[~self.readers(name, value)] = False
        if value.dim() == 4 and not name.startswith("convolutions.0."):
            count = value.shape[1] // 2 if name.startswith(JOINED) else value.shape[1]
            columns = torch.arange(value.shape[1], device=value.device)
            kept[:, columns % count >= count - self.spare] = False
        return kept

    def widened(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the state of such a network without spare kernels these: as they were drawn, and read by spare kernels alone."""
        found = {key: state[key] for key in self.state_dict() if key in state}
        for key, value in found.items():
            placed = self.state_dict()[key].clone()
            ordinary = self.ordinary(key, placed)
            if value.shape == placed.shape or value.numel() != int(ordinary.sum()):
                continue  # of the same network, or of another one
            if key.endswith("weight.mean"):
                placed[self.readers(key, placed)] = 0
            placed[ordinary] = value.to(placed).flatten()
            found[key] = placed
        return found

    def kl(self, probabilities: list[Tensor]) -> Tensor:
        """Compute the three KL terms of eq. 6, for a draw of the gates' probabilities; of the variational network alone."""
        terms = [
            term for gates, p in zip(self.gates, probabilities, strict=True) for term in gates.kl(p)
        ]  # type: ignore[operator]
        return torch.stack(terms).sum() + bayesian_kl(self)

    def hand_over(self) -> None:
        """Make the posterior of weights and gates the prior of the next task."""
        for module in self.modules():
            if isinstance(module, GaussianWeights | BuffetGates):
                module.hand_over()


def he_start(weight: Tensor) -> None:
    """He's start for ReLU layers: without norms the default start shrinks the features of fourteen layers beneath the weights' noise."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
