"""Two-in-one over a network that encodes a photo once.

The network's decoder selects; the refinement works on its outlines and context. These are the
paper's parts (sections 3.1 and 3.2) on an encoder that does not read clicks
(`interseg/networks/once_network.py`). Deviations: the encoder is frozen; the cropped features lie
at a quarter of the view, the paper's at an eighth, so that the cells of a crop limit an answer's
outline less.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from interseg.checkpoints import mismatches, read_checkpoint
from interseg.errors import InputError
from interseg.networks.click_network import parameters_by_origin
from interseg.networks.crop_refinement import RefinesCrops
from interseg.networks.guided import Encoded
from interseg.networks.once_network import OnceNetwork

MAPS = 3
"""Number of the selection's guidance maps, those of ITIS' weights: the click, an empty map (of
negative clicks) and the selection before, empty at first."""


class TwoInOneOnceNetwork(RefinesCrops):
    """A selection that encodes a photo once, and a light refinement of crops of its features.

    Args:
        encoder, pretrained, levels, width, outlines, blocks, noise: See `OnceNetwork`; its encoder
            is frozen.
        crop, crop_size, guidance_channels: See `RefinesCrops`. The features have 4 times `outlines`
            channels.
        norm: Norm of the refinement, "group" or "batch".
        selection_from: Checkpoint from which the selection is loaded: of a run of this network, or
            of ITIS with an encode-once network of the same sizes and a previous mask.
    """

    def __init__(
        self,
        encoder: str = "tf_efficientnet_lite0",
        pretrained: str | None = "package",
        levels: Sequence[int] | None = None,
        width: int = 160,
        outlines: int = 32,
        blocks: int = 2,
        noise: float = 0.2,
        crop: str = "align",
        crop_size: int = 64,
        guidance_channels: int = 1,
        norm: str = "group",
        selection_from: str | None = None,
    ) -> None:
        super().__init__(crop, crop_size, guidance_channels, norm)
        self.selection = OnceNetwork(
            encoder, pretrained, levels, True, MAPS, width, outlines, blocks, noise
        )
        self.refinement = self.make_refinement(4 * outlines)
        self.divisor, self.layout = self.selection.encoder.divisor, self.selection.layout
        self.to(memory_format=self.layout)
        if selection_from is not None:
            self.load_selection(selection_from)

    @property
    def encoder(self) -> nn.Module:
        """Frozen encoder."""
        return self.selection.encoder

    def load_selection(self, file: str) -> None:
        """Load the selection from a checkpoint; raises `InputError` if it does not fit."""
        state = read_checkpoint(file)["state_dict"]
        prefix = "network.selection."
        if not any(key.startswith(prefix) for key in state):
            prefix = "network."
        given = {}
        for key, value in state.items():
            if key.startswith(prefix):
                given[key.removeprefix(prefix)] = value
        if unfit := mismatches(given, self.selection.state_dict()):
            raise InputError(
                f"selection_from: {file} does not fit, {unfit[0]} is missing or of another size; "
                "give a run of this network, or of ITIS with an encode-once network of its sizes "
                "and 3 guidance channels"
            )
        self.selection.load_state_dict(given)

    def parameters_by_origin(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by origin.

        "decoder", "refinement" and "refinement_clicks" (the first convolution of its maps).
        """
        refinement = parameters_by_origin(self.refinement, self.refinement)
        decoder = self.selection.parameters_by_origin()["decoder"]
        return {
            "decoder": decoder,
            "refinement": refinement["encoder"],
            "refinement_clicks": refinement["clicks"],
        }

    def features(self, image: Tensor) -> list[Tensor]:
        """Run only the encoder (`OnceNetwork.features`)."""
        return self.selection.features(image)

    def encode(self, image: Tensor, features: Sequence[Tensor] | None = None) -> Encoded:
        """Compute all that does not depend on clicks (`OnceNetwork.encode`)."""
        return self.selection.encode(image, features)

    def forward(
        self,
        image: Tensor,
        guidance: Tensor,
        encoded: Encoded | None = None,
        features: Sequence[Tensor] | None = None,
        previous: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Select the object.

        Args:
            image: (B, 3, H, W) in [0, 1].
            guidance: (B, 1, H, W) of the selection click.
            encoded: Result of `encode` for the photos; None to compute it.
            features: Result of `features` for the photos; None to compute it.
            previous: Probabilities (B, 1, H, W) of a selection before; None for none.

        Returns:
            Logits (B, 1, H, W) and features (B, 4 outlines, h, w) at a quarter of the padded image.
        """
        height, width = image.shape[-2:]
        known = self.encode(image, features) if encoded is None else encoded
        empty = torch.zeros_like(guidance)
        maps = torch.cat([guidance, empty, empty if previous is None else previous], 1)
        maps = self.selection.padded(maps.to(image.dtype)).contiguous(memory_format=self.layout)
        decoder = self.selection.decoder
        eighth, quarter = decoder.features(known, maps)
        logits = interpolate(decoder.head(quarter), maps.shape[-2:], mode="bilinear")
        context = interpolate(eighth, quarter.shape[-2:], mode="bilinear")
        shared = torch.cat([context, quarter, known["skip4"]], 1)
        return logits[..., :height, :width], shared
