"""Segmentation networks trained without clicks as interactive methods (BRS, section 3.3)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from interseg.batches import ClickBatch, require
from interseg.clicks.layout import IGNORE
from interseg.evaluation.class_pixels import ClassPixels
from interseg.evaluation.contributions import Contribution
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.losses import binary_cross_entropy
from interseg.networks.converted import Converted
from interseg.views import resize_logits
from lightning_modules.base import InteractiveModule, check_loss
from lightning_modules.optimisation import Optimisation


class ConvertedNetwork(InteractiveModule):
    """A network with one logit a pixel, or one a class, whose answers are corrected by clicks.

    Its training is plain.

    The game starts from the network's own prediction. Without a refiner clicks change nothing.
    Several classes need masks of classes (`data/class_images.yaml`); a click then says its pixel's
    class.

    Args:
        network: Network from image (B, 3, H, W) to logits (B, K, H, W); see `Converted`.
        mean: Mean of the channels of the images that the network was trained on; ImageNet's by
            default.
        std: Standard deviation of the same channels.
        optimisation: Optimisation of its plain training.
        long_side: Long side of images in evaluation.
        inference: Test-time options.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        optimisation: Optimisation | None = None,
        long_side: int | None = None,
        inference: InferenceOptions | None = None,
    ) -> None:
        super().__init__()
        self.network = Converted(network, mean, std)
        self.outputs = self.network.classes
        self.optimisation, self.long_side = optimisation or Optimisation(), long_side
        self.inference = inference or InferenceOptions()

    @property
    def contributions(self) -> list[Contribution]:
        """Figures of refinement, and of the pixels of several classes."""
        classes: list[Contribution] = [ClassPixels(self.outputs)] if self.outputs > 1 else []
        return [*super().contributions, *classes]

    def segment(self, batch: ClickBatch) -> Tensor:
        """Give logits (B, K, H, W) from `image` alone."""
        require(batch, "image", "clicks")
        return resize_logits(self.network(self.shown(batch)["image"]), batch["image"].shape[-2:])

    def start(self, batch: ClickBatch) -> Tensor:
        """Give the answer before the first click."""
        return self.segment(batch)

    def predictor(self) -> Predictor:
        """Make what answers with interaction maps and the test-time options."""
        return Predictor(self.network, no_maps, self.long_side, self.inference, click_maps=3)

    def training_step(self, batch: ClickBatch, batch_idx: int) -> dict[str, Tensor]:
        """Make one step without clicks."""
        require(batch, "id", "mask")
        logits = self.segment(batch)
        loss = plain_loss(logits, batch["mask"])
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return {"loss": loss, "logits": logits.detach()}

    def configure_optimizers(self) -> Any:
        return self.optimisation(
            self, {"network": [p for p in self.network.parameters() if p.requires_grad]}
        )


def no_maps(view: ClickBatch) -> Tensor:
    """Make the interaction maps (B, 3, H, W) that change nothing."""
    return torch.zeros_like(view["image"])


def plain_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Compute the cross-entropy of the object, or of the classes, over valid pixels (B, H, W)."""
    if logits.shape[1] == 1:
        return binary_cross_entropy(logits, mask)
    valid = (mask != IGNORE).sum().clamp_min(1)
    return cross_entropy(logits, mask.long(), ignore_index=IGNORE, reduction="sum") / valid
