"""Answers to first clicks by objects' size: precision, recall and each object's best threshold.

    python -m benchmarks.first_click [--checkpoint RUN] [--config METHOD.yaml --config
    data/NAME.yaml] [--objects 40] [key=value ...]

A best threshold far above the answer's IoU says that the network ranks pixels well and answers too
little or too much; if the best thresholds are near it, it does not know the object.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Trainer

from benchmarks.played import build_method, spread_indices
from benchmarks.throughput import QUIET
from configs import build
from configs.console import run_guarded
from configs.options import parser
from datamodules.click_batches import ClickDataset
from interseg.clicks.layout import IGNORE
from interseg.clicks.users import RitmUser
from interseg.evaluation.game import Game, play
from interseg.inference.session import open_sessions

THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of probabilities, of which the best is taken for each object."""


@dataclass(frozen=True)
class Judged:
    """A first answer, ignored pixels left out."""

    share: float
    """Object's share of the photo."""
    iou: float
    best_threshold: float
    """IoU under the best of `THRESHOLDS`."""
    precision: float
    recall: float
    area: float
    """Answer's area as a multiple of the object's."""


def judge(probabilities: NDArray[np.floating], mask: NDArray[np.uint8]) -> Judged:
    """Judge an answer, pixels above a half.

    Args:
        probabilities: (H, W) of the object.
        mask: (H, W) in {0, 1, 255}, with a pixel of the object.
    """
    seen, truth = probabilities[mask != IGNORE], mask[mask != IGNORE] == 1

    def overlap(least: float) -> tuple[int, int, int]:
        answer = seen > least
        return int(np.sum(answer & truth)), int(np.sum(answer | truth)), int(np.sum(answer))

    both, either, answered = overlap(0.5)
    best = max(shared / union for shared, union, _ in map(overlap, THRESHOLDS))
    size = int(np.sum(truth))
    return Judged(
        float(truth.mean()),
        both / either,
        best,
        both / max(1, answered),
        both / size,
        answered / size,
    )


def table(judged: Sequence[Judged]) -> str:
    """Write a Markdown table of means over all objects and over quarters of them.

    The quarters are by size, the smallest objects first.
    """
    ordered = sorted(judged, key=lambda one: one.share)
    parts = {"all": ordered}
    for n, part in enumerate(np.array_split(np.arange(len(ordered)), 4)):
        if len(part):
            parts[f"quarter {n + 1}"] = [ordered[i] for i in part]
    names = [field.name.replace("_", " ") for field in fields(Judged)]
    lines = [f"| objects | number | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for name, rows in parts.items():
        means = np.mean([astuple(one) for one in rows], axis=0)
        lines.append(f"| {name} | {len(rows)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument(
        "--checkpoint", help="a run's folder, a checkpoint, or the name of a network that ships"
    )
    arguments.add_argument(
        "--objects", type=int, default=40, help="played, evenly spread over the test split"
    )
    options = arguments.parse_intermixed_args()
    model, config = build_method(options)
    player = Trainer(devices=1, accelerator=config["trainer"].get("accelerator", "auto"), **QUIET)
    model = model.to(player.strategy.root_device).eval()
    dataset = ClickDataset(build(config["data"], options.trust).objects("test"))
    chosen = spread_indices(len(dataset), options.objects)
    judged = []
    with player.precision_plugin.forward_context():
        for index in chosen:
            sample = dataset[0, index]
            (session,) = open_sessions(model, sample["image"][None].to(model.device))
            mask = sample["mask"].numpy()
            play([Game(session, mask, RitmUser(), max_clicks=1)])
            judged.append(judge(session.probabilities, mask))
    print(table(judged))


if __name__ == "__main__":
    run_guarded(main)
