"""The diagonal of the Fisher information: how much an image's labels say of each weight."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax


def squared_gradients(
    logits: Tensor, weights: Sequence[Tensor], draws: int = 1, valid: Tensor | None = None
) -> list[Tensor]:
    """Average the squared gradients of the log-likelihoods of label maps drawn from a network.

    A log-likelihood is summed over the image's pixels.

    Args:
        logits: (1, C, H, W) of one image, with the graph that leads to the weights.
        weights: Weights of any shape.
        draws: Number of label maps.
        valid: (1, H, W) bool, the pixels that count; all by default.

    Returns:
        A tensor for each of the weights.
    """
    log = log_softmax(logits, 1)
    chances = log.detach().exp().movedim(1, -1).flatten(0, -2).contiguous()
    found = [torch.zeros_like(weight) for weight in weights]
    for draw in range(draws):
        labels = torch.multinomial(chances, 1).view(1, 1, *logits.shape[2:])
        likelihoods = log.gather(1, labels)[:, 0]
        likelihood = likelihoods.sum() if valid is None else (likelihoods * valid).sum()
        gradients = torch.autograd.grad(likelihood, list(weights), retain_graph=draw + 1 < draws)
        for total, gradient in zip(found, gradients, strict=True):
            total += gradient.detach() ** 2 / draws
    return found
