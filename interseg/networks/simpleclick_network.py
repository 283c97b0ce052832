"""The network of SimpleClick: a plain ViT that reads photo and clicks by two patch embeddings alike, a simple pyramid and a light head.

Liu, Xu, Bertasius and Niethammer, "SimpleClick: Interactive Image Segmentation with Simple Vision
Transformers" (ICCV 2023), section 3; the pyramid is ViTDet's (Li et al. 2022), the head SegFormer's
(Xie et al. 2021). Deviations: the ViT may be any of timm's, which keeps its class token, and
attention is global in every block, where the paper's is windowed in most for its large views.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from interseg.errors import InputError
from interseg.networks.frozen import build
from interseg.networks.pretrained import statistics_of


class SimpleClickNetwork(nn.Module):
    """Photo and guidance to one logit a pixel, all of them by attention between patches.

    Args:
        encoder: a plain ViT of timm, e.g. "vit_base_patch16_224.mae" (the paper's) or
            "vit_small_patch14_dinov2".
        pretrained: its weights: "hub" (timm's download), "package" (vit_small_patch14_dinov2 alone)
            or null for random ones. Its table of positions is resized to the view.
        guidance_channels: 2 for clicks, 3 with the previous mask.
        widths: channels of the pyramid at 4, 2, 1 and 1/2 times the grid of patches; the paper's
            for a ViT-B.
        width: channels that the head gives every level.
        dropout: of whole channels before the last layer, in training.
        channels_last: memory layout of the pyramid and the head.
        compile: arguments of `torch.nn.Module.compile` for the blocks; None runs eagerly.

    Raises:
        InputError: an encoder that is no plain ViT, or not four widths.
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
        """A view's sides are padded to multiples of it: the pyramid halves the grid of patches."""
        statistics = statistics_of(self.encoder.pretrained_cfg)
        for key in ("mean", "std"):
            self.register_buffer(
                key, torch.tensor(getattr(statistics, key)).view(1, 3, 1, 1), persistent=False
            )
        self.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        if compile is not None:
            self.encoder.blocks.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters: "encoder" (pretrained), "clicks" (their patch embedding) and "decoder"."""
        decoder = [p for part in (self.pyramid, self.head, self.last) for p in part.parameters()]
        return {
            "encoder": list(self.encoder.parameters()),
            "clicks": list(self.clicks.parameters()),
            "decoder": decoder,
        }

    def refinement_points(self) -> dict[str, nn.Module]:
        """Layers that f-BRS may scale: "a" the tokens before the pyramid, "b" what the last layer reads."""
        return {"a": self.pyramid.whole, "b": self.head}

    def tokens(self, image: Tensor, guidance: Tensor) -> Tensor:
        """Give the ViT's last tokens (B, C, h, w), of photo and guidance whose sides are multiples of the patch's.

        The guidance is projected as the photo is, by weights of its own over the same patches, and
        both are summed (section 3.1).
        """
        patches = self.encoder.patch_embed((image - self.mean) / self.std)  # (B, h, w, C)
        grid = patches.shape[1:3]
        x = self.encoder._pos_embed(patches + self.clicks(guidance).permute(0, 2, 3, 1))
        x = self.encoder.norm(self.encoder.blocks(self.encoder.norm_pre(x)))
        return x[:, self.encoder.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)

    def forward(self, image: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W); None for no clicks and no mask, as a network
                that is made interactive by conversion.

        Returns:
            (B, 1, H, W), enlarged from the pyramid's finest level; other sizes than multiples of
            twice the patch's side are padded by replication and cropped back.
        """
        height, width = image.shape[-2:]
        if guidance is None:
            guidance = image.new_zeros(len(image), self.guidance_channels, height, width)
        margins = (0, -width % self.divisor, 0, -height % self.divisor)
        image, maps = (pad(x, margins, mode="replicate") for x in (image, guidance.to(image.dtype)))
        logits = self.last(self.head(self.pyramid(self.tokens(image, maps))))
        return interpolate(logits, image.shape[-2:], mode="bilinear")[..., :height, :width]


class Pyramid(nn.Module):
    """Four levels out of a ViT's last tokens alone (ViTDet's simple feature pyramid, with SimpleClick's layers).

    Args:
        channels: of the tokens.
        widths: of the levels, the finest first.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        four, eight, sixteen, thirty_two = widths
        twice, once, half = (
            max(2 * four, channels // 2),
            max(eight, channels // 2),
            max(thirty_two, 2 * channels),
        )
        self.whole = nn.Identity()  # all levels read it: a place for refinement
        self.levels = nn.ModuleList(
            [
                nn.Sequential(
                    *(
                        nn.ConvTranspose2d(channels, twice, 2, stride=2),
                        nn.GroupNorm(1, twice),
                        nn.GELU(),
                    ),
                    *(
                        nn.ConvTranspose2d(twice, twice // 2, 2, stride=2),
                        nn.GroupNorm(1, twice // 2),
                        *projected(twice // 2, four),
                    ),
                ),
                nn.Sequential(
                    nn.ConvTranspose2d(channels, once, 2, stride=2),
                    nn.GroupNorm(1, once),
                    *projected(once, eight),
                ),
                nn.Sequential(*projected(channels, sixteen)),
                nn.Sequential(
                    nn.Conv2d(channels, half, 2, stride=2),
                    nn.GroupNorm(1, half),
                    *projected(half, thirty_two),
                ),
            ]
        )

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Tokens (B, channels, h, w), both sides even, to levels of 4, 2, 1 and 1/2 times that grid."""
        x = self.whole(tokens)
        return [level(x) for level in self.levels]


def projected(before: int, after: int) -> tuple[nn.Module, ...]:
    """Make a 1 x 1 convolution, a norm over all channels and GELU."""
    return nn.Conv2d(before, after, 1), nn.GroupNorm(1, after), nn.GELU()


class Head(nn.Module):
    """SegFormer's head: a linear layer for each level, all enlarged to the finest one, and one that joins them.

    Args:
        widths: of the levels.
        width: channels of a level's projection and of the outcome.
        dropout: of whole channels of the outcome.
    """

    def __init__(self, widths: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU()) for channels in widths
        )
        self.join = nn.Sequential(nn.Conv2d(4 * width, width, 1), nn.ReLU(), nn.Dropout2d(dropout))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels, the finest first, to (B, width, h, w) of its size."""
        size = levels[0].shape[-2:]
        return self.join(
            torch.cat(
                [
                    interpolate(p(x), size, mode="bilinear")
                    for p, x in zip(self.levels, levels, strict=True)
                ],
                1,
            )
        )


def plain_vit(name: str, pretrained: str | None) -> Any:
    """Build a plain ViT of timm; raises `InputError` for another network."""
    model = build(name, pretrained, fixed=False)
    needed = ("patch_embed", "_pos_embed", "norm_pre", "blocks", "norm", "num_prefix_tokens")
    proj = getattr(getattr(model, "patch_embed", None), "proj", None)
    if (
        not all(hasattr(model, part) for part in needed)
        or not isinstance(proj, nn.Conv2d)
        or not getattr(model, "dynamic_img_size", False)
    ):
        raise InputError(
            f"encoder is {name!r}, which is no plain ViT; use e.g. vit_base_patch16_224.mae or vit_small_patch14_dinov2"
        )
    return model
