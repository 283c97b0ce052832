"""Costs of two-in-one's parts: refinement against selection, and the loss within a training step.

python -m benchmarks.two_in_one_costs [--encoder resnet101] [--width 512] [--size 512]
    [--batch 2] [--repeats 5]
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import median_times
from interseg.distance import distance_to
from interseg.losses import BoundaryAwareCrossEntropy, balanced_cross_entropy
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.views import Box


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--encoder", default="resnet101")
    arguments.add_argument("--width", type=int, default=512)
    arguments.add_argument("--size", type=int, default=512, help="sides of the image")
    arguments.add_argument("--batch", type=int, default=2, help="of the training step")
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = TwoInOneNetwork(options.encoder, None, width=options.width).to(device)
    measure_click(network.eval(), options.size, options.repeats, device)
    measure_loss(network.train(), options.size, options.batch, options.repeats, device)


def measure_click(network: TwoInOneNetwork, size: int, repeats: int, device: torch.device) -> None:
    """Print the time of a refinement click over that of a selection click."""
    image = torch.rand(1, 3, size, size, device=device)
    clicks = torch.rand(1, 1, size, size, device=device)
    box = [Box(size // 4, size // 4, 3 * size // 4, 3 * size // 4)]
    with torch.inference_mode():
        _, features = network(image, clicks)
        select, refine = median_times(
            repeats,
            synchronise(lambda: network(image, clicks)),
            synchronise(lambda: network.refine(features, clicks, box)),
        )
    print(f"refinement click / selection click: {refine / select:.3f} (selection {select:.3f} s)")


def measure_loss(
    network: TwoInOneNetwork, size: int, batch: int, repeats: int, device: torch.device
) -> None:
    """Print the cost of the band's weights in the loss and in the loader, over a whole step."""
    image = torch.rand(batch, 3, size, size, device=device)
    clicks = torch.rand(batch, 1, size, size, device=device)
    truth = np.hypot(*(np.indices((size, size)) - size / 2)) < size / 5
    mask = torch.from_numpy(truth.astype(np.uint8)).to(device).repeat(batch, 1, 1)
    distance = torch.from_numpy(distance_to(truth)).to(device).repeat(batch, 1, 1)
    aware = BoundaryAwareCrossEntropy()
    logits = network(image, clicks)[0].detach().requires_grad_()

    def step() -> None:
        network.zero_grad()
        balanced_cross_entropy(network(image, clicks)[0], mask).backward()

    whole, plain, weighted, transform = median_times(
        repeats,
        synchronise(step),
        synchronise(lambda: balanced_cross_entropy(logits, mask).backward()),
        synchronise(lambda: aware(logits, mask, distance).backward()),
        lambda: [distance_to(truth) for _ in range(batch)],
    )
    shares = f"CB-CE {plain / whole:.4f}, BA-CE {weighted / whole:.4f}"
    print(f"forward and backward of a step at batch {batch}: {whole:.3f} s; of it {shares}")
    print(f"distances of the batch, in the loader's workers: {transform / whole:.4f} of a step")


def synchronise(function: Callable[[], object]) -> Callable[[], None]:
    """Make a call that ends when the device has finished its work."""

    def call() -> None:
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return call


if __name__ == "__main__":
    main()
