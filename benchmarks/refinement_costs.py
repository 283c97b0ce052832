"""What an evaluation of each refiner costs, in forward passes of the network.

    python -m benchmarks.refinement_costs [--config brs.yaml brs/small.yaml] [--size 240 320]
        [--photo 375 500] [--rows f_brs_a f_brs_b f_brs_c dist_map_brs brs] [--repeats 9]

Eight clicks of alternating labels lie anywhere on a photo of noise, before a network whose decoder
is untrained. A refiner ends when all of them are right, after 20 evaluations at most.
"""

import argparse
from functools import partial

import numpy as np
import torch

from benchmarks import median_times, print_heading, print_row
from configs import build, load, resolve
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.inference.refiners import REFINERS
from interseg.inference.scene import Scene
from interseg.views import resize_logits, scale_clicks

EVALUATIONS = 20
CLICKS = 8


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--config", nargs="+", default=["brs.yaml", "brs/small.yaml"])
    arguments.add_argument("--size", type=int, nargs=2, default=[240, 320], help="of the view")
    arguments.add_argument("--photo", type=int, nargs=2, default=[375, 500])
    rows = [name for name in REFINERS if name != "rgb_brs"]
    arguments.add_argument("--rows", nargs="+", choices=REFINERS, default=rows)
    arguments.add_argument("--repeats", type=int, default=9)
    options = arguments.parse_args()
    scene = draw_scene(options.config, tuple(options.size), tuple(options.photo))
    refiners = [REFINERS[name]() for name in options.rows]
    for refiner in refiners:
        refiner.evaluations = EVALUATIONS
    answers = [partial(refiner, scene, [{}]) for refiner in refiners]
    counts = [answer()[1][0]["counts"]["refinement_evaluations"] for answer in answers]
    with torch.inference_mode():
        forward, *times = median_times(options.repeats, scene.forward, *answers)
    print_heading(["", "evaluations", "an evaluation, in forward passes"])
    for name, count, time in zip(options.rows, counts, times, strict=True):
        print_row([name, str(count), f"{(time - forward) / count / forward:.3f}"])
    print(f"\na forward pass: {forward:.3f} s")


def draw_scene(config: list[str], size: tuple[int, int], photo: tuple[int, int]) -> Scene:
    """Draw a photo of noise, shown at (height, width), with clicks anywhere on it."""
    torch.manual_seed(0)
    model = resolve(load(config))["model"]
    network, guidance = build(model["network"]).eval(), build(model["guidance"])
    places = np.random.default_rng(0).integers((0, 0), photo, (CLICKS, 2))
    clicks = clicks_of([(y, x, i % 2, 0) for i, (y, x) in enumerate(places.tolist())])
    maps = guidance(scale_clicks(pad_clicks([clicks]), photo, size), *size)
    restore = partial(resize_logits, size=photo)
    return Scene(network, [torch.rand(1, 3, *size)], [maps], [restore], [clicks], False, [0])


if __name__ == "__main__":
    main()
