"""Proxy masks by each registration: Dice with the truth by labelled slices, and times as ratios.

    python -m benchmarks.registration --config dynamic3d.yaml --config data/brats.yaml
    data.root=PATH [--first 0] [--volumes 4] [--slices 2 4 6]

The same random slices for every registration, as many along both planes.
"""

import time
from functools import partial

import numpy as np

from configs import build, load, resolve
from configs.console import run_guarded
from configs.options import parser
from configs.run import needs
from interseg.volumes.measures import dice
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import BACKENDS, Carry, dis_flow
from interseg.volumes.users import SliceUser

ROWS: dict[str, Carry] = BACKENDS | {
    "dis_preset": partial(dis_flow, least=24, stride=3, sure=None),
}
"""Registrations by name.

`dis_preset` is `dis_trusted` by OpenCV's medium preset on slices of their own size.
"""


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--volumes", type=int, default=4)
    arguments.add_argument("--first", type=int, default=0, help="number of the first volume")
    arguments.add_argument("--slices", type=int, nargs="+", default=[2, 4, 6])
    arguments.add_argument("--backends", nargs="+", choices=ROWS, default=list(ROWS))
    options = arguments.parse_intermixed_args()
    config = resolve(load(options.config, options.overrides, trusted=options.trust))
    needs(config, "data")
    data = build(config["data"], options.trust)
    dataset = data.objects("train")
    scores: dict[str, list[list[float]]] = {name: [] for name in options.backends}
    whole: dict[str, float] = dict.fromkeys(options.backends, 0.0)
    last: dict[str, float] = dict.fromkeys(options.backends, 0.0)
    for index in range(len(dataset))[options.first :][: options.volumes]:
        volume = dataset.read(index)
        truth = volume.mask.astype(bool)
        rounds = slices_of(truth, options.slices, index)
        for name in options.backends:
            row, proxy = [], ProxyMask(volume.image, ROWS[name])
            for labels in rounds:
                started = time.perf_counter()
                for axis, masks in labels.items():
                    proxy.label(axis, masks)
                seconds = time.perf_counter() - started
                row.append(dice(proxy.merge(), truth))
            last[name] += seconds
            once = ProxyMask(volume.image, ROWS[name])
            started = time.perf_counter()
            for axis in rounds[0]:
                once.label(
                    axis,
                    {number: mask for labels in rounds for number, mask in labels[axis].items()},
                )
            whole[name] += time.perf_counter() - started
            assert all(
                np.array_equal(proxy.planes[axis], once.planes[axis]) for axis in once.planes
            ), "grown is not the same as whole"
            scores[name].append(row)
    print_markdown(scores, whole, last, options.slices)


def slices_of(
    truth: np.ndarray, counts: list[int], seed: int
) -> list[dict[int, dict[int, np.ndarray]]]:
    """Draw the slices that a user labels at random, round after round.

    Args:
        truth: Target (D, H, W).
        counts: Numbers of labelled slices after each round, along each of the first two planes.
        seed: Seed of the draw.

    Returns:
        The masks of each round by plane and number of the slice.
    """
    generator, rounds = np.random.default_rng(seed), []
    known: dict[int, list[int]] = {0: [], 1: []}
    for before, count in zip([0, *counts], counts, strict=False):
        new = SliceUser((0, 1), count - before, guided=False).annotate(
            truth, truth, None, known, generator
        )
        rounds.append(new)
        for axis, masks in new.items():
            known[axis] += list(masks)
    return rounds


def print_markdown(
    scores: dict[str, list[list[float]]],
    whole: dict[str, float],
    last: dict[str, float],
    slices: list[int],
) -> None:
    """Print mean Dice by slices a plane, and times.

    Times are ratios to the slowest, and of the last round to all slices at once.
    """
    slowest = max(whole, key=lambda name: whole[name])
    print(
        "| | "
        + " | ".join(f"{n} + {n}" for n in slices)
        + f" | {slowest} / it, all slices at once | last round / all at once |"
    )
    print("|---" * (len(slices) + 3) + "|")
    for name, rows in scores.items():
        cells = [f"{value:.3f}" for value in np.mean(rows, 0)]
        print(
            f"| {name} | "
            + " | ".join(cells)
            + f" | {whole[slowest] / whole[name]:.1f} | {last[name] / whole[name]:.2f} |"
        )


if __name__ == "__main__":
    run_guarded(main)
