"""The network of BRS: an encoder with squeeze-and-excitation, a coarse and a fine decoder.

The fine decoder works at full resolution. The source is Jang and Kim, CVPR 2019, section 3.1 and
Figure 2; layer sizes are from its official code. Deviations: the official code takes the output of
DenseNet's blocks before the norm and activation of the transitions, this encoder after them; the
official code's batch norms have no scale and shift.
"""

from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.networks.click_input import ClickInput
from interseg.networks.click_network import parameters_by_origin
from interseg.networks.guided import GuidedNetwork
from interseg.networks.norms import batch_to_group_norm
from interseg.networks.pretrained import load_encoder_weights
from interseg.networks.stem import widen_first_convolution

GUIDANCE = 2


class BRSNetwork(GuidedNetwork):
    """A network from photo and two interaction maps to one logit a pixel.

    Args:
        encoder: Name of an smp encoder of depth 5: densenet121 (the paper's), vgg16 (its second),
            or a lighter one.
        pretrained: Source of the encoder's weights: "hub" (download), "package" (no download) or
            null for random ones.
        output: "fine", or "coarse" for the prediction before the fine decoder (the paper's Table
            2).
        width: Number of channels of the coarse decoder's last block, a multiple of 4; the paper's
            is 64. The other layers grow with it.
        norm: "batch" as in the paper, or "group", which does not depend on the batch.
        freeze_encoder_norm: Whether to keep the encoder's batch norm in evaluation mode with
            constant affine parameters; the paper is silent.
        channels_last: Whether to use the memory layout channels last.
        compile: Arguments of `torch.nn.Module.compile`, {} for its defaults; None runs eagerly, as
            games always do.
    """

    guidance_channels = GUIDANCE

    def __init__(
        self,
        encoder: str = "densenet121",
        pretrained: str | None = "hub",
        output: str = "fine",
        width: int = 64,
        norm: str = "batch",
        freeze_encoder_norm: bool = True,
        channels_last: bool = False,
        compile: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if output not in ("fine", "coarse") or norm not in ("batch", "group"):
            raise InputError(
                f"output={output!r}, norm={norm!r}; use fine or coarse, and batch or group"
            )
        if width < 4 or width % 4:
            raise InputError(f"width={width}; give a positive multiple of 4, the paper's is 64")
        self.output = output
        self.encoder = smp.encoders.get_encoder(encoder, in_channels=3, depth=5, weights=None)
        self.input = ClickInput(load_encoder_weights(self.encoder, encoder, pretrained))
        widths = self.encoder.out_channels[2:]
        widen_first_convolution(self.encoder, GUIDANCE)
        self.excitations = nn.ModuleList(Excitation(width, max(1, width // 16)) for width in widths)
        self.coarse = CoarseDecoder(widths, width)
        self.fine = FineDecoder(3 + GUIDANCE + 1, width // 2)
        if freeze_encoder_norm:
            self.keep_norms(self.encoder)
        if norm == "group":
            batch_to_group_norm(self.coarse)
            batch_to_group_norm(self.fine)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile is not None:
            for part in (self.encoder, self.coarse, self.fine):
                part.compile(**compile)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "encoder" (pretrained), "clicks" (the maps' first convolution), "decoder" and "fine".
        """
        parts = parameters_by_origin(self, self.encoder)
        fine = list(self.fine.parameters())
        ids = {id(p) for p in fine}
        decoder = [p for p in parts["decoder"] if id(p) not in ids]
        return parts | {"decoder": decoder, "fine": fine}

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale.

        They are the deepest features, the middle of the decoder, and the features before the last
        convolution. The middle is the place where the fine decoder's branches meet, or the coarse
        decoder's block at 1/16 if there is no fine decoder.
        """
        if self.output == "fine":
            return {"a": self.excitations[-1], "b": self.fine.excitation, "c": self.fine.head[0]}
        return {"a": self.excitations[-1], "b": self.coarse.blocks[1], "c": self.coarse.blocks[-1]}

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        """Compute logits (B, 1, H, W) from photo (B, 3, H, W) in [0, 1] and maps (B, 2, H, W)."""
        coarse, fine = self.both(image, guidance, self.output == "fine")
        return coarse if fine is None else fine

    def both(
        self, image: Tensor, guidance: Tensor, with_fine: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Compute coarse and fine logits; without `with_fine` the fine decoder does not run."""
        height, width = image.shape[-2:]
        x = self.input(image, guidance).contiguous(memory_format=self.layout)
        features = self.encoder(x)[2:]
        excited = [excite(f) for excite, f in zip(self.excitations, features, strict=True)]
        coarse = self.coarse(excited)
        cropped = coarse[..., :height, :width]
        if not with_fine:
            return cropped, None
        fine = self.fine(torch.cat([x, coarse.sigmoid()], 1))
        return cropped, fine[..., :height, :width]


class Excitation(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): a factor for every channel, from the whole map."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale(x)


def convolution(inputs: int, outputs: int, size: int, dilation: int = 1) -> nn.Sequential:
    """Make a convolution without bias, PReLU, then batch norm, in the paper's order."""
    layer = nn.Conv2d(
        inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, bias=False
    )
    return nn.Sequential(layer, nn.PReLU(outputs), nn.BatchNorm2d(outputs))


class CoarseDecoder(nn.Module):
    """A decoder from features at 1/4, 1/8, 1/16 and 1/32 to coarse logits at full size."""

    def __init__(self, encoder: list[int], width: int) -> None:
        super().__init__()
        widths = (8 * width, 4 * width, 2 * width, width)
        skips = (width, 2 * width, 4 * width)
        inputs = (encoder[-1], 8 * width, 4 * width, 2 * width)
        self.skips = nn.ModuleList(
            convolution(channels, skip, 1) for channels, skip in zip(encoder, skips, strict=False)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(convolution(i, w, 3), convolution(w, w, 3), convolution(w, w // 2, 1))
            for i, w in zip(inputs, widths, strict=True)
        )
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(w // 2, w // 2, 2, stride=2, bias=False),
                nn.PReLU(w // 2),
                nn.BatchNorm2d(w // 2),
            )
            for w in widths[:-1]
        )
        self.prediction = nn.Conv2d(width // 2, 1, 1)
        self.enlarge = nn.ConvTranspose2d(1, 1, 4, stride=4, bias=False)
        nn.init.ones_(self.enlarge.weight)  # at first, 4 x 4 pixels repeat the coarse one

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.blocks[0](features[-1])
        for up, block, skip, feature in zip(
            self.ups, self.blocks[1:], reversed(self.skips), reversed(features[:-1]), strict=True
        ):
            x = block(torch.cat([up(x), skip(feature)], 1))
        return self.enlarge(self.prediction(x))


class FineDecoder(nn.Module):
    """A decoder from the network's input and the coarse probability to logits at full resolution.

    It has three branches of growing dilation.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                convolution(inputs, width, 3, dilation),
                convolution(width, width, 3),
                convolution(width, width // 2, 1),
            )
            for dilation in (1, 2, 3)
        )
        self.concatenate = Concatenate()
        joined = 3 * (width // 2)
        self.excitation = Excitation(joined, max(1, joined // 16))
        self.head = nn.Sequential(convolution(joined, width // 2, 3), nn.Conv2d(width // 2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(
            self.excitation(self.concatenate(*(branch(x) for branch in self.branches)))
        )


class Concatenate(nn.Module):
    """A concatenation of channels, as a module: f-BRS repeats what is outside of modules."""

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)
