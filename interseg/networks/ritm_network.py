"""The network of RITM: HRNet, to whose stem an embedding of clicks and previous mask is added, and a head on all of its resolutions.

Sofiiuk, Petrov and Konushin, "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation" (2021), section 3 (Conv1S), with HRNet (Wang et al. 2020) from timm. The published
models have OCR over the same features; this is the head that stands beside it there.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from interseg.errors import InputError
from interseg.networks.click_input import padded
from interseg.networks.frozen import build
from interseg.networks.norms import KeepsNorms, batch_to_group_norm
from interseg.networks.pretrained import statistics_of

EMBEDDED = 16
"""Channels between the two convolutions of the embedding, as in RITM's code."""
SCALE = 0.05
"""RITM's code starts the embedding's learned factor here, so that a pretrained stem is little
disturbed at first."""


class RITMNetwork(KeepsNorms):
    """Photo and guidance to one logit a pixel, by features that never leave a quarter of the photo's size.

    Args:
        encoder: an HRNet of timm: "hrnet_w18_small_v2" (RITM's H18s), "hrnet_w18" (H18),
            "hrnet_w32" (H32), ...
        pretrained: its weights: "hub" (timm's download, ImageNet) or null for random ones; no
            package carries any.
        guidance_channels: 2 for clicks, 3 with the previous mask.
        norm: "batch" as in the paper, "frozen" for the encoder's as it was trained and group norm
            in the head, or "group", which does not depend on the batch.
        channels_last: memory layout.
        compile: arguments of `torch.nn.Module.compile`, {} for its defaults; None runs eagerly.

    Raises:
        InputError: an encoder that is no HRNet, or frozen norms of random weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: str = "hrnet_w18_small_v2",
        pretrained: str | None = "hub",
        guidance_channels: int = 3,
        norm: str = "batch",
        channels_last: bool = False,
        compile: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "frozen", "group"):
            raise InputError(f"norm is {norm!r}; use batch, frozen or group")
        if norm == "frozen" and pretrained is None:
            raise InputError(
                "norm is frozen, and pretrained null: norms that never learned would normalise nothing; use group or batch"
            )
        self.guidance_channels = guidance_channels
        self.encoder = HighResolution(encoder, pretrained, guidance_channels)
        for key in (
            "mean",
            "std",
        ):  # in no module of its own: conversion looks for a convolution first
            self.register_buffer(
                key,
                torch.tensor(getattr(self.encoder.statistics, key)).view(1, 3, 1, 1),
                persistent=False,
            )
        self.fuse = Fuse()
        width = sum(self.encoder.channels)
        self.hidden = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.last = nn.Conv2d(width, 1, 1)
        if norm == "frozen":
            self.keep_norms(self.encoder)
        for part in {"batch": (), "frozen": (self.hidden,), "group": (self.encoder, self.hidden)}[
            norm
        ]:
            batch_to_group_norm(part)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile is not None:
            self.encoder.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters: "encoder" (pretrained), "clicks" (the embedding of the guidance) and "decoder"."""
        trained = [p for p in self.encoder.model.parameters() if p.requires_grad]
        clicks = list(self.encoder.embedding.parameters())
        return {
            "encoder": trained,
            "clicks": clicks,
            "decoder": [*self.hidden.parameters(), *self.last.parameters()],
        }

    def refinement_points(self) -> dict[str, nn.Module]:
        """Layers that f-BRS may scale: "a" the joined resolutions, "b" what the last layer reads."""
        return {"a": self.fuse, "b": self.hidden}

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W); None for no clicks and no mask, as a network
                that is made interactive by conversion.

        Returns:
            (B, 1, H, W), enlarged from a quarter of that; sizes that are no multiple of 32 are
            padded by replication and cropped back.
        """
        height, width = image.shape[-2:]
        if guidance is None:
            guidance = image.new_zeros(len(image), self.guidance_channels, height, width)
        photo = (image - self.mean) / self.std
        x = padded(torch.cat([photo, guidance.to(photo.dtype)], 1)).contiguous(
            memory_format=self.layout
        )
        logits = self.last(self.hidden(self.fuse(self.encoder(x))))
        return interpolate(logits, x.shape[-2:], mode="bilinear")[..., :height, :width]


class HighResolution(nn.Module):
    """HRNet without its classifier; an embedding of the guidance is added to what its first convolution makes of a photo.

    Args:
        name: of timm.
        pretrained: as of `RITMNetwork`.
        guidance_channels: 2 or 3.
    """

    def __init__(self, name: str, pretrained: str | None, guidance_channels: int) -> None:
        super().__init__()
        if timm.is_model(name) and "hrnet" not in name:
            raise InputError(
                f"encoder is {name!r}; use an HRNet: {', '.join(timm.list_models('hrnet*'))}"
            )
        self.model = build(name, pretrained, fixed=False)
        for part in ("incre_modules", "downsamp_modules", "final_layer", "classifier"):
            setattr(self.model, part, None)  # of the classifier, which would learn nothing
        self.channels = [int(count) for count in self.model.stage4_cfg["num_channels"]]
        """Of each resolution, from a quarter of the photo's down."""
        self.statistics = statistics_of(self.model.pretrained_cfg)
        self.embedding = Embedding(guidance_channels, self.model.conv1.out_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute features (B, c, h, w) at strides 4, 8, 16 and 32 from photo and guidance (B, 3 + guidance_channels, H, W)."""
        model = self.model
        stem = model.act1(model.bn1(model.conv1(x[:, :3]))) + self.embedding(x[:, 3:])
        features: list[Tensor] = model.stages(model.act2(model.bn2(model.conv2(stem))))
        return features


class Embedding(nn.Module):
    """Guidance at half of its size, in a stem's channels (RITM's Conv1S): two convolutions and a learned factor.

    Args:
        channels: of the guidance.
        width: of the stem.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, EMBEDDED, 1)
        self.act = nn.LeakyReLU(0.2)
        self.shrink = nn.Conv2d(EMBEDDED, width, 3, stride=2, padding=1)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width, H / 2, W / 2)."""
        return self.scale * self.shrink(self.act(self.mix(maps)))


class Fuse(nn.Module):
    """All resolutions at the finest one's size, as one map."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features (B, c_i, h_i, w_i), the finest first, to (B, sum of c_i, h_0, w_0)."""
        finest, *coarser = features
        return torch.cat(
            [
                finest,
                *(interpolate(level, finest.shape[-2:], mode="bilinear") for level in coarser),
            ],
            1,
        )
