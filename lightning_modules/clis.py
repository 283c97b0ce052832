"""CLIS: a variational network that a user teaches image by image, and that keeps what it was taught (Zheng et al., AAAI 2021).

The layers are in `interseg/continual/`, the network in `interseg/networks/clis_network.py`, the energy in `interseg/propagation.py`.
"""

from typing import Any

import torch
from torch import Tensor

from interseg.continual.embedding import ImageEmbedding, TaskMemory
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from interseg.uncertainty import uncertainty
from lightning_modules.base import spared, without_gradient
from lightning_modules.optimisation import Optimisation
from lightning_modules.task_learner import Prediction, Propagation, TaskLearner, weighted_cross_entropy


class CLIS(TaskLearner):
    """Variational continual learning with gates by an Indian buffet process.

    A task's posterior is the next task's prior. An image that is met is answered with the gates of the task whose image is most like
    it, and with the pretrained ones where none is; its learning begins with them. The KL terms are scaled by the number of pixels as
    the likelihood is.

    Args:
        network: variational.
        embedding: of images; pretrained with the network.
        threshold: see `TaskMemory`.
        samples: draws of an answer; 50 in the official code.
        update: "full", the paper's: all weights and gates at once; "isolated", the official code's: the `isolated` kernels of each
            layer whose gates are least open, then the gates alone, each for all steps.
        isolated: kernels of a layer that "isolated" trains; 4 in the official code.
        kl_weight: of the KL terms.
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
        kl_weight: float = 1.0,
        pretrained: str | None = None,
        steps: int = 100,
        annotated_weight: float = 10.0,
        propagation: Propagation | None = None,
        optimisation: Optimisation | None = None,
    ) -> None:
        super().__init__(network, pretrained, steps, annotated_weight, propagation, optimisation)
        if not network.variational:
            raise InputError("the network is not variational; CLIS learns distributions: leave network.variational=true")
        if update not in ("full", "isolated"):
            raise InputError(f"update is {update!r}; use full or isolated")
        self.embedding = embedding or ImageEmbedding()
        self.memory = TaskMemory(self.embedding.latents, sum(network.counts), threshold)
        self.samples, self.update, self.isolated, self.kl_weight = samples, update, isolated, kl_weight
        self.register_buffer("pretrained_gates", torch.cat(self.network.probabilities(sample=False)).detach())
        self._moving = "all"

    pretrained_gates: Tensor

    @torch.no_grad()
    def predict(self, images: Tensor, task: int | None = None) -> Prediction:
        """The mean of `samples` draws and its entropy (eq. 10); the gates are looked up image by image."""
        answers = [self._predict(image[None], task == len(self.memory)) for image in images]
        return Prediction(*(torch.cat(part) for part in zip(*answers, strict=True)))

    def _predict(self, image: Tensor, in_progress: bool) -> tuple[Tensor, Tensor]:
        gates = self.network.probabilities(sample=False) if in_progress else self._found(image)
        draws = torch.stack([self.network(image, gates).softmax(1) for _ in range(self.samples)])
        return draws.mean(0), uncertainty(draws).predictive

    def _found(self, image: Tensor) -> list[Tensor]:
        """Pi of the gates with which an image (1, 3, H, W) is met: those of the nearest task, or the pretrained ones."""
        mean, log_variance = (part[0] for part in self.embedding(image))
        nearest = self.memory.nearest(mean, log_variance, self.network.counts)
        return nearest if nearest is not None else list(self.pretrained_gates.split(self.network.counts))

    def pretraining_loss(self, batch: dict[str, Any]) -> Tensor:
        """Eq. 6 on the hold-out images, and the autoencoder's own loss, which shares no weight with it."""
        images = batch["image"]
        pixels = images.shape[2] * images.shape[3] * len(images) * self.trainer.num_training_batches * self.trainer.world_size
        return self._bound(images, batch["mask"], torch.ones_like(batch["mask"]), pixels) + self.embedding.loss(images)

    def loss(self, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Eq. 6 with eq. 15."""
        return self._bound(images, labels, weights, labels.numel()) + spared(self.embedding.parameters())

    def _bound(self, images: Tensor, labels: Tensor, weights: Tensor, pixels: int) -> Tensor:
        probabilities = self.network.probabilities()
        likelihood = weighted_cross_entropy(self.network(images, probabilities), labels, weights)
        return likelihood + self.kl_weight * self.network.kl(probabilities) / pixels

    def prepare(self, data: Any) -> None:
        """What was pretrained is the prior of the first task."""
        self.network.hand_over()
        self.memory.clear()
        self.pretrained_gates = torch.cat(self.network.probabilities(sample=False)).detach()

    def configure_optimizers(self) -> Any:
        gates = list(self.network.gates.parameters())
        known = {id(p) for p in gates}
        weights = [p for p in self.network.parameters() if id(p) not in known]
        return self.optimisation(self, {"network": weights, "gates": gates, "embedding": list(self.embedding.parameters())})

    def activation(self) -> list[Tensor]:
        """Pi of the gates."""
        return [p.detach() for p in self.network.probabilities(sample=False)]

    @torch.no_grad()
    def neighbour(self, images: Tensor) -> list[tuple[int, float]]:
        """The stored task of least KL."""
        if not len(self.memory):
            return []
        distances = [self.memory.distances(mean, log_variance) for mean, log_variance in zip(*self.embedding(images), strict=True)]
        return [(int(d.argmin()), float(d.min())) for d in distances]

    def _learn(self, batch: dict[str, Any], labels: Tensor, steps: int) -> None:
        if batch["round"] == 0 and steps:  # learning begins where the answer came from
            with torch.no_grad():
                found = self._found(batch["image"][:1])
            for gates, probabilities in zip(self.network.gates, found, strict=True):
                gates.begin_at(probabilities)  # type: ignore[operator]
        for part in ("all",) if self.update == "full" else ("kernels", "gates"):
            self._moving = part
            super()._learn(batch, labels, steps)

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

    def finish(self, batch: dict[str, Any], relearn: Any) -> None:
        """The posterior becomes the prior; the image's embedding and its gates are kept."""
        self.network.hand_over()
        with torch.no_grad():
            gates = self.network.probabilities(sample=False)
            for mean, log_variance in zip(*self.embedding(batch["image"]), strict=True):
                self.memory.store(mean, log_variance, gates)
