"""A click network that encodes a photo once and runs a light decoder once a click.

The design is that of the systems that need the fewest clicks (SegNext, Liu et al. 2024; SkipClick,
Schön et al. 2025): a strong frozen encoder, late guidance, shallow skips for outlines. Nothing of
the photo is computed after the guidance has come in but what depends on it: `encode` gives all
else.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm, normalize, pad

from interseg.errors import InputError
from interseg.networks.click_decoder import Decoder, unit
from interseg.networks.frozen import FrozenEncoder
from interseg.networks.guided import Encoded, GuidedNetwork

HEADS = 4
"""Learned kinds of features in which tokens are compared with clicked ones, beside the encoder's
own."""
FINE_STRIDE = 12
"""Pixels: coarser levels carry the tokens, at the finest one's grid; finer ones join the outlines,
being too many for attention."""


class OnceNetwork(GuidedNetwork):
    """A frozen encoder and a decoder with global context, with logits at half of the view.

    Args:
        encoder: Name of an encoder of timm, e.g. "vit_small_patch14_dinov2" or
            "tf_efficientnet_lite0".
        pretrained: Weights of the encoder: "package" (carried by a Python package), "hub" (timm's
            download) or null for random ones.
        levels: Levels of the encoder that are read; a ViT's middle and last block, or a CNN's
            strides 8, 16 and 32 by default.
        frozen: False fine-tunes the encoder too; a checkpoint then holds it.
        guidance_channels: 2 for clicks, 3 with the previous mask.
        width: Number of channels of the tokens, a multiple of 32.
        outlines: Number of channels at a quarter of the view, a multiple of 8; twice as many at an
            eighth.
        blocks: Number of transformer blocks over the tokens.
        noise: Strength of random brightness, contrast and saturation, in training, of what the
            skips see; the encoder sees photos as they are, so that its features can be kept.
        channels_last: Whether to use the memory layout channels last; faster on most CPUs and GPUs.
        compile: Arguments of `torch.nn.Module.compile` for the decoder; None runs eagerly.
    """

    def __init__(
        self,
        encoder: str = "tf_efficientnet_lite0",
        pretrained: str | None = "package",
        levels: Sequence[int] | None = None,
        frozen: bool = True,
        guidance_channels: int = 3,
        width: int = 160,
        outlines: int = 32,
        blocks: int = 2,
        noise: float = 0.2,
        channels_last: bool = True,
        compile: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if guidance_channels not in (2, 3):
            raise InputError(
                f"guidance_channels is {guidance_channels}; "
                "use 2 for clicks, 3 with the previous mask"
            )
        if width < 32 or width % 32 or outlines < 8 or outlines % 8:
            raise InputError(f"width={width}, outlines={outlines}; give multiples of 32 and of 8")
        self.guidance_channels, self.noise = guidance_channels, noise
        self.encoder = FrozenEncoder(encoder, pretrained, levels, frozen)
        self.neck = Neck(self.encoder, width, outlines)
        self.decoder = Decoder(
            len(self.neck.coarse) + HEADS, guidance_channels, width, outlines, blocks
        )
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile is not None:
            self.decoder.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters of "encoder" and "decoder".

        A frozen encoder has none; the neck is part of the decoder.
        """
        trained = [p for p in self.encoder.parameters() if p.requires_grad]
        return {
            "encoder": trained,
            "decoder": [*self.neck.parameters(), *self.decoder.parameters()],
        }

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale.

        "a" joins tokens and guidance, "b" is the context, "c" the outlines before the last layer.
        """
        return {"a": self.decoder.join, "b": self.decoder.context, "c": self.decoder.quarter}

    def features(self, image: Tensor) -> list[Tensor]:
        """Run the encoder alone: levels (B, C, h, w) from photos (B, 3, H, W) in [0, 1].

        Photos are padded by replication.
        """
        return self.encoder(self.padded(image))

    def encode(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Encoded:
        """Compute all that does not depend on clicks, (B, ...) each.

        Args:
            image: (B, 3, H, W) in [0, 1].
            features: Features of the encoder, where they are known.
        """
        levels = self.features(image) if features is None else features
        if self.training and self.noise:
            image = with_noise(image, self.noise)
        x = (self.padded(image) - self.encoder.mean) / self.encoder.std
        return self.neck(x.contiguous(memory_format=self.layout), levels)

    def forward(
        self,
        image: Tensor,
        guidance: Tensor | None = None,
        encoded: Encoded | None = None,
        features: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W); None for no clicks and no mask, as a network
                that is made interactive by conversion.
            encoded: Result of `encode` for the photos, where it is known.
            features: Result of `features` for the photos, where it is known.

        Returns:
            (B, 1, H, W), enlarged from half of that.
        """
        height, width = image.shape[-2:]
        known = self.encode(image, features) if encoded is None else encoded
        if guidance is None:
            guidance = image.new_zeros(len(image), self.guidance_channels, height, width)
        maps = self.padded(guidance.to(image.dtype))
        logits = self.decoder(known, maps.contiguous(memory_format=self.layout))
        return interpolate(logits, maps.shape[-2:], mode="bilinear")[..., :height, :width]

    def padded(self, x: Tensor) -> Tensor:
        """Pad (B, C, H, W) to multiples of the encoder's divisor.

        The right and the bottom are padded by replication.
        """
        height, width = x.shape[-2:]
        margins = (0, -width % self.encoder.divisor, 0, -height % self.encoder.divisor)
        return pad(x, margins, mode="replicate") if any(margins) else x


