"""Time of each click encoding against its plain formula, at 512 x 512.

The formula takes the distance of every pixel to every click, in one vectorised expression in torch
(as RITM's `DistMaps`: squares, the minimum over clicks, one root at the end). The maximal
difference of the maps is printed beside the ratio. One thread by default: on a busy machine more of
them wait for each other at every operation.

    python -m benchmarks.guidance [--clicks 20] [--size 512] [--batch 1] [--threads 1]
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import median_times
from interseg.clicks.guidance import (
    GAUSSIAN_PEAK,
    DiskGuidance,
    DistanceGuidance,
    FlooredGaussianGuidance,
    GaussianGuidance,
    Guidance,
)

Formula = Callable[[Tensor], Tensor]
STD, CLIP, RADIUS, TRUNCATION = 10.0, 20.0, 5.0, 255.0


def gaussian(distance: Tensor) -> Tensor:
    return GAUSSIAN_PEAK * torch.exp(-(distance**2) / (2 * STD**2))


ENCODINGS: dict[str, tuple[Guidance, Formula]] = {
    "GaussianGuidance": (
        GaussianGuidance(STD, CLIP),
        lambda d: torch.where(d <= CLIP, gaussian(d), 0.0),
    ),
    "DiskGuidance": (DiskGuidance(RADIUS), lambda d: (d <= RADIUS).float()),
    "DistanceGuidance": (
        DistanceGuidance(TRUNCATION),
        lambda d: d.clamp_max(TRUNCATION) / TRUNCATION,
    ),
    "FlooredGaussianGuidance": (
        FlooredGaussianGuidance(STD, CLIP),
        lambda d: gaussian(d.clamp_max(CLIP)),
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--clicks", type=int, default=20, help="of each sign")
    arguments.add_argument("--size", type=int, default=512, help="height and width in pixels")
    arguments.add_argument("--batch", type=int, default=1, help="objects encoded at once")
    arguments.add_argument("--repeats", type=int, default=15, help="of each timing")
    arguments.add_argument("--threads", type=int, default=1, help="of torch, for both")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    clicks = random_clicks(options.batch, options.clicks, options.size)
    print(
        f"{options.clicks} clicks a sign, {options.batch} x {options.size} x {options.size}, "
        f"{options.threads} thread(s)"
    )
    print("encoding                  formula    here     ratio  maximal difference")
    for name, (guidance, formula) in ENCODINGS.items():
        print(f"{name:24}  {row(guidance, formula, clicks, options.size, options.repeats)}")


def row(guidance: Guidance, formula: Formula, clicks: Tensor, size: int, repeats: int) -> str:
    """Measure times, ratio and maximal difference of an encoding and its formula."""
    differences = naive_maps(clicks, size, formula) - guidance(clicks, size, size)
    difference = float(differences.abs().max())
    naive, ours = median_times(
        repeats, lambda: naive_maps(clicks, size, formula), lambda: guidance(clicks, size, size)
    )
    return f"{1000 * naive:5.1f} ms  {1000 * ours:6.2f} ms  {naive / ours:5.1f}  {difference:.1e}"


def random_clicks(batch: int, count: int, size: int) -> Tensor:
    """Draw clicks (B, 2 count, 3): the positive clicks of each object, then its negative ones."""
    pixels = torch.randint(size, (batch, 2 * count, 2), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 0]).repeat_interleave(count).expand(batch, -1)[..., None]
    return torch.cat([pixels, labels], -1)


def naive_maps(clicks: Tensor, size: int, formula: Formula) -> Tensor:
    """Compute the maps (B, 2, size, size) of a formula of the distance to the nearest click.

    There are as many clicks of each sign, the positive ones first.
    """
    y, x, _ = clicks.view(len(clicks), 2, -1, 3).float().unbind(-1)
    side = torch.arange(size, dtype=torch.float32)
    squares = (side[:, None] - y[..., None, None]) ** 2 + (side - x[..., None, None]) ** 2
    return formula(squares.amin(2).sqrt())


if __name__ == "__main__":
    main()
