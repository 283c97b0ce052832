"""The network of RITM: HRNet with an embedding of clicks and previous mask added to its stem.

A head reads all resolutions of HRNet. The source is Sofiiuk, Petrov and Konushin, "Reviving
Iterative Training with Mask Guidance for Interactive Segmentation" (2021), section 3 (Conv1S), with
HRNet (Wang et al. 2020) from timm. The published models have OCR over the same features; this is
their auxiliary head.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from interseg.errors import InputError
from interseg.networks.click_input import pad_sides, register_statistics
from interseg.networks.frozen import build
from interseg.networks.guided import GuidedNetwork
from interseg.networks.norms import batch_to_group_norm
from interseg.networks.pretrained import statistics_of

EMBEDDED = 16
"""Number of channels between the two convolutions of the embedding, as in RITM's code."""
SCALE = 0.05
"""Start of the embedding's learned factor in RITM's code, small so that a pretrained stem hardly
changes at first."""


class RITMNetwork(GuidedNetwork):
    """A network from photo and guidance to one logit a pixel.

    Its finest features stay at a quarter of the photo's size.

    Args:
        encoder: Name of an HRNet in timm: "hrnet_w18_small_v2" (RITM's H18s), "hrnet_w18" (H18),
            "hrnet_w32" (H32), ...
        pretrained: Source of its weights: "hub" (timm's download, ImageNet) or null for random
            ones; no package carries any.
        guidance_channels: Number of guidance maps: 2 for clicks, 3 with the previous mask.
        norm: "batch" as in the paper, "frozen" for the encoder's pretrained batch norm and group
            norm in the head (of random weights it would normalise nothing), or "group", which does
            not depend on the batch.
        channels_last: Whether to use the memory layout channels last.
        compile: Arguments of `torch.nn.Module.compile`, {} for its defaults; None runs eagerly.

    Raises:
        InputError: An encoder that is not an HRNet, or an unknown norm.
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
        self.guidance_channels = guidance_channels
        self.encoder = HighResolution(encoder, pretrained, guidance_channels)
        # not in a module of their own: for conversion the first layer must be a convolution
        register_statistics(self, self.encoder.statistics)
        self.fuse = Fuse()
        width = sum(self.encoder.channels)
        self.hidden = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.last = nn.Conv2d(width, 1, 1)
        if norm == "frozen":
            self.keep_norms(self.encoder)
        if norm == "group":
            batch_to_group_norm(self.encoder)
        if norm != "batch":
            batch_to_group_norm(self.hidden)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile is not None:
            self.encoder.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "encoder" (pretrained), "clicks" (the embedding of the guidance) and "decoder".
        """
        trained = [p for p in self.encoder.model.parameters() if p.requires_grad]
        clicks = list(self.encoder.embedding.parameters())
        decoder = [*self.hidden.parameters(), *self.last.parameters()]
        return {"encoder": trained, "clicks": clicks, "decoder": decoder}

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale.

        "a" joins the resolutions, "b" is the layer before the last.
        """
        return {"a": self.fuse, "b": self.hidden}

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Compute the logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W); None for no clicks and no mask, as for a network
                that is made interactive by conversion.

        Returns:
            (B, 1, H, W), enlarged from a quarter of that size. Sides that are not multiples of 32
            are padded by replication, and the result is cropped.
        """
        height, width = image.shape[-2:]
        if guidance is None:
            guidance = image.new_zeros(len(image), self.guidance_channels, height, width)
        photo = (image - self.mean) / self.std
        x = pad_sides(torch.cat([photo, guidance.to(photo.dtype)], 1))
        x = x.contiguous(memory_format=self.layout)
        logits = self.last(self.hidden(self.fuse(self.encoder(x))))
        return interpolate(logits, x.shape[-2:], mode="bilinear")[..., :height, :width]


class HighResolution(nn.Module):
    """HRNet without its classifier, with the guidance's embedding added in its stem.

    The embedding is added to the features of the first convolution.

    Args:
        name: Name in timm.
        pretrained: See `RITMNetwork`.
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
            setattr(self.model, part, None)  # the classifier's parts, which would learn nothing
        self.channels = [int(count) for count in self.model.stage4_cfg["num_channels"]]
        """Number of channels of each resolution, from a quarter of the photo's down."""
        self.statistics = statistics_of(self.model.pretrained_cfg)
        self.embedding = Embedding(guidance_channels, self.model.conv1.out_channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute features (B, c, h, w) at strides 4, 8, 16 and 32.

        Args:
            x: (B, 3 + guidance_channels, H, W) photo and guidance.
        """
        model = self.model
        stem = model.act1(model.bn1(model.conv1(x[:, :3]))) + self.embedding(x[:, 3:])
        features: list[Tensor] = model.stages(model.act2(model.bn2(model.conv2(stem))))
        return features


class Embedding(nn.Module):
    """The embedding of guidance at half of its size, in a stem's channels (RITM's Conv1S).

    It has two convolutions and a learned factor.

    Args:
        channels: Number of the guidance's channels.
        width: Number of the stem's channels.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, EMBEDDED, 1)
        self.act = nn.LeakyReLU(0.2)
        self.shrink = nn.Conv2d(EMBEDDED, width, 3, stride=2, padding=1)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, maps: Tensor) -> Tensor:
        """Embed maps (B, channels, H, W) as (B, width, H / 2, W / 2)."""
        return self.scale * self.shrink(self.act(self.mix(maps)))


class Fuse(nn.Module):
    """A layer that joins all resolutions at the finest one's size."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """Join features (B, c_i, h_i, w_i), the finest first, to (B, sum of c_i, h_0, w_0)."""
        finest, *coarser = features
        size = finest.shape[-2:]
        enlarged = [interpolate(level, size, mode="bilinear") for level in coarser]
        return torch.cat([finest, *enlarged], 1)
