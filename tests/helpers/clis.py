"""CLIS without a Trainer: a tiny module, its pretraining's images, and gates that are set."""

from types import SimpleNamespace

import torch

from interseg.continual.embedding import ImageEmbedding
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS


def clis(spare=0, gates="expected", prior="finite", **options):
    return CLIS(
        CLISNetwork(2, 5, 6, gates=gates, spare=spare, prior=prior),
        ImageEmbedding((16, 24), 4, 4),
        samples=4,
        **options,
    )


def shown(images, label=0):
    """Make what `prepare` asks of a data module."""
    count = len(images)

    def batch(size, start=0):
        rows = images[[(start + i) % count for i in range(min(size, count))]]
        return {
            "image": rows,
            "mask": torch.full((len(rows), *images.shape[2:]), label, dtype=torch.uint8),
        }

    return SimpleNamespace(pretraining_images=count, pretraining_batch=batch)


def begin_at(module, probabilities):
    for gates, part in zip(
        module.network.gates, probabilities.split(module.network.counts), strict=True
    ):
        gates.begin_at(part)


def store(module, image, probabilities):
    with torch.no_grad():
        mean, log_variance = (part[0] for part in module.embedding(image))
    module.memory.store(mean, log_variance, list(probabilities.split(module.network.counts)))


def begun(module, image):
    module._seed = 0
    module.begin({"image": image, "mask": torch.zeros(1, 16, 24, dtype=torch.uint8)})
    return [
        chosen.nonzero()[:, 0].tolist() for chosen in module.opened.split(module.network.counts)
    ]
