"""ITIS: a click network trained on the errors that it made an epoch ago (Mahadevan, Voigtlaender and Leibe, BMVC 2018).

The iteration itself, section 3.2, is in `callbacks/user_loop.py` and `interseg/memory.py`: it needs this step's prediction only.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from interseg.guidance import GaussianGuidance, Guidance, mask_distance
from interseg.losses import BootstrappedCrossEntropy
from interseg.networks.click_network import ClickNetwork
from interseg.predict import Predictor, ZoomIn
from interseg.refine import Refiner
from interseg.views import enlarged, reduced
from lightning_modules.base import InteractiveModule, check_loss, require, warm_cosine


class ITIS(InteractiveModule):
    """A network on photo, click maps and optionally the previous mask, under a bootstrapped loss.

    Args:
        network: reads photo and guidance; 2 guidance channels, 3 with `previous_mask`.
        guidance: encodes the clicks; the paper's Gaussians by default.
        loss: on logits and mask; the paper's worst 25 % by default.
        previous_mask: give the mask before this round as a third channel, as a distance (section 3).
        learning_rate: of the pretrained encoder (Adam).
        decoder_rate: learning rate of the decoder, in multiples of `learning_rate`. The paper starts from a decoder that was
            trained on COCO and VOC and uses 1; a fresh decoder needs more.
        click_rate: likewise of the first convolution's click channels, which start from zero. In a short training a network
            learns to heed clicks as fast as these weights grow: at 10 times the decoder's rate it does so from the start
            (benchmarks/itis_small.md). Null for the decoder's rate.
        schedule: "steps" for the paper's (x 0.1 from epoch 10, x 0.03 from epoch 15), or "cosine" to 0 over the whole run.
        warmup: steps of linear rise at the start.
        weight_decay: decoupled (AdamW) where above 0.
        long_side: in evaluation, images whose long side is larger are reduced to it for the network; clicks and masks stay in
            the image's own pixels. Null for full size, as in the paper.
    """

    def __init__(
        self,
        network: ClickNetwork,
        guidance: Guidance | None = None,
        loss: nn.Module | None = None,
        previous_mask: bool = False,
        learning_rate: float = 1e-5,
        decoder_rate: float = 1.0,
        click_rate: float | None = None,
        schedule: str = "steps",
        warmup: int = 0,
        weight_decay: float = 0.0,
        long_side: int | None = None,
    ) -> None:
        super().__init__()
        if schedule not in ("steps", "cosine"):
            raise ValueError(f"schedule is {schedule!r}; use steps or cosine")
        if network.guidance_channels != 2 + previous_mask:
            raise ValueError(
                f"the network has {network.guidance_channels} guidance channels, previous_mask={previous_mask} needs {2 + previous_mask}"
            )
        self.network = network
        self.guidance = guidance or GaussianGuidance()
        self.loss = loss or BootstrappedCrossEntropy()
        self.uses_previous_mask = previous_mask
        self.learning_rate, self.decoder_rate = learning_rate, decoder_rate
        self.click_rate = decoder_rate if click_rate is None else click_rate
        self.schedule, self.warmup, self.weight_decay = schedule, warmup, weight_decay
        self.long_side = long_side

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """(B, 1, H, W) logits from `image`, `clicks` and, with the mask channel, `previous`."""
        require(batch, "image", "clicks", *(["previous"] if self.uses_previous_mask else []))
        view = batch if self.training else reduced(batch, self.long_side)
        return enlarged(self.network(view["image"], self._channels(view)), batch["image"].shape[-2:])

    def _channels(self, view: dict[str, Any]) -> Tensor:
        maps = self.guidance(view["clicks"], *view["image"].shape[-2:])
        return torch.cat([maps, mask_distance(view["previous"])], 1) if self.uses_previous_mask else maps

    def predictor(self, refiner: Refiner | None, zoom: ZoomIn | None, flip: bool) -> Predictor:
        """The network with test-time options."""
        return Predictor(self.network, self._channels, self.long_side, refiner, zoom, flip)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """One step on the clicks of the batch; the logits go on to the loop, which takes the next click from them."""
        require(batch, "id", "mask")
        logits = self.segment(batch)
        loss = self.loss(logits, batch["mask"])
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return {"loss": loss, "logits": logits.detach()}

    def configure_optimizers(self) -> Any:
        parts = self.network.parameters_by_origin()
        rates = {"encoder": 1.0, "clicks": self.click_rate, "decoder": self.decoder_rate}
        groups = [{"params": parts[name], "lr": self.learning_rate * rate} for name, rate in rates.items()]
        optimizer: Optimizer = torch.optim.AdamW(groups, weight_decay=self.weight_decay) if self.weight_decay else Adam(groups)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, self._factor), "interval": "step"}}

    def _factor(self, step: int) -> float:
        if self.schedule == "cosine":
            return warm_cosine(step, max(1, int(self.trainer.estimated_stepping_batches)), self.warmup)
        epoch, warm = self.current_epoch, min(1.0, (step + 1) / (self.warmup + 1))
        return warm * (1.0 if epoch < 10 else 0.1 if epoch < 15 else 0.03)
