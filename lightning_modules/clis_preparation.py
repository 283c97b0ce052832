"""Preparation of CLIS for its first task, on the images of the pretraining.

Variances become as small as these images make them, as they do after each task by its own; eq. 6 is
learned on them a little longer where that is wanted; their distances say when an image is like a
task.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from interseg.clicks.layout import IGNORE
from interseg.continual.bayesian import gaussian_weights
from interseg.continual.embedding import usual_distance
from interseg.continual.fisher import squared_gradients
from interseg.continual.stream import TaskStream
from interseg.networks.clis_network import CLISNetwork

EMBEDDED = 16
"""Number of images that are embedded at a time."""
REFINED = 8
"""Number of images of a refinement's step."""
Place = Callable[[Tensor], Tensor]
"""Function that moves images to the device and into the precision of the weights."""


Example = tuple[Tensor, Tensor]
"""An image (1, 3, H, W), and a bool (1, H, W) of the pixels that count."""


def sharpen(
    network: CLISNetwork, examples: Iterable[Example], weight: float = 1.0, draws: int = 1
) -> None:
    """Lower variances by the information of images, see `GaussianWeights.sharpen`.

    The information is that at the means.

    Args:
        network: Network whose variances change.
        examples: Images, and the pixels that count.
        weight: Number of images that each of them counts for.
        draws: Number of label maps drawn for each image.
    """
    parts = gaussian_weights(network)
    means = [part.mean for part in parts]
    information = [torch.zeros_like(mean) for mean in means]
    network.train()
    with torch.autocast(means[0].device.type, enabled=False), torch.enable_grad():
        for image, valid in examples:
            squares = squared_gradients(network(image, sample=0.0), means, draws, valid)
            for total, square in zip(information, squares, strict=True):
                total += weight * square
    for part, total in zip(parts, information, strict=True):
        part.sharpen(total)


def pretraining_examples(data: TaskStream, place: Place) -> Iterator[Example]:
    """Give the images of the pretraining one by one, with their labelled pixels."""
    for start in range(data.pretraining_images):
        batch = data.pretraining_batch(1, start)
        image = place(batch["image"])
        yield image, batch["mask"].to(image.device) != IGNORE


def refine(
    network: CLISNetwork,
    data: TaskStream,
    place: Place,
    bound: Callable[..., Tensor],
    steps: int,
    rate: float,
) -> None:
    """Learn eq. 6 on the images, not augmented, from no noise to all of it.

    Args:
        network: Network that learns.
        data: Stream that gives the images of the pretraining.
        place: Function that moves images to the network.
        bound: Loss of images, labels, weights, a number of pixels, a weight of the KL terms and a
            share of the noise.
        steps: Number of steps.
        rate: Learning rate of Adam.
    """
    optimizer = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        batch = data.pretraining_batch(REFINED, start=REFINED * step)
        images = place(batch["image"])
        labels = batch["mask"].to(images.device)
        pixels = images.shape[2] * images.shape[3] * data.pretraining_images
        noise = min(1.0, 2 * (step + 1) / steps)
        optimizer.zero_grad()
        with torch.enable_grad():
            bound(images, labels, torch.ones_like(labels), pixels, 1.0, noise).backward()
        optimizer.step()


def distance_within(
    data: TaskStream,
    place: Place,
    embed: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """Compute the distance that is usual between images of the pretraining.

    Args:
        data: Stream that gives the images.
        place: Function that moves images to the embedding.
        embed: Function from images (B, 3, H, W) to means and log-variances (B, D).
    """
    count = data.pretraining_images
    parts = []
    for start in range(0, count, EMBEDDED):
        images = data.pretraining_batch(EMBEDDED, start)["image"]
        parts.append(embed(place(images)))
    means, log_variances = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
    return usual_distance(means, log_variances)
