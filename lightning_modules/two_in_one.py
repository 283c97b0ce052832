"""Two-in-one refinement (Majumder et al., BMVC 2020).

One click selects the object, clicks on its boundary correct it.

The networks are in `interseg/networks/two_in_one_network.py`, their answers in
`interseg/inference/select_refine.py`, the loss in `interseg/losses.py`, the users in
`interseg/clicks/boundary.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from interseg.batches import ClickBatch, require
from interseg.clicks.boundary import RefinementClicks
from interseg.clicks.guidance import GaussianGuidance, Guidance
from interseg.clicks.layout import (
    BOUNDARY,
    REGION,
    check_inside,
    unpad_clicks,
)
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.crops import Crops
from interseg.evaluation.encoding import Encoding
from interseg.inference.predictor import InferenceOptions
from interseg.inference.scene import encode_view
from interseg.inference.segmenter import Answer, State
from interseg.inference.select_refine import SelectAndRefine, is_selection
from interseg.losses import BoundaryAwareCrossEntropy, label_counts
from interseg.networks.guided import encodes_once
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.networks.two_in_one_once import TwoInOneOnceNetwork
from interseg.views import Side, check_side, restore
from lightning_modules.base import InteractiveModule, check_loss, spare, without_gradient
from lightning_modules.optimisation import Optimisation
from lightning_modules.two_in_one_targets import RefinementTargets


class TwoInOne(InteractiveModule):
    """Selection and refinement, trained in two phases of one run, or in two runs.

    Two runs have `selection_epochs` 0 and `network.selection_from` in the second.

    The first click selects: its answer is the selection network's, for the whole image. Later
    clicks refine: the light network is run on the selection's features, cut out once, and all of
    these clicks in one map, whatever they correct; with a network of two guidance channels they are
    positive and negative clicks instead (the paper's control, PNR).

    Args:
        network: Network of selection and refinement. A TwoInOneOnceNetwork encodes each photo once.
        guidance: Encoding of the clicks; the paper's Gaussians with a standard deviation of 10
            pixels by default, cut at 3 of them.
        loss: BA-CE by default.
        selection_epochs: Epochs of the first phase; the paper's 80.
        threshold: Probability by the selection above which every pixel lies in the crop; without
            one the crop is the whole image.
        padding: Padding of the crop in pixels as the network sees them; the paper plots recall
            against it and does not say what it took. A crop grows to hold clicks that lie beyond
            it.
        selected: (low, high) IoU of the selections that the refinement is trained on.
        emphasis: Weight of the loss within a square of `emphasis_side` pixels round each refinement
            click.
        emphasis_side: Side of the square in pixels.
        perturbation: Perturbation of training's boundary clicks, in pixels.
        optimisation: Optimisation, with rates for "encoder", "clicks", "decoder", "refinement" and
            "refinement_clicks". The paper's 1e-8 is for a loss that is summed over pixels: for the
            mean over 512 x 512 of them that is 2.6e-3.
        long_side: Long side of images in evaluation; null for full size, as in the paper; [height,
            width] for that size.
        inference: Test-time options of a network that encodes once: the zoom of a cascade, and
            selections that are averaged with those of the mirrored view.
        cascade: Number of times that a selection is made again, see `SelectAndRefine`; in training
            too. With a zoom, at test time, each sees the box round the selection before, and so
            does the refinement: both then work at a higher resolution, for an encoding each time,
            and one for each click that enlarges the box. Of the zoom, `expansion` and `min_crop`
            count.
        selection_guidance: Encoding of the selection's click, where it is another: weights of ITIS
            know the one that they were trained with.
    """

    def __init__(
        self,
        network: TwoInOneNetwork | TwoInOneOnceNetwork,
        guidance: Guidance | None = None,
        loss: BoundaryAwareCrossEntropy | None = None,
        selection_epochs: int = 80,
        threshold: float = 0.001,
        padding: int = 20,
        selected: tuple[float, float] = (0.2, 0.6),
        emphasis: float = 2.0,
        emphasis_side: int = 40,
        perturbation: float = 10.0,
        optimisation: Optimisation | None = None,
        long_side: Side = None,
        inference: InferenceOptions | None = None,
        cascade: int = 0,
        selection_guidance: Guidance | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        encoding = guidance or GaussianGuidance(std=10, clip=30)
        self.answers = SelectAndRefine(
            network, encoding, threshold, padding, cascade, selection_guidance
        )
        self.long_side = check_side(long_side)
        self.inference = check_options(
            inference or InferenceOptions(), cascade, network, self.long_side
        )
        self.loss = loss or BoundaryAwareCrossEntropy()
        signed = self.answers.signed
        self.kinds = (REGION,) if signed else (REGION, BOUNDARY)
        self.targets = RefinementTargets(
            RefinementClicks(signed, perturbation=perturbation),
            selected,
            emphasis,
            emphasis_side,
        )
        self.selection_epochs = selection_epochs
        self.optimisation = optimisation or Optimisation()
        self._refined = False

    @property
    def contributions(self) -> list[Contribution]:
        """Figures of the crops, and of the time of the encoding where there is one."""
        return [
            Crops(self.network.crop_size),
            *([Encoding()] if encodes_once(self.network) else []),
        ]

    @property
    def iterates(self) -> bool:
        """Whether clicks beyond the first are learned from: not in the first phase."""
        return not self.selects

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute what does not depend on clicks: the view, and what the network makes of it."""
        view = super().encode(images)
        return view | encode_view(self.network, view.get("image", images), self.inference.flip)

    def answer(self, batch: ClickBatch) -> Answer:
        """Answer a round's clicks; the zoom is part of the selection."""
        return self.plain_answer(batch)

    def segment(self, batch: ClickBatch) -> Tensor:
        """Compute logits (B, 1, H, W); the first of `clicks` selects, the others refine."""
        require(batch, "image", "clicks")
        return self._answer(batch, [{} for _ in batch["clicks"]]).logits

    def plain_answer(self, batch: ClickBatch) -> Answer:
        """Answer with the selection as state, so that later clicks run the light part alone."""
        require(batch, "image", "clicks", "states")
        return self._answer(batch, list(batch["states"]))

    def _answer(self, batch: ClickBatch, states: list[State]) -> Answer:
        clicks, full = unpad_clicks(batch["clicks"]), batch["image"].shape[-2:]
        for rows in clicks:
            check_inside(rows, *full)
            # in training small objects vanish from the view, and nothing selects them
            if not self.training or is_selection(rows):
                self.answers.check(rows)
        view = self.shown(batch)
        zoom, flip = (None, False) if self.training else (self.inference.zoom, self.inference.flip)
        new = [i for i, state in enumerate(states) if "features" not in state]
        if new:
            self.answers.select(batch, view, new, states, zoom, flip)
        refined = [i for i, rows in enumerate(clicks) if len(rows) > 1]
        for i in refined:
            states[i] = self.answers.reach(batch, i, states[i], flip)
        answers = torch.stack([state["selection"] for state in states])
        if refined:
            later = [self.answers.refinement_clicks(batch["clicks"][i], states[i]) for i in refined]
            features = torch.stack([states[i]["features"] for i in refined])
            size = view["image"].shape[-2:]
            boxes = [
                self.answers.crop(states[i], rows, size)
                for i, rows in zip(refined, later, strict=True)
            ]
            answers[refined] = self.answers.refine(features, later, boxes, size).to(answers.dtype)
        whole = [
            restore(answer[None], state["shown"], (full[0], full[1]))
            for answer, state in zip(answers, states, strict=True)
        ]
        return Answer(torch.cat(whole), states)

    def training_step(self, batch: ClickBatch, batch_idx: int) -> dict[str, Tensor]:
        """Take a step of the phase that the epoch is in."""
        require(batch, "id", "image", "mask", "clicks", "to_source", "distance")
        logits, loss = self._selection_step(batch) if self.selects else self._refinement_step(batch)
        check_loss(loss, batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(logits))
        return {"loss": loss, "logits": logits.detach()}

    def untrained(self, epoch: int) -> str:
        """Name the refinement before its phase."""
        if epoch >= self.selection_epochs:
            return ""
        return (
            "the refinement, which answers clicks after the first, learns from epoch "
            f"{self.selection_epochs} on"
        )

    @property
    def selects(self) -> bool:
        """Whether training is in its first phase."""
        return self.current_epoch < self.selection_epochs

    def _selection_step(self, batch: ClickBatch) -> tuple[Tensor, Tensor]:
        self._refined = True
        maps = self.answers.selection_map(batch["clicks"], batch["image"].shape[-2:])
        rows = list(range(len(maps)))
        # each is learned from, in steps of a single row too
        passes = [(row + self.global_step) % (self.answers.cascade + 1) for row in rows]
        known = self.answers.arguments_of(batch, rows)
        logits, _ = self.answers.run(batch["image"], maps, known, passes)
        loss = self.loss(
            logits, batch["mask"], batch["distance"], counts=self._counts(batch["mask"])
        )
        return logits, loss + spare(self._idle())

    def _refinement_step(self, batch: ClickBatch) -> tuple[Tensor, Tensor]:
        """Refine the selections that are trained on; the loss counts within their crops."""
        size = batch["image"].shape[-2:]
        for part in (self.network.encoder, self.network.selection):
            part.eval()
        states: list[State] = list(batch.get("states", [{} for _ in batch["clicks"]]))
        new = [i for i, state in enumerate(states) if "features" not in state]
        with torch.no_grad():
            if new:
                self.answers.select(batch, batch, new, states)
        logits, features = (
            torch.stack([state[key] for state in states]) for key in ("selection", "features")
        )
        chosen = self.targets.choose(
            (logits[:, 0] > 0).cpu().numpy(),
            batch,
            lambda row, clicks: self.answers.crop(states[row], clicks, size),
            (self._seed, self.current_epoch),
        )
        rows = [o.row for o in chosen]
        refined = logits[:0]
        if rows:
            clicks, boxes = [o.clicks for o in chosen], [o.box for o in chosen]
            refined = self.answers.refine(features[rows], clicks, boxes, size)
        mask, weight = self.targets.targets(chosen, batch["mask"])
        counts = self._counts(mask)
        self._refined |= bool(counts.sum() > 0)
        loss = (
            self.loss(refined, mask, batch["distance"][rows], weight.to(refined), counts)
            if rows
            else logits.sum() * 0
        )
        self.log("train/refined", float(len(rows)), batch_size=len(logits))
        logits[rows] = refined.detach().to(logits.dtype)
        return logits, loss + spare(self.network.parameters())

    def _counts(self, mask: Tensor) -> Tensor:
        """Count the pixels of each label that a process has on average."""
        return self.trainer.strategy.reduce(label_counts(mask), reduce_op="mean")

    def _idle(self) -> list[torch.nn.Parameter]:
        """Return the weights that the phase leaves alone."""
        parts = self.network.parameters_by_origin()
        return [
            p
            for name in parts
            if name.startswith("refinement") == self.selects
            for p in parts[name]
        ]

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Remove the gradients of the other phase's network.

        The refinement is trained only in steps that refine something.
        """
        without_gradient(self._idle())
        if not self._refined:
            without_gradient(self.network.refinement.parameters())
        self._refined = False

    def configure_optimizers(self) -> Any:
        return self.optimisation(self, self.network.parameters_by_origin())


def check_options(
    options: InferenceOptions, cascade: int, network: nn.Module, long_side: Side
) -> InferenceOptions:
    """Return the test-time options; raises `InputError` for those that two-in-one does not know."""
    if options.refiner is not None:
        raise InputError("TwoInOne has no click network: leave refiner out")
    if options.cascade:
        raise InputError("a cascade of TwoInOne is its own option, model.cascade: leave it out")
    if not options.plain and not encodes_once(network):
        raise InputError(
            f"{type(network).__name__} has no click network: leave zoom and flip out, which are of "
            "two-in-one on a network that encodes once (configs/two_in_one/once.yaml)"
        )
    if options.zoom and (not cascade or options.zoom.skip_clicks):
        raise InputError(
            f"zoom with model.cascade={cascade}, zoom.skip_clicks={options.zoom.skip_clicks}; "
            "two-in-one's first click selects, and again in a box: give model.cascade=1 --config "
            "zoom.yaml zoom.skip_clicks=0"
        )
    if options.zoom and (long_side is None or isinstance(long_side, int)):
        raise InputError(
            f"zoom with model.long_side={long_side}; two-in-one's boxes have the size of its "
            "views: give model.long_side=[448,448]"
        )
    return options
