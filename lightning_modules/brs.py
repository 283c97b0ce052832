"""BRS: a click network with backpropagating refinement (Jang and Kim, CVPR 2019).

Clicked pixels get their labels by backpropagation at test time.

The refinement itself, section 3.2, is in `interseg/inference/refine.py`; the network in
`interseg/networks/brs_network.py`.
"""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from interseg.batches import ClickBatch, require
from interseg.clicks.guidance import DistanceGuidance, Guidance
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.losses import BinaryCrossEntropy
from interseg.networks.brs_network import BRSNetwork
from interseg.views import resize_logits
from lightning_modules.base import InteractiveModule, check_loss, spare, without_gradient
from lightning_modules.optimisation import Optimisation


class BRS(InteractiveModule):
    """The paper's network, trained in two phases of one run: without the fine decoder, then with.

    The phase depends on the epoch alone, so that a run resumes in either.

    Args:
        network: Network of coarse and fine decoder over an encoder.
        guidance: Encoding of the clicks; truncated distances, 1 at a click, by default.
        coarse_epochs: Epochs of the first phase; the paper's 20 of 35.
        optimisation: Optimisation, with rates for "decoder", "fine" and "clicks", the interaction
            maps' first convolution. The paper gives 1e-9, and 1e-7 for the decoders, in Caffe's
            scale, whose loss is the sum over pixels: for the mean over 360 x 360 pixels that is
            1.3e-4, and 1.3e-2.
        long_side: Long side of images in evaluation; null for full size, as in the paper.
        inference: Test-time options.
    """

    def __init__(
        self,
        network: BRSNetwork,
        guidance: Guidance | None = None,
        coarse_epochs: int = 20,
        optimisation: Optimisation | None = None,
        long_side: int | None = None,
        inference: InferenceOptions | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.guidance = guidance or DistanceGuidance(inverse=True)
        self.loss = BinaryCrossEntropy()
        self.coarse_epochs = coarse_epochs
        self.optimisation = optimisation or Optimisation()
        self.long_side, self.inference = long_side, inference or InferenceOptions()

    @property
    def with_fine(self) -> bool:
        """Whether training is in its second phase."""
        return self.current_epoch >= self.coarse_epochs

    def untrained(self, epoch: int) -> str:
        """Name the fine decoder before its phase."""
        if self.network.output == "coarse" or epoch >= self.coarse_epochs:
            return ""
        return (
            f"the fine decoder learns from epoch {self.coarse_epochs} on; "
            "model.network.output=coarse answers without it"
        )

    def segment(self, batch: ClickBatch) -> Tensor:
        """Compute logits (B, 1, H, W) from `image` and `clicks`, by the forward pass alone."""
        require(batch, "image", "clicks")
        view = self.shown(batch)
        return resize_logits(
            self.network(view["image"], self._maps(view)), batch["image"].shape[-2:]
        )

    def _maps(self, view: ClickBatch) -> Tensor:
        return self.guidance(view["clicks"], *view["image"].shape[-2:])

    def predictor(self) -> Predictor:
        """Make what answers with the test-time options, BRS among them."""
        return Predictor(self.network, self._maps, self.long_side, self.inference)

    def training_step(self, batch: ClickBatch, batch_idx: int) -> dict[str, Tensor]:
        """Compute the cross-entropy of the coarse output, and later of the fine one too.

        The fine output counts from the second phase on.
        """
        require(batch, "id", "image", "mask", "clicks")
        coarse, fine = self.network.both(batch["image"], self._maps(batch), self.with_fine)
        loss = self.loss(coarse, batch["mask"])
        self.log("train/coarse_loss", loss, batch_size=len(coarse))
        if fine is not None:
            fine_loss = self.loss(fine, batch["mask"])
            self.log("train/fine_loss", fine_loss, batch_size=len(coarse))
            loss = loss + fine_loss
        else:
            loss = loss + spare(self.network.fine.parameters())
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(coarse))
        return {"loss": loss, "logits": (coarse if fine is None else fine).detach()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Let the fine decoder wait for its phase."""
        if not self.with_fine:
            without_gradient(self.network.fine.parameters())

    def configure_optimizers(self) -> Any:
        return self.optimisation(self, self.network.parameters_by_origin())
