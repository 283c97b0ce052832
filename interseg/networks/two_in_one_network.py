"""The two networks of two-in-one refinement: one selects the object, a light one refines its crop from the first one's features.

Sections 3.1 and 3.2 of the paper, eq. 4.
"""

from collections.abc import Sequence
from math import ceil, floor

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule
from torch import Tensor, nn
from torch.nn.functional import instance_norm, interpolate
from torchvision.ops import roi_align

from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.networks.click_input import ClickInput
from interseg.networks.click_network import parameters_by_origin
from interseg.networks.norms import KeepsNorms, batch_to_group_norm
from interseg.networks.pretrained import load_encoder_weights
from interseg.networks.stem import GuidedConvolution, widen_first_convolution
from interseg.views import Box, box_of, enlarged


class TwoInOneNetwork(KeepsNorms):
    """Selection and refinement over one encoder.

    Args:
        encoder: an smp encoder that can be dilated; the paper's resnet101.
        weights: "imagenet" (download), "package" (no download) or null. The paper starts from DeepLab-v2 trained on VOC.
        output_stride: of the encoder, 8 as in DeepLab-v2, or 16.
        width: channels of the features that both networks share; the paper's 512.
        crop: how features are cut out: "align" by RoIAlign, or "naive", whole cells of the features resized.
        crop_size: sides of a crop's features; the paper does not give it. The refinement costs its square.
        guidance_channels: of the refinement: 1 for boundary clicks, 2 for positive and negative ones.
        norm: "batch" as in the paper, or "group", which does not depend on the batch.
        freeze_encoder_norm: keep the encoder's batch norm as it was trained; the paper is silent.
        channels_last: memory layout.
        selection_from: a checkpoint of another run, whose encoder and selection network are taken over.
    """

    def __init__(
        self,
        encoder: str = "resnet101",
        weights: str | None = "imagenet",
        output_stride: int = 8,
        width: int = 512,
        crop: str = "align",
        crop_size: int = 64,
        guidance_channels: int = 1,
        norm: str = "batch",
        freeze_encoder_norm: bool = True,
        channels_last: bool = False,
        selection_from: str | None = None,
    ) -> None:
        super().__init__()
        if crop not in ("align", "naive") or norm not in ("batch", "group"):
            raise InputError(f"crop={crop!r}, norm={norm!r}; use align or naive, and batch or group")
        if guidance_channels not in (1, 2):
            raise InputError(f"guidance_channels is {guidance_channels}; use 1 for boundary clicks, 2 for positive and negative ones")
        self.crop, self.crop_size, self.guidance_channels = crop, crop_size, guidance_channels
        self.encoder = smp.encoders.get_encoder(encoder, in_channels=3, depth=5, weights=None, output_stride=output_stride)
        self.input = ClickInput(load_encoder_weights(self.encoder, encoder, weights))
        widen_first_convolution(self.encoder, 1)
        self.selection = Selection(self.encoder.out_channels[-1], width)
        self.refinement = Refinement(width, guidance_channels)
        if freeze_encoder_norm:
            self.keep_norms(self.encoder)
        if norm == "group":
            batch_to_group_norm(self.selection)
            batch_to_group_norm(self.refinement)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if selection_from is not None:
            self.load_selection(selection_from)

    def load_selection(self, file: str) -> None:
        """Take encoder and selection network from a checkpoint; raises `InputError` for one that has not all of them."""
        state = read_checkpoint(file)["state_dict"]
        own = {key: value for key, value in self.state_dict().items() if key.startswith(("encoder.", "selection."))}
        given = {key.removeprefix("network.") for key in state if key.startswith(("network.encoder.", "network.selection."))}
        unfit = sorted(given ^ own.keys()) or [key for key, value in own.items() if state[f"network.{key}"].shape != value.shape]
        if unfit:
            raise InputError(f"selection_from: {file} does not fit, {unfit[0]} is missing or of another size; give a run of this network")
        self.load_state_dict({key: state[f"network.{key}"] for key in own}, strict=False)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """The trainable parameters by origin.

        "encoder" (pretrained), "clicks" (the selection map's first convolution), "decoder", "refinement" and "refinement_clicks" (the
        first convolution of its maps).
        """
        parts = parameters_by_origin(self, self.encoder)
        refinement = parameters_by_origin(self.refinement, self.refinement)
        new = {id(p) for p in self.refinement.parameters()}
        return parts | {
            "decoder": [p for p in parts["decoder"] if id(p) not in new],
            "refinement": refinement["encoder"],
            "refinement_clicks": refinement["clicks"],
        }

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Select the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, 1, H, W), the selection click.

        Returns:
            Logits (B, 1, H, W) and features (B, width, h, w) of the image padded to multiples of 32.
        """
        height, width = image.shape[-2:]
        x = self.input(image, guidance).contiguous(memory_format=self.layout)
        features = self.selection.features(self.encoder(x)[-1])
        return enlarged(self.selection.head(features), x.shape[-2:])[..., :height, :width], features

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
        return self.refinement(torch.cat([shown, maps.to(shown.dtype)], 1).contiguous(memory_format=self.layout))

    def stride(self, features: Tensor, width: int) -> float:
        """Pixels of an image of some width between two cells of its features."""
        return 32 * -(-width // 32) / features.shape[-1]

    def snapped(self, box: Box, features: Tensor, size: Sequence[int]) -> Box:
        """The box that is cut for a box in an image of (height, width): with "naive" the whole cells that it touches."""
        if self.crop == "align":
            return box
        stride = self.stride(features, size[1])
        top, left, bottom, right = (floor(box.top / stride), floor(box.left / stride), ceil(box.bottom / stride), ceil(box.right / stride))
        return Box(int(top * stride), int(left * stride), min(int(bottom * stride), size[0]), min(int(right * stride), size[1]))

    def cut(self, maps: Tensor, boxes: Sequence[Box], stride: float) -> Tensor:
        """Boxes, in pixels, of maps (b, c, h, w) with a stride, at the crop's size."""
        size = (self.crop_size, self.crop_size)
        if self.crop == "align":
            exact = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps  # corners of large images do not fit those
            corners = [exact.new_tensor([[box.left, box.top, box.right, box.bottom]]) for box in boxes]
            return roi_align(exact, corners, size, 1 / stride, sampling_ratio=2, aligned=True).to(maps.dtype)
        cells = []
        for row, box in zip(maps, boxes, strict=True):
            top, left = int(box.top // stride), int(box.left // stride)
            bottom, right = int(-(-box.bottom // stride)), int(-(-box.right // stride))
            cells.append(interpolate(row[None, :, top:bottom, left:right], size, mode="bilinear"))
        return torch.cat(cells)


class Selection(nn.Module):
    """A pyramid pooling module (Zhao et al. 2017) over the encoder's last map, and one logit from its features."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.pyramid = PSPModule(inputs)
        self.join = block(2 * inputs, width)
        self.head = nn.Conv2d(width, 1, 1)

    def features(self, x: Tensor) -> Tensor:
        return self.join(self.pyramid(x))


class Refinement(nn.Sequential):
    """Three blocks and a logit (eq. 4): C(513, 512, 3), C(512, 256, 3), C(256, 256, 3) for 512 features and one map.

    The map's weights start as those of a convolution of their own and learn at their own rate: one channel in 513, mostly 0, is
    drowned by the others, and a short training never comes to heed it.
    """

    def __init__(self, width: int, guidance: int) -> None:
        first = block(width, width)
        convolution = first[0]
        assert isinstance(convolution, nn.Conv2d)
        first[0] = GuidedConvolution(convolution, guidance, "own")
        super().__init__(first, block(width, width // 2), block(width // 2, width // 2), nn.Conv2d(width // 2, 1, 1))


def block(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def trimmed_box(logits: Tensor, threshold: float) -> Box:
    """The bounding box of the pixels whose probability is above a threshold; the whole image where there is none.

    Args:
        logits: (H, W).
        threshold: on the probability.
    """
    likely = (logits.sigmoid() > threshold).cpu().numpy()
    return box_of(likely) if likely.any() else Box(0, 0, *likely.shape)
