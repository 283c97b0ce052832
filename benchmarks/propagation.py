"""Energy and time of `propagate` against the official code's 401 steps of Adam, on one image.

    python -m benchmarks.propagation [--image PATH] [--classes 2] [--pair-weight 1] [--size 256 352]
    [--repeats 3]

Without an image a photo of scikit-image is taken; the prediction is made of blurred noise, 16
superpixels are annotated.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmarks import median_times
from interseg.continual.propagation import energy, lab, normalise, propagate, similarity
from interseg.continual.superpixels import superpixels
from interseg.images import read_image

STEPS = 401
"""Number of steps of Adam in the official code."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--image", type=Path)
    arguments.add_argument("--classes", type=int, default=2)
    arguments.add_argument("--pair-weight", type=float, default=1.0)
    arguments.add_argument("--size", type=int, nargs=2, default=[256, 352])
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    height, width = options.size
    image = (read_image(options.image) if options.image else skimage.data.astronaut())[
        :height, :width
    ]
    rng = np.random.default_rng(0)
    field = np.stack(
        [gaussian_filter(rng.normal(size=image.shape[:2]), 8) for _ in range(options.classes)]
    )
    prior = torch.from_numpy(1.5 * field / field.std()).float().softmax(0)
    segments = superpixels(image)
    annotation = np.full(image.shape[:2], 255, np.uint8)
    for segment in rng.choice(segments.max() + 1, 16, replace=False):
        annotation[segments == segment] = rng.integers(options.classes)
    labels = torch.from_numpy(annotation)
    pairs = [options.pair_weight * w for w in similarity(torch.from_numpy(lab(image)))]
    print(
        "| weight of annotations | energy, Adam at its best rate | energy, ours | turns | time, "
        "ours / Adam |\n|---|---|---|---|---|"
    )
    for weight in (10.0, 1000.0):
        descents = {
            rate: adam(prior, labels, pairs, weight, rate) for rate in (0.01, 0.03, 0.1, 0.3)
        }
        best, rate = min(
            (float(energy(theta, prior, labels, pairs, weight)), rate)
            for rate, theta in descents.items()
        )
        turns = next(
            n
            for n in range(1, 200)
            if energy(propagate(prior, labels, pairs, weight, n, 0), prior, labels, pairs, weight)
            <= best
        )
        ours = float(energy(propagate(prior, labels, pairs, weight), prior, labels, pairs, weight))
        slow, fast = median_times(
            options.repeats,
            partial(adam, prior, labels, pairs, weight, rate),
            partial(propagate, prior, labels, pairs, weight, turns, 0),
        )
        print(f"| {weight:g} | {best:.1f} | {ours:.1f} | {turns} to Adam's | {fast / slow:.4f} |")


def adam(
    prior: Tensor, annotation: Tensor, pairs: list[Tensor], weight: float, rate: float
) -> Tensor:
    """Compute the probabilities after the official code's number of steps."""
    logits = prior.log().clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        energy(normalise(logits.softmax(0)), prior, annotation, pairs, weight).backward()
        optimizer.step()
    return normalise(logits.detach().softmax(0))


if __name__ == "__main__":
    main()
