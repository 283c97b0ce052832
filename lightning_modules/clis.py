"""CLIS: a variational network that a user teaches image by image, and that keeps what it was taught (Zheng et al., AAAI 2021).

The layers and the energy (`propagation.py`) are in `interseg/continual/`, the network in `interseg/networks/clis_network.py`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.bayesian import GaussianWeights
from interseg.continual.embedding import ImageEmbedding, TaskMemory, usual_distance
from interseg.continual.fisher import squared_gradients
from interseg.continual.stream import Prediction, TaskStream
from interseg.continual.uncertainty import uncertainty
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.base import without_gradient
from lightning_modules.optimisation import Optimisation
from lightning_modules.task_learner import Propagation, TaskLearner, weighted_cross_entropy

EMBEDDED = 16
"""So many of the pretraining's images are embedded at a time."""


class CLIS(TaskLearner):
    """Variational continual learning with gates by an Indian buffet process.

    A task's posterior is the next task's prior. An image that is met is answered with the gates of the task whose image is most like
    it, and with the pretrained ones where none is; its learning begins with them (with their mean, where a task has several images). The
    KL terms are scaled by the number of pixels as the likelihood is.

    Args:
        network: variational.
        embedding: of images; pretrained with the network, and left as it is from then on.
        threshold: an image is like a task if their KL is at most this; infinite: it always is. None for what is usual in the pretraining,
            the median over its images of the KL to the nearest other one.
        samples: draws of an answer; 50 in the official code.
        update: "full", the paper's: all weights and gates at once; "isolated", the official code's: the `isolated` kernels of each
            layer whose gates are least open, then the gates alone, each for all steps.
        isolated: kernels of a layer that "isolated" trains; 4 in the official code.
        kl_weight: of the KL terms in tasks. With 1, eq. 6 as it stands, the pixels of one image count as if they were independent, and
            more of the tasks before is forgotten (benchmarks/clis.md).
        pretrained: see `TaskLearner`, as the others.
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
        pretrained: str | None = None,
        steps: int = 20,
        annotated_weight: float = 10.0,
        propagation: Propagation | None = None,
        optimisation: Optimisation | None = None,
    ) -> None:
        super().__init__(network, pretrained, steps, annotated_weight, propagation, optimisation)
        if not network.variational:
            raise InputError("the network is not variational; CLIS learns distributions: leave network.variational=true")
        if update not in ("full", "isolated"):
            raise InputError(f"update is {update!r}; use full or isolated")
        self.embedding = (embedding or ImageEmbedding()).requires_grad_(pretrained is None)
        self.memory = TaskMemory(self.embedding.latents, sum(network.counts), threshold)
        self.threshold = threshold
        self.samples, self.update, self.isolated, self.kl_weight = samples, update, isolated, kl_weight
        self.register_buffer("pretrained_gates", torch.cat(self.network.probabilities(sample=False)).detach())
        self._moving = "all"

    pretrained_gates: Tensor

    @torch.no_grad()
    def predict(self, images: Tensor, task: int | None = None) -> Prediction:
        """The mean of `samples` draws, its entropy (eq. 10) and the draws' mutual information; the gates are looked up image by image."""
        return joined([self._predict(image[None], self._found(image[None])) for image in images])

    @torch.no_grad()
    def predict_current(self, images: Tensor) -> Prediction:
        """Likewise, with the gates that are being learned."""
        gates = self.network.probabilities(sample=False)
        return joined([self._predict(image[None], gates) for image in images])

    def _predict(self, image: Tensor, gates: list[Tensor]) -> Prediction:
        draws = torch.stack([self.network(image, gates).softmax(1) for _ in range(self.samples)])
        unsure = uncertainty(draws)
        return Prediction(draws.mean(0), unsure.predictive, unsure.epistemic)

    def _found(self, image: Tensor) -> list[Tensor]:
        """Pi of the gates with which an image (1, 3, H, W) is met: those of the nearest task, or the pretrained ones."""
        mean, log_variance = self._embedded(image)
        nearest = self.memory.nearest(mean[0], log_variance[0], self.network.counts)
        return nearest if nearest is not None else list(self.pretrained_gates.split(self.network.counts))

    @torch.no_grad()
    def _embedded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances in full precision, in a step too: an image is at no distance from itself."""
        with torch.autocast(self.device.type, enabled=False):
            return self.embedding(images)

    def pretraining_loss(self, batch: TaskBatch) -> Tensor:
        """Eq. 6 on the hold-out images, and the autoencoder's own loss, which shares no weight with it."""
        images = batch["image"]
        pixels = images.shape[2] * images.shape[3] * len(images) * self.trainer.num_training_batches * self.trainer.world_size
        return self._bound(images, batch["mask"], torch.ones_like(batch["mask"]), pixels, 1.0) + self.embedding.loss(images)

    def loss(self, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Eq. 6 with eq. 15."""
        return self._bound(images, labels, weights, labels.numel(), self.kl_weight)

    def _bound(
        self,
        images: Tensor,
        labels: Tensor,
        weights: Tensor,
        pixels: float,
        kl_weight: float,
    ) -> Tensor:
        probabilities = self.network.probabilities()
        likelihood = weighted_cross_entropy(self.network(images, probabilities), labels, weights)
        return likelihood + kl_weight * self.network.kl(probabilities) / pixels

    def prepare(self, data: TaskStream) -> None:
        """What was pretrained is the prior of the first task, with variances as sharp as the pretraining's images make them."""
        self._sharpen(data)
        self.network.hand_over()
        self.memory.clear()
        self.memory.threshold.fill_(self._usual_distance(data) if self.threshold is None else self.threshold)
        self.pretrained_gates = torch.cat(self.network.probabilities(sample=False)).detach()

    def _sharpen(self, data: TaskStream) -> None:
        """See `GaussianWeights.sharpen`: a draw of weights, gates and labels for each of the pretraining's images."""
        parts = [module for module in self.network.modules() if isinstance(module, GaussianWeights)]
        information = [torch.zeros_like(part.mean) for part in parts]
        self.network.train()
        with torch.autocast(self.device.type, enabled=False), torch.enable_grad():
            for start in range(data.holdout):
                batch = data.holdout_batch(1, start)
                logits, valid = self.network(self.placed(batch["image"])), batch["mask"].to(self.device) != IGNORE
                for total, square in zip(information, squared_gradients(logits, [p.mean for p in parts], valid=valid), strict=True):
                    total += square
        for part, total in zip(parts, information, strict=True):
            part.sharpen(total)

    def _usual_distance(self, data: TaskStream) -> Tensor:
        """Of the pretraining's images."""
        batches = (data.holdout_batch(EMBEDDED, start)["image"] for start in range(0, data.holdout, EMBEDDED))
        parts = [self._embedded(self.placed(images)) for images in batches]
        return usual_distance(*(torch.cat(part)[: data.holdout] for part in zip(*parts, strict=True)))

    def configure_optimizers(self) -> Any:
        """The network's weights (their means), their log-variances ("variances"), the gates, and in pretraining the embedding."""
        gates = list(self.network.gates.parameters())
        variances = [module.log_variance for module in self.network.modules() if isinstance(module, GaussianWeights)]
        known = {id(p) for p in [*gates, *variances]}
        parts = {"network": [p for p in self.network.parameters() if id(p) not in known], "variances": variances, "gates": gates}
        return self.optimisation(self, parts | {"embedding": [p for p in self.embedding.parameters() if p.requires_grad]})

    def activation(self) -> list[Tensor]:
        """Pi of the gates."""
        return [p.detach() for p in self.network.probabilities(sample=False)]

    def neighbour(self, images: Tensor) -> list[tuple[int, float, bool]]:
        """The stored task of least KL."""
        if not len(self.memory):
            return []
        distances = [self.memory.distances(mean, log_variance) for mean, log_variance in zip(*self._embedded(images), strict=True)]
        return [(int(d.argmin()), float(d.min()), bool(d.min() <= self.memory.threshold)) for d in distances]

    @torch.no_grad()
    def begin(self, batch: TaskBatch) -> None:
        """The posterior of the gates begins at those that are found for the images."""
        found = torch.stack([torch.cat(self._found(image[None])) for image in batch["image"]]).mean(0)
        for gates, probabilities in zip(self.network.gates, found.split(self.network.counts), strict=True):
            gates.begin_at(probabilities)  # type: ignore[operator]

    def _learn(self, batch: TaskBatch, labels: Tensor, steps: int) -> None:
        for part in ("all",) if self.update == "full" else ("kernels", "gates"):
            self._moving = part
            super()._learn(batch, labels, steps)

    def updates(self, learns: bool, last: bool) -> int:
        """The isolated update takes all steps twice."""
        return super().updates(learns, last) * (1 if self.update == "full" else 2)

    def limit(self) -> None:
        """In the isolated update, what does not move has no gradient."""
        if self._moving == "all":
            return
        for gates, convolution in zip(self.network.gates, self.network.convolutions, strict=True):
            if self._moving == "gates":
                without_gradient(convolution.parameters())
                continue
            without_gradient(gates.parameters())
            closed = gates.probabilities(sample=False).argsort()[: self.isolated]  # type: ignore[operator]
            for parameter in convolution.parameters():
                others = torch.ones(len(parameter), dtype=torch.bool, device=parameter.device).index_fill_(0, closed, False)
                if parameter.grad is not None:
                    parameter.grad[others] = 0
        without_gradient(self.network.head.parameters())

    def finish(self, batch: TaskBatch, relearn: Callable[[int], None]) -> None:
        """The posterior becomes the prior; the image's embedding and its gates are kept."""
        self.network.hand_over()
        gates = self.network.probabilities(sample=False)
        for mean, log_variance in zip(*self._embedded(batch["image"]), strict=True):
            self.memory.store(mean, log_variance, gates)


def joined(answers: list[Prediction]) -> Prediction:
    """The answers to single images as that to a batch."""
    return Prediction(*(torch.cat(part) for part in zip(*answers, strict=True)))
