"""Base of click networks: photo and guidance in, logits and weights by their origin out."""

from torch import Tensor, nn

from interseg.networks.norms import KeepsNorms

Encoded = dict[str, Tensor]
"""Encoding of photos (B, ...) before any click, by name."""


class GuidedNetwork(KeepsNorms):
    """Base of the networks from photo and guidance to one logit a pixel, which ITIS trains.

    A subclass sets `guidance_channels` and defines `forward(image, guidance)`, from (B, 3, H, W) in
    [0, 1] and (B, guidance_channels, H, W) to (B, 1, H, W).

    One that encodes a photo once has `encode(image)` too, which gives an `Encoded`; its `forward`
    takes that as `encoded`. With a frozen `encoder`, whose `key` names what it computes, and
    `features(image)`, the list of that encoder's maps, `encode` and `forward` take `features`, and
    training may keep them (`callbacks/features.py`).
    """

    guidance_channels: int
    """2 for positive and negative clicks, 3 with the previous mask."""

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin, the groups of `optimisation.rates`."""
        trained = [p for p in self.parameters() if p.requires_grad]
        return {"encoder": [], "clicks": [], "decoder": trained}

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale, by the letters of its paper; {} for none."""
        return {}


def encodes_once(network: nn.Module) -> bool:
    """Tell whether a network computes what it knows of a photo apart from what clicks change."""
    return hasattr(network, "encode")
