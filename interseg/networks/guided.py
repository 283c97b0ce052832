"""What a network is to the methods: photo and guidance in, logits and named weights out."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from interseg.networks.norms import KeepsNorms

Encoded = dict[str, Tensor]
"""What a network knows of photos (B, ...) before any click, by name."""


class GuidedNetwork(KeepsNorms):
    """Base of the networks from photo and guidance to one logit a pixel, which ITIS trains.

    A subclass sets `guidance_channels` and defines `forward(image, guidance)`, from (B, 3, H, W) in
    [0, 1] and (B, guidance_channels, H, W) to (B, 1, H, W). One that encodes a photo once has the
    methods of `EncodesOnce` too, and its `forward` takes `encoded` and `features`.
    """

    guidance_channels: int
    """2 for positive and negative clicks, 3 with the previous mask."""

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin, the groups of `optimisation.rates`."""
        return {"decoder": [p for p in self.parameters() if p.requires_grad]}

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale, by the letters of its paper; {} for none."""
        return {}


@runtime_checkable
class EncodesOnce(Protocol):
    """A network that runs an encoder once a photo and the rest at every click."""

    encoder: Any
    """Encoder with `key`, the name of what it computes, and `frozen`."""

    __call__: Callable[..., Any]
    """`forward`, which takes `encoded` or `features` where they are known."""

    def features(self, image: Tensor) -> list[Tensor]:
        """Run the encoder alone; features of a frozen one may be kept."""

    def encode(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Encoded:
        """Compute all that does not depend on clicks."""
