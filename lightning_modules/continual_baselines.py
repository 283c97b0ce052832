"""Baselines of CLIS, under the same user, propagation and budget.

Five: without updates (`steps: 0`), naive fine-tuning, LwF, EWC and PackNet; `consolidation` chooses
among the last four.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.consolidation import EWC, Consolidation, PackNet
from interseg.continual.stream import Prediction, TaskStream
from interseg.continual.uncertainty import entropy
from interseg.errors import InputError
from interseg.losses import weighted_cross_entropy
from lightning_modules.optimisation import Optimisation, check_decay
from lightning_modules.task_learner import Propagation, TaskLearner

PRETRAINED_IMAGES = 16
"""Number of images of the pretraining from which EWC learns what it needs."""


class ContinualBaseline(TaskLearner):
    """A plain network that learns from propagated annotations, and what keeps it from forgetting.

    Its uncertainty is the entropy of its softmax.

    Args:
        network: Network from image (B, 3, H, W) to logits (B, C, H, W); any.
        consolidation: Consolidation of the network; naive fine-tuning by default.
        relearn: Share of `steps` that PackNet learns a task longer after pruning.
        relearn_pretraining: Number of steps that it learns the pretraining longer after pruning.
        pretrained: See `TaskLearner`, as the others.
    """

    def __init__(
        self,
        network: nn.Module,
        consolidation: Consolidation | None = None,
        relearn: float = 0.5,
        relearn_pretraining: int = 100,
        pretrained: str | None = None,
        steps: int = 20,
        annotated_weight: float = 10.0,
        targets: str = "hard",
        propagation: Propagation | None = None,
        optimisation: Optimisation | None = None,
        task_rate: float | None = None,
    ) -> None:
        super().__init__(
            network,
            pretrained,
            steps,
            annotated_weight,
            targets,
            propagation,
            optimisation,
            task_rate,
        )
        self.consolidation = consolidation or Consolidation()
        self.consolidation.attach(network)
        self.relearn, self.relearn_pretraining = relearn, relearn_pretraining

    @torch.no_grad()
    def predict(self, batch: TaskBatch, task: int | None = None) -> Prediction:
        """Compute the softmax and its entropy; PackNet's as of the task."""
        with self.as_of(task):
            return self.predict_current(self.place(batch["image"]))

    @torch.no_grad()
    def predict_current(self, images: Tensor) -> Prediction:
        """Compute the softmax of the network as it is, and its entropy."""
        probabilities = self.network(images).softmax(1)
        unsure = entropy(probabilities)
        return Prediction(probabilities, unsure, torch.zeros_like(unsure))

    def as_of(self, task: int | None) -> AbstractContextManager[None]:
        """Enter the network's state for a task of the sequence, None for a new image.

        It is number `task + 1` of the consolidation, whose task 0 is the pretraining.
        """
        return self.consolidation.as_of(self.network, None if task is None else task + 1)

    def pretraining_loss(self, batch: TaskBatch) -> Tensor:
        """Compute the cross-entropy."""
        return weighted_cross_entropy(
            self.network(batch["image"]), batch["mask"], torch.ones_like(batch["mask"])
        )

    def loss(self, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute eq. 15, and add the consolidation's penalty."""
        logits = self.network(images)
        return weighted_cross_entropy(logits, labels, weights) + self.consolidation.penalty(
            self.network, logits
        )

    def check_precision(self, precision: str) -> None:
        """Refuse EWC in half precision too."""
        super().check_precision(precision)
        if isinstance(self.consolidation, EWC) and precision == "bf16-true":
            raise InputError(
                "trainer.precision is bf16-true, in which EWC's sums of squares say nothing; give "
                "bf16-mixed or 32-true"
            )

    def prepare(self, data: TaskStream) -> None:
        """Consolidate the pretraining, as the first task."""
        if isinstance(self.consolidation, PackNet):
            check_decay(self.optimisation, "PackNet keeps the weights of earlier tasks")
        images = self.place(data.pretraining_batch(PRETRAINED_IMAGES)["image"])
        self.consolidation.end(self.network, images, lambda: self._relearn_pretraining(data))

    def _relearn_pretraining(self, data: TaskStream) -> None:
        """Learn the pretraining's images a little longer, eight at a step."""
        optimizer = torch.optim.Adam(self.network.parameters(), self.optimisation.learning_rate)
        for step in range(self.relearn_pretraining):
            batch = data.pretraining_batch(8, start=8 * step)
            optimizer.zero_grad()
            batch["image"] = self.place(batch["image"])
            batch["mask"] = batch["mask"].to(self.device)
            self.pretraining_loss(batch).backward()
            optimizer.step()

    def begin(self, batch: TaskBatch) -> None:
        """Let the consolidation look at the images."""
        self.consolidation.begin(self.network, batch["image"])

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Hold back what the consolidation protects."""
        self.consolidation.limit(self.network)

    @property
    def _longer(self) -> int:
        """Number of steps that PackNet learns a task longer after pruning."""
        return int(self.relearn * self.steps)

    def updates(self, batch: TaskBatch) -> int:
        """Count the steps of a round, and PackNet's after a task."""
        longer = batch["last_round"] and isinstance(self.consolidation, PackNet)
        return super().updates(batch) + (self._longer if longer else 0)

    def finish(self, batch: TaskBatch) -> None:
        """Consolidate the task, if anything was learned in it."""
        if self.steps and bool((batch["annotation"] != IGNORE).any()):
            self.consolidation.end(
                self.network, batch["image"], lambda: self.take_steps(batch, self._longer)
            )
        else:
            self.consolidation.skip()

    def pretrained_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Read a pretraining's state of any baseline, or of CLIS with a plain network.

        The means of the latter are the weights.
        """
        if bool(state.get("plain", False)):
            means = {key.removesuffix(".mean"): value for key, value in state.items()}
            learned = dict(self.named_parameters())
            return {key: value for key, value in means.items() if key in learned}
        return super().pretrained_state(state)
