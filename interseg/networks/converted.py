"""Training-free conversion: any segmentation network made interactive (BRS, section 3.3).

Interaction maps with the photo's channels go through the network's first convolution, with the same
weights, and are added to its output for the photo. They are zero at first, so that the network
answers exactly as before (sides that are not multiples of 32 are padded). Clicks act only through
the refinement, which finds maps that give the clicked pixels their labels
(`interseg.inference.refiners.BRSRefiner`).
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.networks.click_input import pad_sides


class Converted(nn.Module):
    """A segmentation network that also reads interaction maps.

    Args:
        network: Network from image (B, 3, H, W) to logits (B, K, H, W), or to a dict with them
            under `out` (torchvision). K is 1 for object against background, or the number of
            classes. Its first layer must be a convolution.
        mean: Channel means of the network's training images, by which images are normalised.
        std: Channel standard deviations of these images.
        probe: Side in pixels of an image on which the network is tried.

    Raises:
        InputError: A first layer that is not a convolution over 3 channels, or an output that is
            not a map of the image's size.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        probe: int = 64,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1), persistent=False)
        first, output = first_layer(network, torch.zeros(1, 3, probe, probe))
        name = type(network).__name__
        if not (isinstance(first, nn.Conv2d) and first.in_channels == 3):
            raise InputError(
                f"the first layer of {name} is {first}; "
                "conversion needs a Conv2d over 3 channels there"
            )
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if len(shape) != 4 or shape[-2:] != (probe, probe):
            raise InputError(
                f"{name} gives {shape} for an image of {probe} x {probe}; "
                "conversion needs logits (B, K, H, W) of that size"
            )
        self.classes = output.shape[1]
        first.register_forward_hook(self._add_maps)
        self._maps: Tensor | None = None

    def _add_maps(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if self._maps is None:
            return output
        return output + without_bias(layer)(self._maps)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Compute the logits (B, K, H, W).

        Args:
            image: (B, 3, H, W) in [0, 1]; sides that are not multiples of 32 are padded by
                replication, and the answer is cropped.
            guidance: (B, 3, H, W) interaction maps; None for no maps.
        """
        size = image.shape[-2:]
        self._maps = None if guidance is None else pad_sides(guidance)
        try:
            x = pad_sides((image - self.mean) / self.std)
            logits: Tensor = logits_of(self.network(x))
        finally:
            self._maps = None
        if logits.shape[-2:] != x.shape[-2:]:
            raise InputError(
                f"{type(self.network).__name__} gives {tuple(logits.shape[-2:])} for "
                f"{tuple(x.shape[-2:])}; it must keep the size"
            )
        return logits[..., : size[0], : size[1]]


def logits_of(output: Any) -> Any:
    """Take a network's logits from the dict that torchvision's networks return."""
    return output["out"] if isinstance(output, dict) and "out" in output else output


def first_layer(network: nn.Module, image: Tensor) -> tuple[nn.Module | None, Any]:
    """Find the layer that an image reaches first, and the network's answer to it.

    Containers and `Identity` do not count as layers.
    """
    reached: list[nn.Module] = []
    hooks = []
    for module in network.modules():
        if not list(module.children()) and not isinstance(module, nn.Identity):
            hook = module.register_forward_pre_hook(lambda layer, _: reached.append(layer))
            hooks.append(hook)
    training = network.training
    try:
        with torch.no_grad():
            output = logits_of(network.eval()(image))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{type(network).__name__} cannot read an image of {tuple(image.shape)}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return (reached[0] if reached else None), output


def without_bias(layer: nn.Module) -> nn.Module:
    """Make a convolution with the same weights, without bias and hooks."""
    sibling = copy.copy(layer)
    sibling._parameters = dict(layer._parameters) | {"bias": None}
    sibling._forward_hooks = OrderedDict()
    sibling._forward_pre_hooks = OrderedDict()
    return sibling
