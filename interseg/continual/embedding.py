"""Likeness of images to earlier tasks: embeddings by a variational autoencoder (CLIS).

The gates of each task are kept with its embedding.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, mse_loss

from interseg.checkpoints import sized_as


class ImageEmbedding(nn.Module):
    """Variational autoencoder of small views.

    Three convolutional blocks and two dense layers lead to a Gaussian, and back.

    Args:
        size: (height, width) that images are reduced to, multiples of 8; 64 x 88 in the official
            code.
        latents: Number of dimensions of the Gaussian; 400 there.
        width: Number of channels of the first block; doubled in the next.
    """

    def __init__(
        self, size: tuple[int, int] = (64, 88), latents: int = 400, width: int = 16
    ) -> None:
        super().__init__()
        self.size, self.latents = (int(size[0]), int(size[1])), latents
        widths = (3, width, 2 * width, 2 * width)
        self.grid = (widths[-1], self.size[0] // 8, self.size[1] // 8)
        cells = self.grid[0] * self.grid[1] * self.grid[2]
        down = [
            nn.Sequential(nn.Conv2d(i, o, 4, 2, 1), nn.ReLU())
            for i, o in itertools.pairwise(widths)
        ]
        self.encoder = nn.Sequential(
            *down,
            nn.Flatten(),
            nn.Linear(cells, latents),
            nn.ReLU(),
            nn.Linear(latents, 2 * latents),
        )
        up = [nn.ConvTranspose2d(o, i, 4, 2, 1) for i, o in itertools.pairwise(widths)][::-1]
        self.expand = nn.Sequential(nn.Linear(latents, cells), nn.ReLU())
        self.decoder = nn.Sequential(up[0], nn.ReLU(), up[1], nn.ReLU(), up[2], nn.Sigmoid())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embed images (B, 3, H, W) in [0, 1]: mean and log-variance, (B, latents) each."""
        mean, log_variance = self.encoder(self.reduced(images)).chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)

    def loss(self, images: Tensor) -> Tensor:
        """Compute the negative evidence lower bound, a mean over images.

        It is the squared error of the view, summed, and the KL from N(0, 1).
        """
        mean, log_variance = self(images)
        drawn = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        rebuilt = self.decoder(self.expand(drawn).view(-1, *self.grid))
        zero = torch.zeros_like(mean)
        kl = gaussian_kl(mean, log_variance, zero, zero).sum()
        return (mse_loss(rebuilt, self.reduced(images), reduction="sum") + kl) / len(images)

    def reduced(self, images: Tensor) -> Tensor:
        """Reduce images to the small view."""
        return interpolate(images, self.size, mode="bilinear", antialias=True)


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor
) -> Tensor:
    """Compute KL(N(mean, var) || N(other mean, other var)), summed over the last dimension."""
    ratio = torch.exp(log_variance - other_log_variance)
    moved = (mean - other_mean) ** 2 * torch.exp(-other_log_variance)
    return 0.5 * (ratio + moved - 1 - log_variance + other_log_variance).sum(-1)


def usual_distance(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute the median KL of Gaussians (N, D) to their nearest others; infinite for one alone."""
    nearest = []
    for index in range(len(mean)):
        distances = gaussian_kl(mean[index], log_variance[index], mean, log_variance)
        distances[index] = math.inf
        nearest.append(distances.min())
    return torch.stack(nearest).median()


class TaskMemory(nn.Module):
    """Memory of tasks: the Gaussian of each one's image, and the probabilities of its gates.

    A task adds 4 * (2 * latents + gates) bytes: 6,256 in the paper's sizes.

    Args:
        latents: Number of latents of the embedding.
        gates: Number of gates of all layers.
    """

    pairs: Tensor
    threshold: Tensor
    """() most KL between the Gaussians of an image and of a task that it is like; any at first."""

    def __init__(self, latents: int, gates: int) -> None:
        super().__init__()
        self.latents = latents
        self.register_buffer("threshold", torch.tensor(math.inf))
        self.register_buffer("pairs", torch.empty(0, 2 * latents + gates))

    def __len__(self) -> int:
        return len(self.pairs)

    def store(self, mean: Tensor, log_variance: Tensor, probabilities: list[Tensor]) -> None:
        """Add a task: (latents,) each, and pi of each layer."""
        self.pairs = torch.cat(
            [self.pairs, torch.cat([mean, log_variance, *probabilities]).detach()[None]]
        )

    def clear(self) -> None:
        """Discard all tasks."""
        self.pairs = self.pairs[:0]

    def gates(self, counts: list[int]) -> list[list[Tensor]]:
        """Return the gates' probabilities of every task, a tensor a layer."""
        return [list(row.split(counts)) for row in self.pairs[:, 2 * self.latents :]]

    def distances(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Compute the KL (T,) from an image's Gaussian to each task's."""
        known_mean, known_log_variance = self.pairs[:, : 2 * self.latents].chunk(2, 1)
        return gaussian_kl(mean[None], log_variance[None], known_mean, known_log_variance)

    def nearest(self, mean: Tensor, log_variance: Tensor) -> tuple[int, float, bool] | None:
        """Find the task that an image is most like.

        Returns:
            Its number, the KL to it, and whether that is within the threshold; None without tasks.
        """
        if not len(self):
            return None
        distances = self.distances(mean, log_variance)
        best = int(distances.argmin())
        return best, float(distances[best]), bool(distances[best] <= self.threshold)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        # as many tasks as there were
        self.pairs = sized_as(self.pairs, state_dict, f"{prefix}pairs")
        super()._load_from_state_dict(state_dict, prefix, *args)
