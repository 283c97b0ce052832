"""The refinement of two-in-one: a light network on crops of a selection's features.

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
    """Base of the networks that select by one click and refine a crop of the selection's features.

    A subclass makes its `refinement` by `make_refinement`.

    Args:
        crop: Method of cropping features: "align" by RoIAlign, or "naive" for whole cells of the
            features, resized.
        crop_size: Number of cells along a crop's side; the paper does not give it. The time of the
            refinement grows with its square.
        guidance_channels: Number of the refinement's guidance maps: 1 for boundary clicks, 2 for
            positive and negative ones.
        norm: Norm of the refinement: "batch" as in the paper, or "group", which does not depend on
            the batch.

    Raises:
        InputError: An unknown value of one of these.
    """

    refinement: nn.Module
    layout: torch.memory_format = torch.contiguous_format
    divisor: int = 32
    """Number to whose multiples an image's sides are padded."""

    def __init__(self, crop: str, crop_size: int, guidance_channels: int, norm: str) -> None:
        super().__init__()
        if crop not in ("align", "naive") or norm not in ("batch", "group"):
            raise InputError(
                f"crop={crop!r}, norm={norm!r}; use align or naive, and batch or group"
            )
        if guidance_channels not in (1, 2):
            raise InputError(
                f"guidance_channels is {guidance_channels}; "
                "use 1 for boundary clicks, 2 for positive and negative ones"
            )
        self.crop, self.crop_size, self.guidance_channels = crop, crop_size, guidance_channels
        self.norm = norm

    def make_refinement(self, width: int) -> nn.Module:
        """Build the refinement of features of `width` channels."""
        refinement = Refinement(width, self.guidance_channels)
        if self.norm == "group":
            batch_to_group_norm(refinement)
        return refinement

    def refine(self, features: Tensor, guidance: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Refine crops.

        Args:
            features: (b, width, h, w) of the selection.
            guidance: (b, guidance_channels, H, W) of the refinement clicks.
            boxes: Crop of each object, in pixels of the guidance.

        Returns:
            Logits (b, 1, crop_size, crop_size) of the crops.
        """
        stride = self.stride(features, guidance.shape[-1])
        shown = self.cut(features, boxes, stride)
        if shown.shape[-1] * shown.shape[-2] > 1:
            shown = instance_norm(shown)
        maps = self.cut(guidance, boxes, 1)
        x = torch.cat([shown, maps.to(shown.dtype)], 1)
        return self.refinement(x.contiguous(memory_format=self.layout))

    def stride(self, features: Tensor, width: int) -> float:
        """Compute the distance of two cells of features, in pixels of an image of a given width."""
        padded = self.divisor * -(-width // self.divisor)
        return padded / features.shape[-1]

    def snap(self, box: Box, features: Tensor, size: Sequence[int]) -> Box:
        """Find the box that is cropped for a box in an image of (height, width).

        With "naive", it covers the whole cells that the box touches.
        """
        if self.crop == "align":
            return box
        stride = self.stride(features, size[1])
        top, left = floor(box.top / stride), floor(box.left / stride)
        bottom, right = ceil(box.bottom / stride), ceil(box.right / stride)
        end = min(int(bottom * stride), size[0]), min(int(right * stride), size[1])
        return Box(int(top * stride), int(left * stride), *end)

    def cut(self, maps: Tensor, boxes: Sequence[Box], stride: float) -> Tensor:
        """Crop maps (b, c, h, w) with a stride to boxes in pixels, at the crop's size."""
        size = (self.crop_size, self.crop_size)
        if self.crop == "align":
            # half precision cannot hold the corners of large images
            half = maps.dtype in (torch.float16, torch.bfloat16)
            exact = maps.float() if half else maps
            corners = [
                exact.new_tensor([[box.left, box.top, box.right, box.bottom]]) for box in boxes
            ]
            cells = roi_align(exact, corners, size, 1 / stride, sampling_ratio=2, aligned=True)
            return cells.to(maps.dtype)
        crops = []
        for row, box in zip(maps, boxes, strict=True):
            top, left = int(box.top // stride), int(box.left // stride)
            bottom, right = int(-(-box.bottom // stride)), int(-(-box.right // stride))
            crops.append(interpolate(row[None, :, top:bottom, left:right], size, mode="bilinear"))
        return torch.cat(crops)


class Refinement(nn.Sequential):
    """Three blocks and a logit (eq. 4).

    For 512 features and one map they are C(513, 512, 3), C(512, 256, 3) and C(256, 256, 3). The
    map's weights start as those of a separate convolution and have their own learning rate:
    otherwise a short training does not learn to use one channel in 513 that is mostly 0.
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
    """Find the bounding box of the pixels whose probability is above a threshold.

    If there is no such pixel, it is the whole image.

    Args:
        logits: (H, W).
        threshold: Probability.
    """
    likely = (logits.sigmoid() > threshold).cpu().numpy()
    return box_of(likely) if likely.any() else Box(0, 0, *likely.shape)
