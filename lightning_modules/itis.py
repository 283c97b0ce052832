"""ITIS: a click network trained on its errors of an epoch ago (Mahadevan et al., BMVC 2018).

The iteration itself, section 3.2, is in `callbacks/user_loop.py` and `interseg/clicks/memory.py`:
it needs this step's prediction only.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from interseg.batches import ClickBatch, require
from interseg.clicks.guidance import GaussianGuidance, Guidance, mask_distance
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.encoding import Encoding
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.inference.scene import encode_view
from interseg.losses import BootstrappedCrossEntropy
from interseg.networks.guided import GuidedNetwork, encodes_once
from interseg.views import Side, check_side, resize_logits
from lightning_modules.base import InteractiveModule, check_loss
from lightning_modules.optimisation import Optimisation


class ITIS(InteractiveModule):
    """ITIS, and RITM, SimpleClick and networks that encode once, which are trained as it is.

    A network on photo, click maps and optionally the previous mask, under a bootstrapped loss.

    Args:
        network: Network that reads photo and guidance. With 3 guidance channels the third is the
            mask before this round; with 2 there is none. One with `encode`
            encodes each photo once.
        guidance: Encoding of the clicks; the paper's Gaussians by default.
        loss: Loss on logits and mask; the paper's worst 25 % by default.
        mask_map: Third channel: "distance", to that mask (section 3), the "mask" itself, or the
            "probabilities" that it was cut from, as RITM does.
        optimisation: Optimisation, with rates for "decoder" and "clicks", the first convolution's
            click channels, which start from zero. The paper starts from a decoder that was trained
            on COCO and VOC and gives all weights one rate; a fresh decoder needs more. In a short
            training a network learns to heed clicks as fast as the click channels' weights grow: at
            10 times the decoder's rate it does so from the start (benchmarks/itis_small.md).
        long_side: Long side of images in evaluation; null for full size, as in the paper; [height,
            width] for that size, whatever their proportions.
        inference: Test-time options.
        cascade: Number of times that a first click is answered again in evaluation, see
            `InferenceOptions`, by a network that reads "probabilities".
    """

    def __init__(
        self,
        network: GuidedNetwork,
        guidance: Guidance | None = None,
        loss: nn.Module | None = None,
        mask_map: str = "distance",
        optimisation: Optimisation | None = None,
        long_side: Side = None,
        inference: InferenceOptions | None = None,
        cascade: int = 0,
    ) -> None:
        super().__init__()
        if network.guidance_channels not in (2, 3):
            raise InputError(
                f"the network has {network.guidance_channels} guidance channels; "
                "give it 2 for clicks, or 3 with the previous mask"
            )
        if mask_map not in ("distance", "mask", "probabilities"):
            raise InputError(f"mask_map is {mask_map!r}; use distance, mask or probabilities")
        self.network, self.mask_map = network, mask_map
        self.guidance = guidance or GaussianGuidance()
        self.loss = loss or BootstrappedCrossEntropy()
        self.uses_previous_mask = network.guidance_channels == 3
        self.soft_previous = self.uses_previous_mask and mask_map == "probabilities"
        self.optimisation, self.long_side = optimisation or Optimisation(), check_side(long_side)
        options = inference or InferenceOptions()
        self.inference = replace(options, cascade=cascade or options.cascade)
        if self.inference.cascade and not self.soft_previous:
            raise InputError(
                f"cascade is {self.inference.cascade}; it is for networks that read the "
                "probabilities of the answer before (guidance_channels=3, mask_map=probabilities)"
            )

    @property
    def contributions(self) -> list[Contribution]:
        """Time of the encoding, where there is one."""
        return [
            *super().contributions,
            *([Encoding()] if encodes_once(self.network) else []),
        ]

    def segment(self, batch: ClickBatch) -> Tensor:
        """Compute logits (B, 1, H, W) from `image`, `clicks` and, with a mask map, `previous`."""
        require(batch, "image", "clicks", *(["previous"] if self.uses_previous_mask else []))
        view = self.shown(batch)
        return resize_logits(self._answer(view, batch), batch["image"].shape[-2:])

    def _answer(self, view: ClickBatch, batch: ClickBatch) -> Tensor:
        """Run the network on a view, with what is known of its photos."""
        if encodes_once(self.network):
            known = batch.get("encoded") or None
            return self.network(view["image"], self._channels(view), known, batch.get("features"))
        return self.network(view["image"], self._channels(view))

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute what does not depend on clicks: the view, and what the network makes of it."""
        view = super().encode(images)
        return view | encode_view(self.network, view.get("image", images), self.inference.flip)

    def _channels(self, view: ClickBatch) -> Tensor:
        maps = self.guidance(view["clicks"], *view["image"].shape[-2:])
        if not self.uses_previous_mask:
            return maps
        previous = view["previous"]
        return torch.cat(
            [
                maps,
                mask_distance(previous)
                if self.mask_map == "distance"
                else previous[:, None].to(maps.dtype),
            ],
            1,
        )

    def predictor(self) -> Predictor:
        """Make what answers with the test-time options."""
        return Predictor(self.network, self._channels, self.long_side, self.inference)

    def training_step(self, batch: ClickBatch, batch_idx: int) -> dict[str, Tensor]:
        """Take a step on the batch's clicks; the loop takes the next click from its logits."""
        require(batch, "id", "mask")
        logits = self.segment(batch)
        loss = self.loss(logits, batch["mask"])
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return {"loss": loss, "logits": logits.detach()}

    def configure_optimizers(self) -> Any:
        return self.optimisation(self, self.network.parameters_by_origin())
