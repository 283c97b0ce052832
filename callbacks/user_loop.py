"""The interaction: a simulated user and a network take turns.

In training the user clicks once an epoch on each object, from the training step's own prediction
(ITIS, section 3.2), so that iteration costs no forward pass; or before the step, in inner rounds
(RITM). In evaluation all rounds are played in lock-step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.inner_rounds import number_of_rounds, play_inner_rounds
from interseg.batches import ClickBatch
from interseg.clicks.layout import (
    IGNORE,
    Click,
    Clicks,
    clicks_of,
    pad_clicks,
    to_source,
    to_view,
    unpad_clicks,
)
from interseg.clicks.memory import ClickMemory, Delta, StoredMask
from interseg.clicks.users import ItisUser, RitmUser, User
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution, outcome_of
from interseg.evaluation.game import Game, play
from interseg.inference.history import logit_of
from interseg.inference.segmenter import Plain
from interseg.inference.session import open_sessions

RESETS = 4
"""Word that sets the draws of resets apart from others of the same seed, epoch and object."""


class UserLoop(Callback):
    """Fills in a batch's clicks: from the memory in training, by playing the rounds in evaluation.

    Args:
        train_user: User who clicks in training; ITIS' rule by default, `DeepUser` is RITM's.
        user: User who clicks in evaluation; the field's default rule (RITM) by default.
        iterative: Whether to add a click an epoch from the object's own errors; False trains on
            fresh initial clicks only (iFCN).
        reset_probability: Probability to reset an object's clicks and mask at the beginning of an
            epoch.
        inner_rounds: Most clicks that a training step adds before it learns; each step draws a
            number from 0 on (RITM: 3).
        max_clicks: Number of rounds of evaluation.
        targets: IoUs of the evaluation; an object leaves it once it reaches the highest.
        full_curves: Whether to play every round of every object instead.
        threshold: Threshold on the probability, of a pixel to be object.
        seed: Seed of resets and of users that draw.
    """

    def __init__(
        self,
        train_user: User | None = None,
        user: User | None = None,
        iterative: bool = True,
        reset_probability: float = 0.3,
        max_clicks: int = 20,
        targets: Sequence[float] = (0.8, 0.85, 0.9),
        full_curves: bool = False,
        threshold: float = 0.5,
        seed: int = 0,
        inner_rounds: int = 0,
    ) -> None:
        if inner_rounds < 0:
            raise InputError(
                f"inner_rounds is {inner_rounds}; it is the most clicks that a step adds, "
                "0 for none"
            )
        self.train_user, self.user = train_user or ItisUser(), user or RitmUser()
        self.iterative, self.reset_probability = iterative, reset_probability
        self.max_clicks, self.target = max_clicks, None if full_curves else max(targets)
        self.seed = seed
        self.threshold, self.logit_threshold = threshold, logit_of(threshold)
        self.inner_rounds = inner_rounds
        self.memory = ClickMemory()
        self._delta, self._known = Delta(), [0]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, batch_idx: int
    ) -> None:
        """Take each object's clicks from the memory, and its last mask where the method uses it.

        Objects that are reset, not in the memory yet, or out of view begin with the loader's
        initial clicks.
        """
        check_classes(batch, getattr(pl_module, "outputs", 1))
        self._delta = Delta()
        coordinates = batch["to_source"].cpu().numpy()
        if self.iterative:
            clicks = [
                self._recall(*row, trainer.current_epoch)
                for row in zip(
                    batch["id"].tolist(), unpad_clicks(batch["clicks"]), coordinates, strict=True
                )
            ]
            batch["clicks"] = pad_clicks(clicks).to(batch["clicks"])
        if getattr(pl_module, "uses_previous_mask", False):
            masks = [
                self._recall_mask(id, view)
                for id, view in zip(batch["id"].tolist(), coordinates, strict=True)
            ]
            batch["previous"] = torch.from_numpy(np.stack(masks)).to(batch["clicks"].device)
        self._known = [len(clicks) for clicks in unpad_clicks(batch["clicks"])]
        if self.inner_rounds and pl_module.iterates:
            rounds, seed = (
                number_of_rounds(self.inner_rounds, self.seed, trainer.global_step),
                (self.seed, trainer.current_epoch),
            )
            with trainer.precision_plugin.forward_context():
                play_inner_rounds(
                    pl_module, batch, self.train_user, rounds, seed, self.logit_threshold
                )

    def _recall(
        self, id: int, initial: Clicks, coordinates: NDArray[np.int16], epoch: int
    ) -> Clicks:
        generator = np.random.default_rng((self.seed, epoch, id, RESETS))
        if id in self.memory and generator.random() >= self.reset_probability:
            clicks = to_view(self.memory.clicks(id), coordinates)
            if (clicks[:, 2] == 1).any():
                return clicks
        self._delta.restarts[id] = to_source(initial, coordinates)
        return initial

    def _recall_mask(self, id: int, coordinates: NDArray[np.int16]) -> NDArray[np.bool_]:
        stored = None if id in self._delta.restarts else self.memory.mask(id)
        return (
            np.zeros(coordinates.shape[:2], bool) if stored is None else stored.in_view(coordinates)
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: ClickBatch,
        batch_idx: int,
    ) -> None:
        """Take the next click of every object from the step's own prediction.

        Changes are shared with all ranks.
        """
        if not self.iterative:
            return
        predictions = [*(outputs["logits"][:, 0] > self.logit_threshold).cpu().numpy()]
        ids, masks = batch["id"].tolist(), [*batch["mask"].cpu().numpy()]
        coordinates = batch["to_source"].cpu().numpy()
        generators = [
            np.random.default_rng((self.seed, trainer.current_epoch, id, 1)) for id in ids
        ]
        given = unpad_clicks(batch["clicks"])
        clicks = self.train_user.next_clicks(predictions, masks, given, generators)
        for i, (id, click, prediction, view) in enumerate(
            zip(ids, clicks, predictions, coordinates, strict=True)
        ):
            made = np.concatenate(
                [given[i][self._known[i] :], clicks_of([] if click is None else [click])]
            )
            self._delta.added[id] = [Click(*row) for row in to_source(made, view).tolist()]
            if getattr(pl_module, "uses_previous_mask", False):
                self._delta.masks[id] = StoredMask.from_view(prediction, view)
        self.memory.apply(from_all_ranks(self._delta))

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, *_: Any
    ) -> None:
        """Play the batch."""
        self._play(trainer, pl_module, batch)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, *_: Any
    ) -> None:
        """Play the batch."""
        self._play(trainer, pl_module, batch)

    def _play(self, trainer: Trainer, module: LightningModule, batch: ClickBatch) -> None:
        with (
            trainer.precision_plugin.forward_context()
        ):  # Lightning enters it for steps, not for hooks
            self.play(module, batch)

    def play(self, module: Any, batch: ClickBatch) -> None:
        """Play all rounds of a batch in lock-step; an object leaves at its target.

        The result is the batch's `outcome`.

        Raises `InputError` for a user who clicks outside the image.
        """
        if not len(batch["id"]):
            return
        segmenter = module if hasattr(module, "answer") else Plain(module)
        check_classes(batch, getattr(segmenter, "outputs", 1))
        starts = [*batch["previous"].cpu().numpy()] if "previous" in batch else None
        ids = batch["id"].tolist()
        sessions = open_sessions(
            segmenter, batch["image"], ids, starts, self.threshold, undoable=False
        )
        games = [
            Game(session, truth, self.user, self.max_clicks, self.seed, self.target)
            for session, truth in zip(sessions, batch["mask"].cpu().numpy(), strict=True)
        ]
        play(games)
        own: Sequence[Contribution] = getattr(module, "contributions", ())
        outcomes = [outcome_of(game, own) for game in games]
        batch["outcome"] = {
            key: torch.stack([outcome[key] for outcome in outcomes]) for key in outcomes[0]
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the memory."""
        return self.memory.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the memory."""
        self.memory.load_state_dict(state_dict)


def check_classes(batch: ClickBatch, outputs: int) -> None:
    """Raise `InputError` for masks with a class that a network of so many logits a pixel lacks."""
    if not len(batch["id"]):
        return
    known = max(2, outputs)
    labels = torch.where(batch["mask"] == IGNORE, 0, batch["mask"]).flatten(1).amax(1)
    most = int(labels.max())  # one look at the device
    if most >= known:
        id = int(batch["id"][int(labels.argmax())])
        raise InputError(
            f"the mask of object {id} has class {most}, and the network tells {known} apart, "
            f"0 to {known - 1}; give as many to the network (convert.yaml: "
            "model.network.classes), or masks of objects"
        )