class Neck(nn.Module):
    """Part that runs once a photo: tokens and skips from the encoder's levels and the photo.

    Args:
        encoder: Encoder whose levels are read.
        width: Number of channels of the tokens.
        outlines: Number of channels at stride 4.
    """

    def __init__(self, encoder: FrozenEncoder, width: int, outlines: int) -> None:
        super().__init__()
        self.coarse, fine = split_levels(encoder)
        self.fine = fine
        channels = sum(encoder.channels[i] for i in self.coarse)
        self.tokens, self.compared = nn.Linear(channels, width), nn.Linear(channels, width)
        self.shallow = nn.Sequential(unit(3, 16, 2), unit(16, outlines, 2))
        self.deeper = unit(outlines, 2 * outlines, 2)
        self.outlines = nn.ModuleList(nn.Conv2d(encoder.channels[i], 2 * outlines, 1) for i in fine)

    def forward(self, image: Tensor, levels: Sequence[Tensor]) -> Encoded:
        """Join photos (B, 3, H, W), normalised, and levels."""
        levels = [normalise(level.to(image.dtype)) for level in levels]
        coarse = [levels[i] for i in self.coarse]
        grid = coarse[0].shape[-2:]
        coarse = [
            level if level.shape[-2:] == grid else interpolate(level, grid, mode="bilinear")
            for level in coarse
        ]
        lists = [level.permute(0, 2, 3, 1) for level in coarse]
        joined = torch.cat(lists, 3)
        shallow = self.shallow(image)
        deeper = self.deeper(shallow)
        for i, project in zip(self.fine, self.outlines, strict=True):
            deeper = deeper + interpolate(project(levels[i]), deeper.shape[-2:], mode="bilinear")
        compared = self.compared(joined).flatten(1, 2).unflatten(2, (HEADS, -1)).transpose(1, 2)
        # the encoder's own levels differ in channels: each is a part of its own
        own = {
            f"own{i}": normalize(level.flatten(1, 2), dim=2)[:, None]
            for i, level in enumerate(lists)
        }
        encoded = {
            "tokens": self.tokens(joined).permute(0, 3, 1, 2),
            "skip4": shallow,
            "skip8": deeper,
        }
        return encoded | own | {"compared": normalize(compared, dim=3)}


def normalise(level: Tensor) -> Tensor:
    """Normalise features (B, C, h, w) to mean 0 and variance 1 at each place.

    Levels and encoders differ in scale.
    """
    channels = int(level.shape[1])  # a number, of which an export makes a constant
    return layer_norm(level.permute(0, 2, 3, 1), [channels]).permute(0, 3, 1, 2)


def split_levels(encoder: FrozenEncoder) -> tuple[list[int], list[int]]:
    """Split the levels' places into those of the tokens and those too fine for attention.

    The finest of the tokens' levels comes first.
    """
    strides = encoder.strides
    coarse = [i for i, stride in enumerate(strides) if stride > FINE_STRIDE]
    if not coarse:
        raise InputError(
            f"the levels of {encoder.name} have strides {strides}; "
            f"add one of more than {FINE_STRIDE}"
        )
    return sorted(coarse, key=lambda i: strides[i]), [
        i for i in range(len(strides)) if i not in coarse
    ]


def with_noise(image: Tensor, strength: float) -> Tensor:
    """Draw brightness, contrast and saturation of each photo (B, 3, H, W).

    Each is a factor from 1 - strength to 1 + strength.
    """
    factors = 1 + strength * (
        2 * torch.rand(3, len(image), 1, 1, 1, device=image.device, dtype=image.dtype) - 1
    )
    brightness, contrast, saturation = factors
    grey = image.mean(1, keepdim=True)
    image = grey + saturation * (image - grey)
    mean = image.mean((1, 2, 3), keepdim=True)
    return (brightness * (mean + contrast * (image - mean))).clamp(0, 1)
