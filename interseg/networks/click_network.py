"""Networks of segmentation-models-pytorch that read photo and guidance, with one logit a pixel."""

from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.networks.click_input import ClickInput
from interseg.networks.guided import GuidedNetwork
from interseg.networks.norms import batch_to_group_norm
from interseg.networks.pretrained import load_encoder_weights
from interseg.networks.stem import GuidedConvolution, widen_first_convolution


class ClickNetwork(GuidedNetwork):
    """An smp architecture, widened by guidance channels (ITIS, section 3.1).

    The first convolution keeps its pretrained RGB weights and the new channels start from zero, so
    that an untrained click network has exactly the pretrained encoder's features. The encoder's
    batch norm is frozen. Group norm in the decoder makes results independent of the batch, for
    small batches and several processes.

    Args:
        architecture: Name of a class of segmentation-models-pytorch, e.g. "DeepLabV3Plus", "Unet",
            "FPN".
        encoder: Name of an smp encoder; timm's have the prefix "tu-".
        pretrained: Source of the encoder's weights: "hub" (timm's or smp's download), "package"
            (from a Python package, nothing is downloaded) or null for random ones.
        guidance_channels: Number of inputs beside RGB: 2 for clicks, 3 with the previous mask.
        new_channels: Start of their weights: "zero", or "mean" for the mean of the RGB weights.
        decoder_norm: "group" or "batch".
        freeze_encoder_norm: Whether to keep the encoder's batch norm in evaluation mode with
            constant affine parameters.
        channels_last: Whether to use the memory layout channels last; faster for depth-wise
            convolutions on GPUs and most CPUs.
        compile: Arguments of `torch.nn.Module.compile`, {} for its defaults; None runs eagerly, as
            games always do. Checkpoints are the same either way.
        options: Further arguments of the smp class, e.g. {"decoder_channels": 128}.

    Raises:
        InputError: An unknown architecture, start of the weights or norm.
    """

    network: Any

    def __init__(
        self,
        architecture: str = "DeepLabV3Plus",
        encoder: str = "tu-xception65",
        pretrained: str | None = "hub",
        guidance_channels: int = 2,
        new_channels: str = "zero",
        decoder_norm: str = "group",
        freeze_encoder_norm: bool = True,
        channels_last: bool = False,
        compile: dict[str, Any] | None = None,
        options: dict[str, object] | None = None,
    ) -> None:
        super().__init__()
        build = getattr(smp, architecture, None)
        if not (isinstance(build, type) and issubclass(build, nn.Module)):
            raise InputError(
                f"architecture is {architecture!r}; "
                "use a class of segmentation_models_pytorch such as DeepLabV3Plus or Unet"
            )
        if new_channels not in ("zero", "mean") or decoder_norm not in ("group", "batch"):
            raise InputError(
                f"new_channels={new_channels!r}, decoder_norm={decoder_norm!r}; "
                "use zero or mean, and group or batch"
            )
        self.guidance_channels = guidance_channels
        self.network = build(
            encoder, encoder_weights=None, in_channels=3, classes=1, **(options or {})
        )
        self.input = ClickInput(load_encoder_weights(self.network.encoder, encoder, pretrained))
        widen_first_convolution(self.network.encoder, guidance_channels, new_channels)
        if freeze_encoder_norm:
            self.keep_norms(self.network.encoder)
        if decoder_norm == "group":
            for part in (self.network.decoder, self.network.segmentation_head):
                batch_to_group_norm(part)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile is not None:
            self.network.compile(**compile)

    @property
    def encoder(self) -> nn.Module:
        """Feature extractor."""
        return self.network.encoder

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "encoder" (pretrained), "clicks" (the guidance's first convolution) and "decoder"; the last
        two are new.
        """
        return parameters_by_origin(self, self.encoder)

    def refinement_points(self) -> dict[str, nn.Module]:
        """Return the layers that f-BRS may scale.

        "a" is the encoder, "b" the pyramid (or the decoder's first block), "c" the whole decoder.
        """
        decoder = self.network.decoder
        first_block = next(iter(getattr(decoder, "blocks", [])), None)
        middle = getattr(decoder, "aspp", None) or first_block
        points = {"a": self.encoder, "b": middle, "c": decoder}
        return {name: layer for name, layer in points.items() if layer is not None}

    def forward(self, image: Tensor, guidance: Tensor) -> Tensor:
        """Compute the logits of the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, guidance_channels, H, W).

        Returns:
            (B, 1, H, W). Sides that are not multiples of 32 are padded by replication, and the
            result is cropped.
        """
        height, width = image.shape[-2:]
        x = self.input(image, guidance).contiguous(memory_format=self.layout)
        return self.network(x)[..., :height, :width]


def parameters_by_origin(network: nn.Module, encoder: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return a network's trainable parameters by origin.

    Returns:
        "encoder", the pretrained ones; "clicks", the new channels of the encoder's first
        convolution; "decoder", all others.
    """
    clicks: list[nn.Parameter] = []
    for module in encoder.modules():
        if isinstance(module, GuidedConvolution):
            clicks += module.guidance.parameters()
    new = {id(p) for p in clicks}
    pretrained = [p for p in encoder.parameters() if p.requires_grad and id(p) not in new]
    known = new | {id(p) for p in pretrained}
    others = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
    return {"encoder": pretrained, "clicks": clicks, "decoder": others}
