"""Crops of a selection's features, refined by a light network: the half of two-in-one that does not select.

Section 3.2 of the paper, eq. 4.
"""

from collections.abc import Sequence
from math import ceil, floor

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm, interpolate
from torchvision.ops import roi_align

from interseg.errors import InputError
from interseg.networks.norms import KeepsNorms, batch_to_group_norm
from interseg.networks.stem import GuidedConvolution
from interseg.views import Box, box_of


class RefinesCrops(KeepsNorms):
    """Base of the networks that select by one click and refine a crop of what they computed for it.

    A subclass makes its `refinement` by `make_refinement`.

    Args:
        crop: how features are cut out: "align" by RoIAlign, or "naive", whole cells of the features
            resized.
        crop_size: sides of a crop's features; the paper does not give it. The refinement costs its
            square.
        guidance_channels: of the refinement: 1 for boundary clicks, 2 for positive and negative
            ones.
        norm: of the refinement: "batch" as in the paper, or "group", which does not depend on the
            batch.
    """

    refinement: nn.Module
    layout: torch.memory_format = torch.contiguous_format
    divisor: int = 32
    """The image is padded to multiples of it before it is encoded."""

    def __init__(self, crop: str, crop_size: int, guidance_channels: int, norm: str) -> None:
        super().__init__()
        if crop not in ("align", "naive") or norm not in ("batch", "group"):
            raise InputError(
                f"crop={crop!r}, norm={norm!r}; use align or naive, and batch or group"
            )
        if guidance_channels not in (1, 2):
            raise InputError(
                f"guidance_channels is {guidance_channels}; use 1 for boundary clicks, 2 for positive and negative ones"
            )
        self.crop, self.crop_size, self.guidance_channels = crop, crop_size, guidance_channels
        self.norm = norm

    def make_refinement(self, width: int) -> nn.Module:
        """Build the refinement of features of so many channels."""
        refinement = Refinement(width, self.guidance_channels)
        if self.norm == "group":
            batch_to_group_norm(refinement)
        return refinement

    def refine(self, features: Tensor, guidance: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Refine crops.

        Args:
            features: (b, width, h, w) of the selection.
            guidance: (b, guidance_channels, H, W), the refinement clicks.
            boxes: the crop of each object, in pixels of the guidance.

        Returns:
            Logits (b, 1, crop_size, crop_size) of the crops.
        """
        stride = self.stride(features, guidance.shape[-1])
        shown = self.cut(features, boxes, stride)
        if shown.shape[-1] * shown.shape[-2] > 1:
            shown = instance_norm(shown)
        maps = self.cut(guidance, boxes, 1)
        return self.refinement(
            torch.cat([shown, maps.to(shown.dtype)], 1).contiguous(memory_format=self.layout)
        )

    def stride(self, features: Tensor, width: int) -> float:
        """Pixels of an image of some width between two cells of its features."""
        return self.divisor * -(-width // self.divisor) / features.shape[-1]

    def snapped(self, box: Box, features: Tensor, size: Sequence[int]) -> Box:
        """Find the box that is cut for a box in an image of (height, width): with "naive" the whole cells that it touches."""
        if self.crop == "align":
            return box
        stride = self.stride(features, size[1])
        top, left, bottom, right = (
            floor(box.top / stride),
            floor(box.left / stride),
            ceil(box.bottom / stride),
            ceil(box.right / stride),
        )
        return Box(
            int(top * stride),
            int(left * stride),
            min(int(bottom * stride), size[0]),
            min(int(right * stride), size[1]),
        )

    def cut(self, maps: Tensor, boxes: Sequence[Box], stride: float) -> Tensor:
        """Boxes, in pixels, of maps (b, c, h, w) with a stride, at the crop's size."""
        size = (self.crop_size, self.crop_size)
        if self.crop == "align":
            exact = (
                maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
            )  # corners of large images do not fit those
            corners = [
                exact.new_tensor([[box.left, box.top, box.right, box.bottom]]) for box in boxes
            ]
            return roi_align(exact, corners, size, 1 / stride, sampling_ratio=2, aligned=True).to(
                maps.dtype
            )
        cells = []
        for row, box in zip(maps, boxes, strict=True):
            top, left = int(box.top // stride), int(box.left // stride)
            bottom, right = int(-(-box.bottom // stride)), int(-(-box.right // stride))
            cells.append(interpolate(row[None, :, top:bottom, left:right], size, mode="bilinear"))
        return torch.cat(cells)


class Refinement(nn.Sequential):
    """Three blocks and a logit (eq. 4): C(513, 512, 3), C(512, 256, 3), C(256, 256, 3) for 512 features and one map.

    The map's weights start as those of a convolution of their own and learn at their own rate: one
    channel in 513, mostly 0, is drowned by the others, and a short training never comes to heed it.
    """

    def __init__(self, width: int, guidance: int) -> None:
        first = block(width, width)
        convolution = first[0]
        assert isinstance(convolution, nn.Conv2d)
        first[0] = GuidedConvolution(convolution, guidance, "own")
        super().__init__(
            first,
            block(width, width // 2),
            block(width // 2, width // 2),
            nn.Conv2d(width // 2, 1, 1),
        )


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Make a 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def trimmed_box(logits: Tensor, threshold: float) -> Box:
    """Find the bounding box of the pixels whose probability is above a threshold; the whole image where there is none.

    Args:
        logits: (H, W).
        threshold: on the probability.
    """
    likely = (logits.sigmoid() > threshold).cpu().numpy()
    return box_of(likely) if likely.any() else Box(0, 0, *likely.shape)
