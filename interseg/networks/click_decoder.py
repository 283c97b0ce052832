"""The part of a click network that is run once a click.

Guidance joins the known tokens, attention spreads it, skips give outlines.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pixel_shuffle

from interseg.networks.attention import TokenBlock, likeness_to_clicks, likeness_to_regions


class Decoder(nn.Module):
    """Decoder of guidance and a photo's encoding to logits.

    The encoding has tokens, skips, and unit features in which tokens are compared.

    Args:
        kinds: Kinds of features in which tokens are compared with clicked ones.
        guidance_channels: 2 for clicks, 3 with the previous mask.
        width: Number of channels of the tokens.
        outlines: Number of channels at stride 4.
        blocks: Number of transformer blocks.
    """

    def __init__(
        self, kinds: int, guidance_channels: int, width: int, outlines: int, blocks: int
    ) -> None:
        super().__init__()
        four, eight = outlines, 2 * outlines
        self.has_mask = guidance_channels == 3
        self.guide4, self.guide8 = unit(guidance_channels, four, 4), unit(four, eight, 2)
        self.join = Join(width, eight, kinds * (4 if self.has_mask else 2))
        self.context = nn.Sequential(
            *(TokenBlock(width, width // 32) for _ in range(blocks)), nn.GroupNorm(1, width)
        )
        self.to8, self.to4 = nn.Conv2d(width, eight, 1), nn.Conv2d(eight, four, 1)
        self.eighth, self.quarter = Residual(eight), nn.Sequential(Residual(four), Residual(four))
        self.last = nn.Conv2d(four, 4, 3, padding=1)

    def forward(self, encoded: Mapping[str, Tensor], maps: Tensor) -> Tensor:
        """Compute logits (B, 1, h, w) from guidance (B, c, H, W).

        They have twice the size of the skip at stride 4.
        """
        return self.head(self.features(encoded, maps)[1])

    def features(self, encoded: Mapping[str, Tensor], maps: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features before the logits, at strides 8 and 4.

        Returns:
            (B, 2 outlines, h, w) and (B, outlines, h, w).
        """
        guide4 = self.guide4(maps)
        guide8 = self.guide8(guide4)
        x = self.context(self.join(encoded["tokens"], guide8, self._likeness(encoded, maps)))
        eighth = self.eighth(
            interpolate(self.to8(x), guide8.shape[-2:], mode="bilinear") + encoded["skip8"] + guide8
        )
        return eighth, self.quarter(
            interpolate(self.to4(eighth), guide4.shape[-2:], mode="bilinear")
            + encoded["skip4"]
            + guide4
        )

    def head(self, quarter: Tensor) -> Tensor:
        """Make logits (B, 1, 2 h, 2 w) from features (B, outlines, h, w) at stride 4."""
        return pixel_shuffle(self.last(quarter), 2)

    def _likeness(self, encoded: Mapping[str, Tensor], maps: Tensor) -> Tensor:
        """Compare every token with clicked ones, and with those of the mask: (B, K, h, w)."""
        grid = encoded["tokens"].shape[-2:]
        share = shares(maps, grid).flatten(2)
        found = []
        for key in sorted(key for key in encoded if key.startswith(("own", "compared"))):
            clicked = likeness_to_clicks(encoded[key], share[:, :2])
            found += [clicked[:, :, 0], clicked[:, :, 1]]
            if self.has_mask:
                found.append(likeness_to_regions(encoded[key], share[:, 2]))
        return torch.cat(found, 1).unflatten(2, grid)


class Join(nn.Module):
    """Adds guidance, and the likeness to clicked tokens, to tokens."""

    def __init__(self, width: int, guidance: int, likeness: int) -> None:
        super().__init__()
        self.guidance, self.likeness = nn.Conv2d(guidance, width, 1), nn.Conv2d(likeness, width, 1)

    def forward(self, tokens: Tensor, guidance: Tensor, likeness: Tensor) -> Tensor:
        """(B, C, h, w) from tokens of that size, guidance of any and likeness (B, K, h, w)."""
        near = interpolate(guidance, tokens.shape[-2:], mode="bilinear")
        return tokens + self.guidance(near) + self.likeness(likeness)


class Residual(nn.Module):
    """A 3 x 3 convolution with group norm on a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.conv = (
            nn.GroupNorm(channels // 8, channels),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return x + self.conv(torch.relu(self.norm(x)))


def unit(before: int, after: int, stride: int) -> nn.Sequential:
    """Make a convolution of stride 2 or 4 with group norm, of 8 channels each, and ReLU.

    The output has the input's size over the stride.
    """
    kernel = 3 if stride == 2 else 6
    convolution = nn.Conv2d(before, after, kernel, stride, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(after // 8, after), nn.ReLU(inplace=True))


def shares(maps: Tensor, grid: torch.Size) -> Tensor:
    """Compute the mean of maps (B, C, H, W) in each cell of a grid (h, w)."""
    (height, width), (rows, columns) = maps.shape[-2:], grid
    if height % rows or width % columns:
        return adaptive_avg_pool2d(maps, (rows, columns))
    # sums over rows first, channels last: four times as fast as avg_pool2d on a CPU
    lines = maps.permute(0, 2, 3, 1).unflatten(1, (rows, height // rows)).sum(2)
    cells = lines.unflatten(2, (columns, width // columns)).sum(3)
    return cells.permute(0, 3, 1, 2) * (rows * columns / (height * width))
