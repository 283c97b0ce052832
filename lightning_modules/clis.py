"""CLIS: a variational network that keeps what a user teaches it (Zheng et al., AAAI 2021).

It is taught image by image.

The layers and the energy (`propagation.py`) are in `interseg/continual/`, the network in
`interseg/networks/clis_network.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.bayesian import gaussian_weights
from interseg.continual.embedding import ImageEmbedding, TaskMemory
from interseg.continual.stream import Prediction, TaskStream, join_predictions
from interseg.continual.uncertainty import uncertainty
from interseg.distributed import take_from_first_rank
from interseg.errors import InputError
from interseg.losses import weighted_cross_entropy
from interseg.networks.clis_network import CLISNetwork, evidence_bound
from lightning_modules.base import part_of, spare
from lightning_modules.clis_isolated import freeze_others, freeze_weights, open_spare
from lightning_modules.clis_preparation import (
    distance_within,
    pretraining_examples,
    refine,
    sharpen,
)
from lightning_modules.optimisation import Optimisation, check_decay
from lightning_modules.task_learner import Propagation, TaskLearner

UPDATES = ("full", "isolated")
PRETRAININGS = ("plain", "variational")
RETRIEVALS = ("nearest", "last", "oracle")
INFORMATION_DRAWS = 5
"""Number of label maps by which a task's information is measured, as EWC's."""


class CLIS(TaskLearner):
    """Variational continual learning with gates by an Indian buffet process.

    Pretraining learns the means of a plain network, the same that the controls begin with. It
    becomes variational before the first task (`CLISNetwork.convert`): gates open without changing
    an answer, variances as small as the pretraining's images make them. The paper pretrains eq. 6
    itself, which underfits (benchmarks/clis.md); so does `pretraining="variational"` here.

    A task's posterior is the next task's prior. An image that is met is answered with the gates of
    the task whose image is most like it, and with the pretrained ones where none is; its learning
    begins with them (with their mean, where a task has several images). The KL terms are scaled by
    the number of pixels as the likelihood is.

    Args:
        network: Variational network.
        embedding: Embedding of images; pretrained with the network, and left as it is from then on.
        threshold: Most KL between an image and a task that it is like; infinite: it always is. None
            for what is usual in the pretraining, the median over its images of the KL to the
            nearest other one.
        samples: Number of draws of an answer; 50 in the official code.
        update: "full", the paper's: all weights and gates at once; "isolated", the official code's:
            a task opens at most `isolated` spare kernels of each layer (of a probability below 0.1
            in every task so far; the least open one where there is none), whose prior variance is
            set to 1. It learns them, their weights in the head and all gates, then the gates alone,
            each for all steps.
        isolated: Number of kernels of a layer that "isolated" trains; 4 in the official code. The
            network has to have them (`spare`).
        kl_weight: Weight of the KL terms in tasks. With 1, eq. 6 as it stands, the pixels of one
            image count as if they were independent, and more of the tasks before is forgotten
            (benchmarks/clis.md).
        pretraining: "plain", or "variational": eq. 6 from the beginning. Tasks read from the
            checkpoint which it was.
        log_variance: Most log-variance of a weight after the conversion.
        refinement: Number of steps of eq. 6 on the pretraining's images after the conversion, eight
            images a step, their noise rising from none to all over the first half.
        retrieval: Retrieval of gates for an image: "nearest", of the task that is most like it;
            "last", none: they are as the last task left them; "oracle", those with which the
            image's true classes are most likely, of all tasks' and the pretrained ones.
        draws: Number of draws of weights and gates in a step, whose losses are averaged.
        information: Number of images that a task's count for when it has ended: variances fall by
            so many times their Fisher information. The few steps of a task leave log-variances
            where they were, so that without it (0, the paper's) no task makes the prior of the next
            one sharper, and later tasks are learned over earlier ones (benchmarks/clis.md). At 100
            a task counts as much as a pretraining of 100 images, as it does for EWC. With 0 a
            variational pretraining keeps the variances that it learned, too.
        pretrained: See `TaskLearner`, as the others.
    """

    network: CLISNetwork

    def __init__(
        self,
        network: CLISNetwork,
        embedding: ImageEmbedding | None = None,
        threshold: float | None = None,
        samples: int = 10,
        update: str = "full",
        isolated: int = 4,
        kl_weight: float = 10.0,
        pretraining: str = "plain",
        log_variance: float = -6.0,
        refinement: int = 0,
        retrieval: str = "nearest",
        draws: int = 1,
        information: float = 100.0,
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
        if not network.variational:
            raise InputError(
                "the network is not variational; CLIS learns distributions: "
                "leave network.variational=true"
            )
        for name, value, known in (
            ("update", update, UPDATES),
            ("pretraining", pretraining, PRETRAININGS),
            ("retrieval", retrieval, RETRIEVALS),
        ):
            if value not in known:
                raise InputError(f"{name} is {value!r}; use {' or '.join(known)}")
        if network.spare and pretrained is None:
            raise InputError(
                f"network.spare is {network.spare}; spare kernels come with the tasks: "
                "pretrain with network.spare=0"
            )
        if update == "isolated" and any(gates.prior == "stick" for gates in network.gates):
            raise InputError(
                "update is 'isolated' and network.prior 'stick', under which a kernel cannot be "
                "opened behind closed ones; use prior=finite"
            )
        self.embedding = (embedding or ImageEmbedding()).requires_grad_(pretrained is None)
        self.memory = TaskMemory(self.embedding.latents, sum(network.counts))
        self.threshold = threshold
        self.samples, self.update, self.isolated = samples, update, isolated
        self.kl_weight = kl_weight
        self.log_variance, self.refinement, self.retrieval = log_variance, refinement, retrieval
        self.draws, self.information = draws, information
        self.register_buffer(
            "pretrained_gates", torch.cat(self.network.probabilities(sample=False)).detach()
        )
        self.register_buffer("plain", torch.tensor(pretraining == "plain"))
        self.register_buffer("opened", torch.zeros(sum(network.counts), dtype=torch.bool))
        if update == "isolated":
            self.phases = ("kernels", "gates")

    pretrained_gates: Tensor
    plain: Tensor
    """() bool: the means are a plain network's."""
    opened: Tensor
    """Kernels that the isolated update learns in this task."""

    @property
    def bound(self) -> Callable[..., Tensor]:
        """`evidence_bound` of the network, by the draws of a step."""
        return partial(evidence_bound, self.network, draws=self.draws)

    @torch.no_grad()
    def predict(self, batch: TaskBatch, task: int | None = None) -> Prediction:
        """Answer by the mean of `samples` draws, with the gates that are found.

        Uncertainty is its entropy (eq. 10), its epistemic part the draws' mutual
        information.
        """
        images, masks = self.place(batch["image"]), batch.get("mask")
        truths = [None] * len(images) if masks is None else list(masks[:, None].to(images.device))
        return join_predictions(
            [
                self._predict(image[None], self._find_gates(image[None], mask))
                for image, mask in zip(images, truths, strict=True)
            ]
        )

    @torch.no_grad()
    def predict_current(self, images: Tensor) -> Prediction:
        """Answer as `predict` does, with the gates that are being learned.

        The images share them, as they share the draws.
        """
        return self._predict(images, self.network.probabilities(sample=False))

    def _predict(self, images: Tensor, gates: list[Tensor]) -> Prediction:
        draws = torch.stack([self.network(images, gates).softmax(1) for _ in range(self.samples)])
        unsure = uncertainty(draws)
        return Prediction(draws.mean(0), unsure.predictive, unsure.epistemic)

    def _find_gates(self, image: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Find the probabilities pi of the gates for an image (1, 3, H, W).

        The oracle looks at its true classes (1, H, W), where a pixel has one.
        """
        if self.retrieval == "last":
            return self.network.probabilities(sample=False)
        pretrained = list(self.pretrained_gates.split(self.network.counts))
        if self.retrieval == "oracle" and mask is not None and bool((mask != IGNORE).any()):
            known = [pretrained, *self.memory.gates(self.network.counts)]
            losses = [
                cross_entropy(self.network(image, gates, 0.0), mask.long(), ignore_index=IGNORE)
                for gates in known
            ]
            return known[int(torch.stack(losses).argmin())]
        mean, log_variance = self._embed(image)
        nearest = self.memory.nearest(mean[0], log_variance[0])
        if nearest is None or not nearest[2]:
            return pretrained
        return self.memory.gates(self.network.counts)[nearest[0]]

    @torch.no_grad()
    def _embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embed images in full precision, in a step too: an image is at distance 0 from itself.

        Returns means and log-variances (B, D).
        """
        with torch.autocast(self.device.type, enabled=False):
            return self.embedding(images)

    def pretraining_loss(self, batch: TaskBatch) -> Tensor:
        """Compute the cross-entropy or eq. 6, and the autoencoder's own loss.

        The two share no weight.
        """
        images, labels, ones = batch["image"], batch["mask"], torch.ones_like(batch["mask"])
        if self.plain:
            loss = weighted_cross_entropy(self.network.plain(images), labels, ones)
            if self.trainer.world_size > 1:
                loss = loss + spare(self.network.parameters())
        else:
            pixels = (
                images.shape[2]
                * images.shape[3]
                * len(images)
                * self.trainer.num_training_batches
                * self.trainer.world_size
            )
            loss = self.bound(images, labels, ones, pixels, 1.0)
        return loss + self.embedding.loss(images)

    def loss(self, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Compute eq. 6 with eq. 15."""
        return self.bound(images, labels, weights, weights.numel(), self.kl_weight)

    def pretrained_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Read a pretraining's state of CLIS, whose network may have had no spare kernels.

        The memory of tasks, and of gates, begins with the first task.
        """
        state = super().pretrained_state(state)
        of_tasks = ("pretrained_gates", "opened", "memory.pairs", "network.")
        own = {key: value for key, value in state.items() if not key.startswith(of_tasks)}
        own.setdefault("plain", torch.tensor(False))  # before there was a choice
        given, known = part_of(state, "network."), self.network.state_dict()
        unknown = {key: value for key, value in given.items() if key not in known}
        network = unknown | self.network.widen(given)
        return own | {f"network.{key}": value for key, value in network.items()}

    def prepare(self, data: TaskStream) -> None:
        """Make what was pretrained the prior of the first task; see `clis_preparation`."""
        if self.update == "isolated":
            check_decay(self.optimisation, "the isolated update keeps the weights of other kernels")
        if self.plain:
            self.network.convert(self.log_variance)
        if self.plain or self.information:
            sharpen(self.network, pretraining_examples(data, self.place))
        rate = self.optimisation.learning_rate
        refine(self.network, data, self.place, self.bound, self.refinement, rate)
        self.network.hand_over()
        self.memory.clear()
        if self.threshold is None:
            self.memory.threshold.fill_(distance_within(data, self.place, self._embed))
        else:
            self.memory.threshold.fill_(self.threshold)
        gates = self.network.probabilities(sample=False)
        self.pretrained_gates = torch.cat(gates).detach()

    def configure_optimizers(self) -> Any:
        """Configure the optimiser of weights, log-variances, gates and embedding.

        Their parts are "network" (the weights' means), "variances", "gates" and, in
        pretraining, "embedding".
        """
        parts = self.network.parameters_by_origin()
        parts["embedding"] = [p for p in self.embedding.parameters() if p.requires_grad]
        return self.current_optimisation(self, parts)

    def activation(self) -> list[Tensor]:
        """Return the probabilities pi of the gates."""
        return [p.detach() for p in self.network.probabilities(sample=False)]

    def neighbour(self, images: Tensor) -> list[tuple[int, float, bool]]:
        """Find the stored task of least KL."""
        embedded = zip(*self._embed(images), strict=True)
        found = [self.memory.nearest(mean, log_variance) for mean, log_variance in embedded]
        return [nearest for nearest in found if nearest is not None]

    @torch.no_grad()
    def begin(self, batch: TaskBatch) -> None:
        """Set the gates to those that are found for the images, the prior of this task too."""
        rows = zip(batch["image"], batch["mask"], strict=True)
        found = torch.stack(
            [torch.cat(self._find_gates(image[None], mask[None])) for image, mask in rows]
        ).mean(0)
        self.network.begin_gates(found)
        for gates in self.network.gates:
            gates.hand_over()  # type: ignore[operator]
        if self.update == "isolated" and self.steps:
            tasks = [torch.cat(gates) for gates in self.memory.gates(self.network.counts)]
            used = [self.pretrained_gates, *tasks]
            self.opened = open_spare(self.network, used, found, self.isolated)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Remove the gradients of what the isolated update's phase leaves alone."""
        if self.phase == "gates":
            freeze_weights(self.network)
        elif self.phase != "all":
            freeze_others(self.network, self.opened.split(self.network.counts))

    def finish(self, batch: TaskBatch) -> None:
        """Make the posterior the prior; keep the image's embedding and its gates.

        Where something was learned, variances fall by the images' information first.
        """
        learned = self.steps and bool((batch["annotation"] != IGNORE).any())
        if learned and self.information:
            everywhere = torch.ones_like(batch["image"][:1, 0], dtype=torch.bool)
            examples = [(image[None], everywhere) for image in batch["image"]]
            weight = self.information / len(examples)
            sharpen(self.network, examples, weight, INFORMATION_DRAWS)
            # on GPUs ranks may draw other labels, since their logits differ in the last digits
            take_from_first_rank(part.log_variance for part in gaussian_weights(self.network))
        self.network.hand_over()
        gates = self.network.probabilities(sample=False)
        for mean, log_variance in zip(*self._embed(batch["image"]), strict=True):
            self.memory.store(mean, log_variance, gates)
