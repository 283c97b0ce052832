"""The networks of two-in-one refinement: one encoder, a selection and a light refinement.

Sections 3.1 and 3.2 of the paper.
"""

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPModule
from torch import Tensor, nn

from interseg.checkpoints import mismatches, read_checkpoint
from interseg.errors import InputError
from interseg.networks.click_input import ClickInput
from interseg.networks.click_network import parameters_by_origin
from interseg.networks.crop_refinement import RefinesCrops, block
from interseg.networks.norms import batch_to_group_norm
from interseg.networks.pretrained import load_encoder_weights
from interseg.networks.stem import widen_first_convolution
from interseg.views import resize_logits


class TwoInOneNetwork(RefinesCrops):
    """Selection and refinement over one encoder.

    Args:
        encoder: Name of an smp encoder that can be dilated; the paper's is resnet101.
        pretrained: Source of its weights: "hub" (download), "package" (no download) or null for
            random ones. The paper starts from DeepLab-v2 trained on VOC.
        output_stride: Stride of the encoder, 8 as in DeepLab-v2, or 16.
        width: Number of channels of the features that both networks share; the paper's is 512.
        crop: See `RefinesCrops`.
        crop_size: See `RefinesCrops`.
        guidance_channels: See `RefinesCrops`.
        norm: "batch" as in the paper, or "group", which does not depend on the batch.
        freeze_encoder_norm: Whether to freeze the encoder's batch norm; the paper is silent.
        channels_last: Whether to use the memory layout channels last.
        selection_from: Checkpoint of another run from which encoder and selection network are
            loaded.
    """

    def __init__(
        self,
        encoder: str = "resnet101",
        pretrained: str | None = "hub",
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
        super().__init__(crop, crop_size, guidance_channels, norm)
        self.encoder = smp.encoders.get_encoder(
            encoder, in_channels=3, depth=5, weights=None, output_stride=output_stride
        )
        self.input = ClickInput(load_encoder_weights(self.encoder, encoder, pretrained))
        widen_first_convolution(self.encoder, 1)
        self.selection = Selection(self.encoder.out_channels[-1], width)
        self.refinement = self.make_refinement(width)
        if freeze_encoder_norm:
            self.keep_norms(self.encoder)
        if norm == "group":
            batch_to_group_norm(self.selection)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if selection_from is not None:
            self.load_selection(selection_from)

    def load_selection(self, file: str) -> None:
        """Load encoder and selection from a checkpoint; raises `InputError` if it does not fit."""
        state = read_checkpoint(file)["state_dict"]
        given, own = {}, {}
        for key, value in state.items():
            if key.startswith(("network.encoder.", "network.selection.")):
                given[key.removeprefix("network.")] = value
        for key, value in self.state_dict().items():
            if key.startswith(("encoder.", "selection.")):
                own[key] = value
        if unfit := mismatches(given, own):
            raise InputError(
                f"selection_from: {file} does not fit, {unfit[0]} is missing or of another size; "
                "give a run of this network"
            )
        self.load_state_dict(given, strict=False)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "encoder" (pretrained), "clicks" (the selection map's first convolution), "decoder",
        "refinement" and "refinement_clicks" (the first convolution of its maps).
        """
        parts = parameters_by_origin(self, self.encoder)
        refinement = parameters_by_origin(self.refinement, self.refinement)
        new = {id(p) for p in self.refinement.parameters()}
        decoder = [p for p in parts["decoder"] if id(p) not in new]
        return parts | {
            "decoder": decoder,
            "refinement": refinement["encoder"],
            "refinement_clicks": refinement["clicks"],
        }

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Select the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, 1, H, W) of the selection click.

        Returns:
            Logits (B, 1, H, W) and features (B, width, h, w) of the image padded to multiples of
            32.
        """
        height, width = image.shape[-2:]
        x = self.input(image, guidance).contiguous(memory_format=self.layout)
        features = self.selection.features(self.encoder(x)[-1])
        logits = resize_logits(self.selection.head(features), x.shape[-2:])
        return logits[..., :height, :width], features


class Selection(nn.Module):
    """A pyramid pooling module over the encoder's last map, and one logit from its features.

    The module is that of Zhao et al. 2017.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.pyramid = PSPModule(inputs)
        self.join = block(2 * inputs, width)
        self.head = nn.Conv2d(width, 1, 1)

    def features(self, x: Tensor) -> Tensor:
        return self.join(self.pyramid(x))
