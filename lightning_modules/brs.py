"""BRS: a click network whose clicked pixels get their labels by backpropagation at test time (Jang and Kim, CVPR 2019).

The refinement itself, section 3.2, is in `interseg/refine.py`; the network in `interseg/networks/brs_network.py`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from interseg.errors import InputError
from interseg.guidance import DistanceGuidance, Guidance
from interseg.losses import BinaryCrossEntropy
from interseg.networks.brs_network import BRSNetwork
from interseg.predict import Predictor, ZoomIn
from interseg.refine import Refiner
from interseg.views import enlarged, reduced
from lightning_modules.base import InteractiveModule, check_loss, require, warm_cosine


class BRS(InteractiveModule):
    """The paper's network and its training in two phases of one run: without the fine decoder, then with it.

    The phase depends on the epoch alone, so that a run resumes in either.

    Args:
        network: coarse and fine decoder over an encoder.
        guidance: encodes the clicks; truncated distances, 1 at a click, by default.
        coarse_epochs: of the first phase; the paper's 20 of 35.
        optimizer: "sgd" with momentum 0.9, or "adamw".
        learning_rate: of the encoder. The paper gives 1e-9, and 1e-7 for the decoders, in Caffe's scale, whose loss is the sum over
            pixels: for the mean over 360 x 360 pixels that is 1.3e-4, and 1.3e-2.
        decoder_rate: learning rate of the decoders, in multiples of `learning_rate`.
        click_rate: likewise of the interaction maps' first convolution, which starts from zero; null for the decoders'.
        schedule: "constant" as in the paper, or "cosine" to 0 over the whole run.
        warmup: steps of linear rise at the start (cosine).
        weight_decay: of all weights.
        long_side: in evaluation, larger images are reduced to it for the network. Null for full size, as in the paper.
    """

    def __init__(
        self,
        network: BRSNetwork,
        guidance: Guidance | None = None,
        coarse_epochs: int = 20,
        optimizer: str = "sgd",
        learning_rate: float = 1.3e-4,
        decoder_rate: float = 100.0,
        click_rate: float | None = None,
        schedule: str = "constant",
        warmup: int = 0,
        weight_decay: float = 0.0,
        long_side: int | None = None,
    ) -> None:
        super().__init__()
        if optimizer not in ("sgd", "adamw") or schedule not in ("constant", "cosine"):
            raise InputError(f"optimizer={optimizer!r}, schedule={schedule!r}; use sgd or adamw, and constant or cosine")
        self.network = network
        self.guidance = guidance or DistanceGuidance(inverse=True)
        self.loss = BinaryCrossEntropy()
        self.coarse_epochs, self.optimizer, self.schedule, self.warmup = coarse_epochs, optimizer, schedule, warmup
        self.learning_rate, self.decoder_rate, self.weight_decay = learning_rate, decoder_rate, weight_decay
        self.click_rate = decoder_rate if click_rate is None else click_rate
        self.long_side = long_side

    @property
    def with_fine(self) -> bool:
        """Whether training is in its second phase."""
        return self.current_epoch >= self.coarse_epochs

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """(B, 1, H, W) logits from `image` and `clicks`: the forward pass alone."""
        require(batch, "image", "clicks")
        view = batch if self.training else reduced(batch, self.long_side)
        return enlarged(self.network(view["image"], self._maps(view)), batch["image"].shape[-2:])

    def _maps(self, view: dict[str, Any]) -> Tensor:
        return self.guidance(view["clicks"], *view["image"].shape[-2:])

    def predictor(self, refiner: Refiner | None, zoom: ZoomIn | None, flip: bool) -> Predictor:
        """The network with test-time options, BRS among them."""
        return Predictor(self.network, self._maps, self.long_side, refiner, zoom, flip)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Cross-entropy of the coarse output, and from the second phase on of the fine output too."""
        require(batch, "id", "image", "mask", "clicks")
        coarse, fine = self.network.both(batch["image"], self._maps(batch), self.with_fine)
        loss = self.loss(coarse, batch["mask"])
        self.log("train/coarse_loss", loss, batch_size=len(coarse))
        if fine is not None:
            fine_loss = self.loss(fine, batch["mask"])
            self.log("train/fine_loss", fine_loss, batch_size=len(coarse))
            loss = loss + fine_loss
        else:  # several processes wait for every parameter's gradient
            loss = loss + 0 * sum(p.sum() for p in self.network.fine.parameters())
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(coarse))
        return {"loss": loss, "logits": (coarse if fine is None else fine).detach()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """In the first phase the optimiser passes the fine decoder over: Adam would count its steps."""
        if not self.with_fine:
            for parameter in self.network.fine.parameters():
                parameter.grad = None

    def configure_optimizers(self) -> Any:
        parts = self.network.parameters_by_origin()
        rates = {"encoder": 1.0, "clicks": self.click_rate, "decoder": self.decoder_rate, "fine": self.decoder_rate}
        groups = [{"params": parts[name], "lr": self.learning_rate * rate} for name, rate in rates.items()]
        optimizer: Optimizer
        if self.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.AdamW(groups, weight_decay=self.weight_decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, self._factor), "interval": "step"}}

    def _factor(self, step: int) -> float:
        if self.schedule == "constant":
            return 1.0
        return warm_cosine(step, max(1, int(self.trainer.estimated_stepping_batches)), self.warmup)
