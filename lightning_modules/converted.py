"""Any segmentation network, trained without clicks, as an interactive method (training-free conversion, BRS, section 3.3)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interseg.errors import InputError
from interseg.inference.predictor import Predictor
from interseg.inference.refine import Refiner
from interseg.inference.zoom import ZoomIn
from interseg.losses import BinaryCrossEntropy
from interseg.networks.converted import Converted
from interseg.views import enlarged
from lightning_modules.base import InteractiveModule, check_loss, require
from lightning_modules.optimisation import Optimisation


class ConvertedNetwork(InteractiveModule):
    """A network with one logit a pixel: its plain training, and its answers corrected by clicks.

    The game starts from the network's own prediction. Without a refiner clicks change nothing.

    Args:
        network: image (B, 3, H, W) to logits (B, 1, H, W); see `Converted`.
        mean: of the channels of the images that the network was trained on; ImageNet's by default.
        std: likewise.
        optimisation: of its plain training.
        long_side: of images in evaluation.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        optimisation: Optimisation | None = None,
        long_side: int | None = None,
    ) -> None:
        super().__init__()
        self.network = Converted(network, mean, std)
        if self.network.classes != 1:
            raise InputError(
                f"the network has {self.network.classes} classes; the loop plays one object against background, several classes "
                "are for interseg.inference.predictor.Predictor"
            )
        self.optimisation, self.long_side = optimisation or Optimisation(), long_side

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """(B, 1, H, W) logits from `image` alone."""
        require(batch, "image", "clicks")
        return enlarged(self.network(self.shown(batch)["image"]), batch["image"].shape[-2:])

    def start(self, batch: dict[str, Any]) -> Tensor:
        """The answer before the first click."""
        return self.segment(batch)

    def predictor(self, refiner: Refiner | None, zoom: ZoomIn | None, flip: bool) -> Predictor:
        """The network with interaction maps, and test-time options."""
        return Predictor(self.network, lambda view: torch.zeros_like(view["image"]), self.long_side, refiner, zoom, flip, click_maps=3)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """One step without clicks."""
        require(batch, "id", "mask")
        logits = self.segment(batch)
        loss = BinaryCrossEntropy()(logits, batch["mask"])
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return {"loss": loss, "logits": logits.detach()}

    def configure_optimizers(self) -> Any:
        return self.optimisation(self, {"network": [p for p in self.network.parameters() if p.requires_grad]})
