"""Base of the methods that learn from a stream of tasks.

They pretrain, propagate a user's annotations and learn from these. A batch of a stream is one round
of one task (`interseg.batches.TaskBatch`): the annotation loop calls `begin_round`, lets the user
annotate, and the training step learns. Every process learns every task alike; evaluation images are
shared out (callbacks/transfer.py).
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from interseg.batches import TaskBatch, require
from interseg.checkpoints import read_checkpoint
from interseg.clicks.layout import IGNORE
from interseg.continual.propagation import lab, propagate, similarity
from interseg.continual.stream import Prediction, TaskMethod, TaskStream, learn_round
from interseg.errors import InputError
from lightning_modules.base import (
    InteractiveModule,
    check_loss,
    protocol_of,
    seed_of,
    update,
)
from lightning_modules.optimisation import Optimisation


class Propagation:
    """Settings of `interseg.continual.propagation.propagate`.

    Args:
        weight: Weight of annotated pixels, lambda of eq. 14.
        pair_weight: Weight of all pairs of neighbours; the paper's energy weighs them as it weighs
            pixels, which spreads annotations less well (benchmarks/propagation.md).
        contrast: Rate at which a pair's weight falls with its colours' distance.
    """

    def __init__(
        self, weight: float = 1000.0, pair_weight: float = 10.0, contrast: float = 100.0
    ) -> None:
        self.weight, self.pair_weight, self.contrast = weight, pair_weight, contrast

    def __call__(self, image: Tensor, probabilities: Tensor, annotation: Tensor) -> Tensor:
        """Propagate an annotation (H, W) over an image.

        Returns probabilities (C, H, W) that follow from the image (3, H, W), the network's
        (C, H, W) and the annotation.
        """
        pixels = (image.movedim(0, -1) * 255).round().byte().cpu().numpy()
        pairs = similarity(torch.from_numpy(lab(pixels)).to(image.device), self.contrast)
        return propagate(
            probabilities, annotation, [self.pair_weight * w for w in pairs], self.weight
        )


class TaskLearner(InteractiveModule, TaskMethod):
    """Base of the learners; a subclass has its predictions and losses, and begins and ends tasks.

    Args:
        network: Network from image (B, 3, H, W) to logits (B, C, H, W).
        pretrained: Checkpoint of a pretraining, from which every sequence starts; None to pretrain.
        steps: Steps of learning a round. More teach CLIS more and it keeps less, at the price of
            its user's time (benchmarks/clis.md).
        annotated_weight: Weight of annotated pixels in the loss of eq. 15; 10 in the official code.
        targets: "hard": the most probable classes after the propagation are learned; "soft": their
            probabilities, as in the official code, after which a network is less sure, and the next
            round's annotations spread further than they should (benchmarks/clis.md).
        propagation: Propagation of annotations.
        optimisation: Optimisation of pretraining, and without its schedule and warm-up of tasks,
            whose optimiser starts afresh every round.
        task_rate: Learning rate of tasks; None for that of `optimisation`.
    """

    phases: tuple[str, ...] = ("all",)
    """Parts of the network that a round learns one after the other, each for all steps."""

    def __init__(
        self,
        network: nn.Module,
        pretrained: str | None = None,
        steps: int = 20,
        annotated_weight: float = 10.0,
        targets: str = "hard",
        propagation: Propagation | None = None,
        optimisation: Optimisation | None = None,
        task_rate: float | None = None,
    ) -> None:
        super().__init__()
        if targets not in ("hard", "soft"):
            raise InputError(f"targets is {targets!r}; use hard or soft")
        self.automatic_optimization = False
        self.answers_clicks = False
        self.network = network
        self.pretrained, self.steps, self.annotated_weight = pretrained, steps, annotated_weight
        self.targets = targets
        self.propagation = propagation or Propagation()
        self.optimisation, self.task_rate = optimisation or Optimisation(), task_rate
        self._built: dict[str, Tensor] = {}
        self.beginning: dict[str, Tensor] = {}
        """State that every sequence starts from; made of `pretrained` when a fit begins."""
        self.prepared: dict[str, Tensor] | None = None
        """The same, where it was made by an earlier fit."""
        self._answered: Prediction | None = None
        self.phase = self.phases[0]

    def predict(self, batch: TaskBatch, task: int | None = None) -> Prediction:
        """Answer images of a finished task, or of another one; see `RoundMethod`."""
        raise NotImplementedError

    def predict_current(self, images: Tensor) -> Prediction:
        """Answer images (B, 3, H, W) of the task in progress."""
        raise NotImplementedError

    def loss(self, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss of a step.

        Its images are (B, 3, H, W), targets (B, H, W) or (B, C, H, W), see `targets`, and
        weights of pixels (B, H, W).
        """
        raise NotImplementedError

    def pretraining_loss(self, batch: TaskBatch) -> Tensor:
        """Compute the loss of a step of pretraining."""
        raise NotImplementedError

    def prepare(self, data: TaskStream) -> None:
        """Prepare once for the first sequence, on the pretraining's images."""

    def begin(self, batch: TaskBatch) -> None:
        """Begin a task, before its images are answered for the first time."""

    def updates(self, batch: TaskBatch) -> int:
        """Count the updates of a round, none where nothing was annotated.

        A subclass adds those after a task.
        """
        return self.steps * len(self.phases) if bool(batch["new"].any()) else 0

    def place(self, images: Tensor) -> Tensor:
        """Move images to the device and into the precision of the weights."""
        return images.to(next(self.parameters()))

    def segment(self, batch: Any) -> Tensor:
        """Compute the logarithms (B, C, H, W) of the probabilities."""
        require(batch, "image")
        return self.predict(batch).probabilities.clamp_min(1e-8).log()

    def setup(self, stage: str) -> None:
        """Keep what was built, before a resumed run's checkpoint is loaded."""
        self._built = copy_state(self.state_dict())
        self._answered = None

    def on_fit_start(self) -> None:
        """Make the state that every sequence starts from.

        A resumed run keeps what it has learned until its next sequence.
        """
        super().on_fit_start()
        kind = protocol_of(self).kind
        if (self.pretrained is None) != (kind == "offline"):
            raise InputError(
                f"protocol.kind is {kind!r} and model.pretrained is {self.pretrained!r}: pretrain "
                "offline without a checkpoint, learn a sequence from one"
            )
        if self.pretrained is None:
            return
        learned = copy_state(self.state_dict())
        start = self.prepared
        if start is None:
            self.load_state_dict(self._built)
            self.load_pretrained(self.pretrained)
            torch.manual_seed(self._seed)
            self.prepare(self.trainer.datamodule)  # type: ignore[attr-defined]
            start = copy_state(self.state_dict())
        # on GPUs ranks' sums differ in their last digits; pickled, a tensor comes to the first GPU
        self.beginning = self.trainer.strategy.broadcast(
            {key: value.cpu() for key, value in start.items()}
        )
        self.load_state_dict(learned)

    def load_pretrained(self, file: str) -> None:
        """Load a pretraining's state; raise `InputError` for another network's checkpoint."""
        state = self.pretrained_state(read_checkpoint(file)["state_dict"])
        own, learned = self.state_dict(), dict(self.named_parameters())
        wrong = [key for key in state if key not in own]
        wrong += [key for key in learned if key not in state or state[key].shape != own[key].shape]
        if wrong:
            raise InputError(
                f"pretrained: {file} does not fit, {wrong[0]} is missing or of another size; "
                "pretrain this network"
            )
        self.load_state_dict(state, strict=False)

    def pretrained_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Read a pretraining's state as this learner's."""
        return {key: value for key, value in state.items() if not key.startswith("consolidation.")}

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed torch in pretraining; in a stream the annotation loop has called `begin_round`."""
        if "task" not in batch:
            super().on_train_batch_start(batch, batch_idx)
        else:
            require(batch, "annotation", "new", "probabilities")

    def begin_round(self, batch: TaskBatch) -> Prediction:
        """Answer a task's images before a round; a sequence starts from the pretraining.

        A later round begins with the answer that the one before it ended with, if that was in this
        process.
        """
        with torch.autocast(self.device.type, enabled=False):
            if batch["round"] == 0:
                if batch["task"] == 0:
                    self.load_state_dict(self.beginning)
                self.begin(batch)
            answer = self._answered if batch["round"] and self._answered else self._answer(batch)
        torch.manual_seed(seed_of(self._seed, batch["sequence"], batch["task"], batch["round"]))
        return answer

    def _answer(self, batch: TaskBatch) -> Prediction:
        """Answer a task's images in full precision, by the same draws before and after a round.

        So a difference is what was learned.
        """
        torch.manual_seed(seed_of(self._seed, batch["sequence"], batch["task"]))
        self.eval()
        with torch.autocast(self.device.type, enabled=False):
            answer = self.predict_current(batch["image"])
        self.train()
        return answer

    def training_step(self, batch: TaskBatch, batch_idx: int) -> dict[str, Tensor]:
        """Take a step of pretraining, or all steps of a round.

        A round gives the refined answer (`probabilities`, `uncertainty`, `epistemic`) and the
        labels that were learned (`propagated`).
        """
        require(batch, "id", "image", "mask")
        if "task" not in batch:
            return self._pretrain(batch)
        learn_round(self, batch)
        self._answered = self._answer(batch)
        return self._answered._asdict() | {"propagated": batch["propagated"]}

    def _pretrain(self, batch: TaskBatch) -> dict[str, Tensor]:
        loss = self.pretraining_loss(batch)
        check_loss(loss, batch)
        update(self, loss)
        self.lr_schedulers().step()  # type: ignore[union-attr]
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["id"]))
        return {"loss": loss.detach()}

    def learn(self, batch: TaskBatch) -> None:
        """Propagate the annotations, and learn what follows where something of them is new."""
        rows = zip(batch["image"], batch["probabilities"], batch["annotation"], strict=True)
        propagated = torch.stack([self.propagation(*row) for row in rows])
        batch["propagated"] = propagated.argmax(1)
        batch["target"] = propagated if self.targets == "soft" else batch["propagated"]
        if bool(batch["new"].any()):
            for phase in self.phases:
                self.phase = phase
                self.take_steps(batch, self.steps)

    def take_steps(self, batch: TaskBatch, steps: int) -> None:
        """Take steps on a round's targets.

        The optimiser starts afresh, and leaves no state for a checkpoint.
        """
        weights = torch.where(batch["annotation"] != IGNORE, self.annotated_weight, 1.0)
        for _ in range(steps):
            loss = self.loss(batch["image"], batch["target"], weights)
            check_loss(loss, batch)
            update(self, loss)
        self.optimizers().optimizer.state.clear()  # type: ignore[union-attr]
        if steps:
            self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["id"]))

    @property
    def current_optimisation(self) -> Optimisation:
        """Optimisation of this run: the pretraining's, or that of tasks.

        Schedule and warm-up are the pretraining's: a task's few steps have one rate.
        """
        if self.pretrained is None:
            return self.optimisation
        rate = self.optimisation.learning_rate if self.task_rate is None else self.task_rate
        flat = replace(self.optimisation, schedule="constant", warmup=0, milestones={}, anew=())
        return replace(flat, learning_rate=rate)

    def configure_optimizers(self) -> Any:
        learned = [p for p in self.parameters() if p.requires_grad]
        return self.current_optimisation(self, {"network": learned})


def copy_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy a state dict; no learning changes the copy."""
    return {key: value.clone() for key, value in state.items()}
