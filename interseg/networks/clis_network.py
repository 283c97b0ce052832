"""CLIS' encoder-decoder: variational kernels, each behind a gate.

Four encoder and three decoder blocks of two 3x3 convolutions, ReLU, then the gate; max pooling by
2, nearest upsampling, concatenation [up, skip]; 36 kernels in the first layer, 56 in the 13 others;
a 1x1 head without gate; no norm. The source is Zheng et al., AAAI 2021, section "Continual
knowledge learning"; sizes are the official code's.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from interseg.continual.bayesian import (
    BayesianConvolution,
    GaussianWeights,
    bayesian_kl,
    gaussian_weights,
)
from interseg.continual.gates import BuffetGates
from interseg.errors import InputError
from interseg.losses import weighted_cross_entropy

DIVISOR = 8
"""Product of three poolings by 2."""
SPARE = -8.0
"""Log-variance of the weights of spare kernels and of the weights that read them; the official
code's maximum."""
JOINED = tuple(f"convolutions.{layer}." for layer in (8, 10, 12))
"""Layers that read two maps: one from below and one from the encoder."""


class CLISNetwork(nn.Module):
    """A network from image to logits of several classes.

    Args:
        classes: Number of classes C, at least 2.
        first: Number of kernels of the first layer.
        width: Number of kernels of the other layers.
        variational: Whether to use Gaussian weights and gates; False for the plain network of the
            baselines.
        prior: Prior of the gates, see `BuffetGates`.
        alpha: Expected number of active kernels in a layer, see `BuffetGates`.
        temperature: Temperature of concrete gates, see `BuffetGates`.
        prior_std: Standard deviation of the weights' prior in pretraining.
        gates: "expected", "straight_through" or "concrete", see `BuffetGates`.
        gates_start: Probability of the gates at the start.
        spare: Number of additional kernels in every layer, nearly closed, which tasks may open.

    Raises:
        InputError: Fewer than 2 classes, or spare kernels in a plain network.
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
                f"spare is {spare}; "
                "it is 0 or more, and 0 for a plain network, which has no gates to open"
            )
        self.classes, self.variational, self.spare = classes, variational, spare
        first, width = first + spare, width + spare
        inputs = [3, first, *[width] * 6, 2 * width, width, 2 * width, width, 2 * width, width]
        outputs = [first, *[width] * 13]

        def convolution(i: int, o: int, size: int = 3) -> nn.Module:
            if variational:
                return BayesianConvolution(i, o, size, prior_std)
            return nn.Conv2d(i, o, size, padding=size // 2)

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
        """Compute the logits of one draw of weights and gates, the same for the whole batch.

        Args:
            image: (B, 3, H, W) in [0, 1]; sides that are not multiples of 8 are padded by
                replication, and the result is cropped.
            probabilities: Pi of each layer; drawn from the posterior by default.
            sample: Share of the weights' noise; with 0 nothing is drawn, and weights and gates are
                their means.

        Returns:
            (B, C, H, W).
        """
        if probabilities is None:
            probabilities = self.probabilities(bool(sample))
        z = self.draw_gates(probabilities, bool(sample))
        return self._answer(image, z, sample)

    def plain(self, image: Tensor) -> Tensor:
        """Compute the logits (B, C, H, W) of the mean weights, without gates."""
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
        """Compute pi of each layer, for a draw of the posterior or its mean; [] if plain."""
        return [gates.probabilities(sample) for gates in self.gates]  # type: ignore[operator]

    @property
    def layers(self) -> list[BayesianConvolution]:
        """Variational convolutions, the head last; none in the plain network."""
        layers = (*self.convolutions, self.head)
        return [layer for layer in layers if isinstance(layer, BayesianConvolution)]

    def draw_gates(self, probabilities: list[Tensor], sample: bool = True) -> list[Tensor]:
        """Draw z of each layer in the gates' mode; without `sample`, return its mean."""
        pairs = zip(self.gates, probabilities, strict=True)
        return [gates.draw(p) if sample else gates.mean(p) for gates, p in pairs]  # type: ignore[operator]

    @torch.no_grad()
    def convert(self, log_variance: float = -6.0) -> None:
        """Turn the plain network of the means into a variational one with the same answers.

        Every layer is divided by its mean gates, since relu(x / g) g = relu(x); so the answers with
        expected gates do not change. The paper has no such step.

        Args:
            log_variance: Log-variance of every weight at the start; `GaussianWeights.sharpen`
                lowers it.
        """
        for gates, layer in zip(self.gates, self.layers[:-1], strict=True):
            mean = gates.mean(gates.probabilities(sample=False))  # type: ignore[operator]
            mean[len(mean) - self.spare :] = 1  # no layer reads spare kernels yet
            layer.weight.mean.div_(mean[:, None, None, None])
            layer.bias.mean.div_(mean)
        for part in gaussian_weights(self):
            part.log_variance.fill_(log_variance)
        for name, value in self.named_parameters():
            if name.endswith("log_variance") and self.spare:
                value.masked_fill_(~self.ordinary(name, value), min(SPARE, log_variance))

    def readers(self, name: str, value: Tensor) -> Tensor:
        """Mark the rows of a tensor of the state that belong to ordinary kernels, not spare ones.

        All of the head's rows do.
        """
        rows = torch.arange(len(value), device=value.device)
        spare = 0 if name.startswith("head.") else self.spare
        return rows < len(value) - spare

    def ordinary(self, name: str, value: Tensor) -> Tensor:
        """Mark the entries of a tensor of the state that neither are in nor read spare kernels."""
        kept = torch.ones_like(value, dtype=torch.bool)
        kept[~self.readers(name, value)] = False
        if value.dim() == 4 and not name.startswith("convolutions.0."):
            count = value.shape[1] // 2 if name.startswith(JOINED) else value.shape[1]
            columns = torch.arange(value.shape[1], device=value.device)
            kept[:, columns % count >= count - self.spare] = False
        return kept

    def widen(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add this network's spare kernels to the state of one without them.

        The spare kernels keep their random weights, and only spare kernels read them.
        """
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
        """Sum the three KL terms of eq. 6 for a draw of the gates' probabilities.

        Only the variational network has them.
        """
        terms: list[Tensor] = []
        for gates, p in zip(self.gates, probabilities, strict=True):
            terms += gates.kl(p)  # type: ignore[operator]
        return torch.stack(terms).sum() + bayesian_kl(self)

    @torch.no_grad()
    def begin_gates(self, probabilities: Tensor) -> None:
        """Set the gates of all layers, (K,) in their order."""
        for gates, part in zip(self.gates, probabilities.split(self.counts), strict=True):
            gates.begin_at(part)  # type: ignore[operator]

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Part the weights: the "network"'s means, its "variances", and the "gates"."""
        gates = list(self.gates.parameters())
        variances = [part.log_variance for part in gaussian_weights(self)]
        known = {id(parameter) for parameter in (*gates, *variances)}
        others = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return {"network": others, "variances": variances, "gates": gates}

    def hand_over(self) -> None:
        """Make the posterior of weights and gates the prior of the next task."""
        for module in self.modules():
            if isinstance(module, GaussianWeights | BuffetGates):
                module.hand_over()


def evidence_bound(
    network: CLISNetwork,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    pixels: float,
    kl_weight: float,
    noise: float = 1.0,
    draws: int = 1,
) -> Tensor:
    """Compute the mean over draws of the negative bound of eq. 6, a pixel.

    Args:
        network: Variational network.
        images: (B, 3, H, W).
        labels: (B, H, W), or probabilities of classes (B, C, H, W).
        weights: (B, H, W) of the pixels in the likelihood, eq. 15.
        pixels: Number of pixels by which the KL terms are divided, as the likelihood is.
        kl_weight: Weight of the KL terms.
        noise: Share of the weights' noise.
        draws: Number of draws of weights and gates.
    """
    losses = []
    for _ in range(draws):
        probabilities = network.probabilities()
        logits = network(images, probabilities, noise)
        likelihood = weighted_cross_entropy(logits, labels, weights)
        losses.append(likelihood + kl_weight * network.kl(probabilities) / pixels)
    return torch.stack(losses).mean()


def he_start(weight: Tensor) -> None:
    """Initialise weights by He's rule for ReLU layers.

    Without norms, the default start shrinks the features of fourteen layers below the weights'
    noise.
    """
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
