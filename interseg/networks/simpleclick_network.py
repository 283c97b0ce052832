"""The network of SimpleClick: a plain ViT, a simple pyramid and a light head.

The ViT reads photo and clicks by two patch embeddings of the same kind. The source is Liu, Xu,
Bertasius and Niethammer, "SimpleClick: Interactive Image Segmentation with Simple Vision
Transformers" (ICCV 2023), section 3; the pyramid is ViTDet's (Li et al. 2022), the head SegFormer's
(Xie et al. 2021). Deviations: the ViT may be any of timm's and keeps its class token; attention is
global in every block, while the paper's is windowed in most blocks for its large views.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from interseg.errors import InputError
from interseg.networks.click_input import register_statistics
from interseg.networks.frozen import build
from interseg.networks.guided import GuidedNetwork
from interseg.networks.pretrained import statistics_of


class SimpleClickNetwork(GuidedNetwork):
    """A network from photo and guidance to one logit a pixel, by attention between patches.

    Args:
        encoder: Name of a plain ViT in timm, e.g. "vit_base_patch16_224.mae" (the paper's) or
            "vit_small_patch14_dinov2".
        pretrained: Source of its weights: "hub" (timm's download), "package" (only for
            vit_small_patch14_dinov2) or null for random ones. Its table of positions is resized to
            the view.
        guidance_channels: Number of guidance maps: 2 for clicks, 3 with the previous mask.
        widths: Numbers of channels of the pyramid at 4, 2, 1 and 1/2 times the grid of patches; by
            default the paper's for a ViT-B.
        width: Number of channels to which the head projects every level.
        dropout: Probability of dropping a channel before the last layer, in training.
        channels_last: Whether to use the memory layout channels last in pyramid and head.
        compile: Arguments of `torch.nn.Module.compile` for the blocks; None runs eagerly.

    Raises:
        InputError: An encoder that is not a plain ViT, or not four widths.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: str = "vit_base_patch16_224.mae",
        pretrained: str | None = "hub",
        guidance_channels: int = 3,
        widths: Sequence[int] = (128, 256, 512, 1024),
        width: int = 256,
        dropout: float = 0.1,
        channels_last: bool = False,
        compile: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != 4:
            raise InputError(
                f"widths are {list(widths)}; give four, of the pyramid's levels from the finest"
            )
        self.guidance_channels = guidance_channels
        self.encoder = plain_vit(encoder, pretrained)
        photo = self.encoder.patch_embed.proj
        self.clicks = nn.Conv2d(
            guidance_channels, photo.out_channels, photo.kernel_size, photo.stride
        )
        self.pyramid = Pyramid(photo.out_channels, widths)
        self.head = Head(widths, width, dropout)
        self.last = nn.Conv2d(width, 1, 1)
        self.divisor = 2 * photo.stride[0]
        """Number to whose multiples a view's sides are padded; the pyramid halves the patches."""
        register_statistics(self, statistics_of(self.encoder.pretrained_cfg))
        self.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        if compile is not None:
            self.encoder.blocks.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "encoder" (pretrained), "clicks" (their patch embedding) and "decoder".
        """
        decoder = [p for part in (self.pyramid, self.head, self.last) for p in part.parameters()]
        return {
            "encoder": list(self.encoder.parameters()),
            "clicks": list(self.clicks.parameters()),
            "decoder": decoder,
        }

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale.

        "a" are the tokens before the pyramid, "b" is the layer before the last.
        """
        return {"a": self.pyramid.whole, "b": self.head}

    def tokens(self, image: Tensor, guidance: Tensor) -> Tensor:
        """Compute the ViT's last tokens (B, C, h, w).

        The sides of photo and guidance are multiples of the patch's. The guidance is projected with
        its own weights over the same patches as the photo, and both are summed (section 3.1).
        """
        patches = self.encoder.patch_embed((image - self.mean) / self.std)  # (B, h, w, C)
        grid = patches.shape[1:3]
        x = self.encoder._pos_embed(patches + self.clicks(guidance).permute(0, 2, 3, 1))
        x = self.encoder.norm(self.encoder.blocks(self.encoder.norm_pre(x)))
        return x[:, self.encoder.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Compute the logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W); None for no clicks and no mask, as for a network
                that is made interactive by conversion.

        Returns:
            (B, 1, H, W), enlarged from the pyramid's finest level. Sides that are not multiples of
            twice the patch's side are padded by replication, and the result is cropped.
        """
        height, width = image.shape[-2:]
        if guidance is None:
            guidance = image.new_zeros(len(image), self.guidance_channels, height, width)
        margins = (0, -width % self.divisor, 0, -height % self.divisor)
        image, maps = (pad(x, margins, mode="replicate") for x in (image, guidance.to(image.dtype)))
        logits = self.last(self.head(self.pyramid(self.tokens(image, maps))))
        return interpolate(logits, image.shape[-2:], mode="bilinear")[..., :height, :width]


class Pyramid(nn.Module):
    """Four levels from a ViT's last tokens: ViTDet's simple pyramid with SimpleClick's layers.

    Args:
        channels: Number of channels of the tokens.
        widths: Numbers of channels of the levels, the finest first.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        four, eight, sixteen, thirty_two = widths
        twice = max(2 * four, channels // 2)
        once = max(eight, channels // 2)
        half = max(thirty_two, 2 * channels)
        self.whole = nn.Identity()  # all levels read it: a place for refinement
        finest = nn.Sequential(
            nn.ConvTranspose2d(channels, twice, 2, stride=2),
            nn.GroupNorm(1, twice),
            nn.GELU(),
            nn.ConvTranspose2d(twice, twice // 2, 2, stride=2),
            nn.GroupNorm(1, twice // 2),
            *projection(twice // 2, four),
        )
        fine = nn.Sequential(
            nn.ConvTranspose2d(channels, once, 2, stride=2),
            nn.GroupNorm(1, once),
            *projection(once, eight),
        )
        same = nn.Sequential(*projection(channels, sixteen))
        coarse = nn.Sequential(
            nn.Conv2d(channels, half, 2, stride=2),
            nn.GroupNorm(1, half),
            *projection(half, thirty_two),
        )
        self.levels = nn.ModuleList([finest, fine, same, coarse])

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Compute levels of 4, 2, 1 and 1/2 times the grid of tokens (B, channels, h, w).

        Both sides of the grid are even.
        """
        x = self.whole(tokens)
        return [level(x) for level in self.levels]


def projection(before: int, after: int) -> tuple[nn.Module, ...]:
    """Make a 1 x 1 convolution, a norm over all channels and GELU."""
    return nn.Conv2d(before, after, 1), nn.GroupNorm(1, after), nn.GELU()


class Head(nn.Module):
    """SegFormer's head: a linear layer for each level, and one that joins them.

    All levels are enlarged to the finest one's size.

    Args:
        widths: Numbers of channels of the levels.
        width: Number of channels of a level's projection and of the result.
        dropout: Probability of dropping a channel of the result.
    """

    def __init__(self, widths: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU()) for channels in widths
        )
        self.join = nn.Sequential(nn.Conv2d(4 * width, width, 1), nn.ReLU(), nn.Dropout2d(dropout))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Join levels, the finest first, to (B, width, h, w) of the finest one's size."""
        size = levels[0].shape[-2:]
        enlarged = []
        for project, level in zip(self.levels, levels, strict=True):
            enlarged.append(interpolate(project(level), size, mode="bilinear"))
        return self.join(torch.cat(enlarged, 1))


def plain_vit(name: str, pretrained: str | None) -> Any:
    """Build a plain ViT of timm; raises `InputError` for another network."""
    model = build(name, pretrained, fixed=False)
    needed = ("patch_embed", "_pos_embed", "norm_pre", "blocks", "norm", "num_prefix_tokens")
    proj = getattr(getattr(model, "patch_embed", None), "proj", None)
    complete = all(hasattr(model, part) for part in needed) and isinstance(proj, nn.Conv2d)
    if not complete or not getattr(model, "dynamic_img_size", False):
        raise InputError(
            f"encoder is {name!r}, which is not a plain ViT; "
            "use e.g. vit_base_patch16_224.mae or vit_small_patch14_dinov2"
        )
    return model
