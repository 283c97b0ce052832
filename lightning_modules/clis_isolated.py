"""CLIS' isolated update: a task learns kernels that no earlier task uses.

How kernels are opened and what each phase of a round learns are those of the official code, but
that the first phase learns all gates there are, not the opened kernels' alone. A kernel is spare
that is nearly closed in every task so far: the official code looks at the posterior that all tasks
share, which `begin` moves here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from interseg.networks.clis_network import CLISNetwork
from lightning_modules.base import without_gradient

CLOSED = 0.1
"""Probability below which a kernel is a spare one; the official code's."""
OPEN = 0.88
"""Probability with which spare kernels are opened: the sigmoid of the official code's 2."""


def open_spare(network: CLISNetwork, used: Sequence[Tensor], found: Tensor, count: int) -> Tensor:
    """Choose the kernels that a task learns, and open those that are closed.

    None is chosen that is open in an earlier task while there is another, whichever task's gates
    this one begins with. The prior variance of their weights is set to 1.

    Args:
        network: Network whose gates and priors change.
        used: Gates (K,) of the pretraining and of every task so far.
        found: Gates (K,) with which the task begins.
        count: Most kernels of a layer.

    Returns:
        (K,) bool, True for a kernel that the task learns.
    """
    most_open = torch.stack([found, *used]).amax(0)
    chosen = [least_open(part, count) for part in most_open.split(network.counts)]
    opened = torch.cat(chosen)
    network.begin_gates(open_gates(found, opened))
    widen_priors(network, chosen)
    return opened


def least_open(probabilities: Tensor, count: int) -> Tensor:
    """Choose at most `count` kernels below `CLOSED`, the least open first; (K,) bool.

    It is the least open one where there is none.
    """
    order = probabilities.argsort()
    closed = order[: min(count, max(1, int((probabilities < CLOSED).sum())))]
    return torch.zeros_like(probabilities, dtype=torch.bool).index_fill_(0, closed, True)


def open_gates(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """Raise the probabilities (K,) of chosen kernels that are closed to `OPEN`."""
    return torch.where(chosen & (probabilities < CLOSED), OPEN, probabilities)


def widen_priors(network: CLISNetwork, chosen: Sequence[Tensor]) -> None:
    """Set the prior variance of the weights of each layer's chosen kernels (K,) to 1."""
    *convolutions, head = network.layers
    for kernels, convolution in zip(chosen, convolutions, strict=True):
        for weights in (convolution.weight, convolution.bias):
            weights.prior_log_variance[kernels] = 0
    head.weight.prior_log_variance[:, chosen[-1]] = 0


def freeze_weights(network: CLISNetwork) -> None:
    """Remove the gradients of all weights: the phase learns gates."""
    for layer in network.layers:
        without_gradient(layer.parameters())


def freeze_others(network: CLISNetwork, chosen: Sequence[Tensor]) -> None:
    """Remove the gradients of the weights of kernels that are not chosen (K,) in their layer."""
    *convolutions, head = network.layers
    for kernels, convolution in zip(chosen, convolutions, strict=True):
        for parameter in convolution.parameters():
            if parameter.grad is not None:
                parameter.grad[~kernels] = 0
    without_gradient(head.bias.parameters())
    for parameter in head.weight.parameters():
        if parameter.grad is not None:
            parameter.grad[:, ~chosen[-1]] = 0
