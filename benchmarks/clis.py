"""CLIS against its controls on sequences of tasks: basic, forward, backward (the paper's Table 1), paired intervals, a round's cost.

    python -m benchmarks.clis FOLDER --data '--config data/isic.yaml data.root=PATH' [--sequences 5]
    [--epochs 60]
        [--methods NAME ...] [--choose] [--strengths FOLDER ...] [key=value ...]

One pretraining, then every method on the same sequences under the same user. Every line is made by
train.py itself; what is finished is not done again, what was killed goes on. Overrides are those of
every line. `--choose` plays every method with several strengths, on sequences of a seed that is not
reported; the table is then played with the best of them, `--strengths FOLDER_OF_CHOICE ...`.
"""

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

from benchmarks.ablation import done
from interseg.evaluation.stream_comparison import KINDS, markdown, transfer_table

METHODS: dict[str, list[str]] = {
    "CLIS": [],
    "CLIS, no update": ["model.steps=0"],
    "plain, no update": ["--config", "clis/naive.yaml", "--config", "clis/none.yaml"],
    "naive fine-tuning": ["--config", "clis/naive.yaml"],
    "LwF": ["--config", "clis/lwf.yaml"],
    "EWC": ["--config", "clis/ewc.yaml"],
    "PackNet": ["--config", "clis/packnet.yaml"],
    "CLIS, random annotations": ["callbacks.loop.user.order=random"],
    "CLIS, plain uncertainty": ["callbacks.loop.user.order=entropy"],
    "CLIS, isolated update": ["--config", "clis/isolated.yaml"],
    "CLIS, gates drawn by eq. 8": ["model.network.gates=concrete"],
    "CLIS, straight-through gates": ["model.network.gates=straight_through"],
    "CLIS, no retrieval": ["model.retrieval=off"],
    "CLIS, oracle's retrieval": ["model.retrieval=oracle"],
    "CLIS, refined": ["model.refinement=200"],
    "CLIS, soft targets": ["model.targets=soft"],
    "LwF, soft targets": ["--config", "clis/lwf.yaml", "model.targets=soft"],
    "EWC, soft targets": ["--config", "clis/ewc.yaml", "model.targets=soft"],
    "CLIS, 60 steps": ["model.steps=60"],
    "CLIS, variational from scratch": ["--config", "clis/variational.yaml"],
}
"""The first seven are the table of the paper; the next two ask what guidance is worth, the others
what each part is worth."""
CANDIDATES: dict[str, dict[float, list[str]]] = {
    "CLIS": {weight: [f"model.kl_weight={weight}"] for weight in (10, 30, 100)},
    "LwF": {weight: [f"model.consolidation.weight={weight}"] for weight in (1, 3, 10)},
    "EWC": {weight: [f"model.consolidation.weight={weight}"] for weight in (100, 1000, 10000)},
    "PackNet": {share: [f"model.consolidation.pruned={share}"] for share in (0.25, 0.5, 0.75)},
}
"""The strengths that each method's was chosen from, three of each, on sequences of another seed
than the table's."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--data", type=shlex.split, required=True, help="config and overrides of the data"
    )
    arguments.add_argument("--sequences", type=int, default=5)
    arguments.add_argument("--epochs", type=int, default=60, help="of pretraining")
    arguments.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS)[:7])
    arguments.add_argument(
        "--choose", action="store_true", help="play every method's candidate strengths instead"
    )
    arguments.add_argument(
        "--strengths",
        type=Path,
        nargs="+",
        default=[],
        help="folders of --choose: play with the best on average",
    )
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    base = ["--config", "clis.yaml"]
    given = [*options.data, *options.overrides, "checkpoint=last"]
    found = {}
    best = strengths(options.strengths)
    lines = {
        method: [*METHODS[method], *best.get(method.split(",")[0], [])]
        for method in options.methods
    }
    if options.choose:
        lines = {
            named(method, value): [*METHODS[method], *change]
            for method in CANDIDATES
            for value, change in CANDIDATES[method].items()
        }
    for method, configs in lines.items():
        name, change = start_of(method)
        start = options.folder / name
        done(
            start / "finished",
            "train.py",
            *base,
            *change,
            *given,
            f"trainer.max_epochs={options.epochs}",
            f"run={start}",
        )
        run = folder_of(options.folder, method)
        stage = [
            "--config",
            "clis/tasks.yaml",
            f"protocol.sequences={options.sequences}",
        ]
        checkpoint = start / "checkpoints" / "last.ckpt"
        done(
            run / "finished",
            "train.py",
            *base,
            *configs,
            *given,
            *stage,
            f"model.pretrained={checkpoint}",
            f"run={run}",
        )
        found[method] = json.loads((run / "transfer.json").read_text())
    for prefix, title in KINDS.items():
        print(
            f"\n{title}\n\n{markdown(transfer_table({method: figures['sequences'] for method, figures in found.items()}, prefix))}"
        )
    print_rounds({method: figures["rounds"] for method, figures in found.items()})


def named(method: str, strength: float) -> str:
    """Name a candidate."""
    return f"{method}, {strength}"


def folder_of(folder: Path, method: str) -> Path:
    """Return the folder of a method's run."""
    return folder / re.sub("[^A-Za-z0-9.]+", "-", method)


def strengths(folders: list[Path]) -> dict[str, list[str]]:
    """Find the override of each method with which the mean of its basic, forward and backward performance is best, over all folders."""
    found = {}
    for method, candidates in CANDIDATES.items() if folders else ():
        worth = {}
        for value in candidates:
            means = [
                json.loads((folder_of(folder, named(method, value)) / "transfer.json").read_text())[
                    "mean"
                ]
                for folder in folders
            ]
            worth[value] = sum(
                mean[figure] for mean in means for figure in ("basic", "forward", "backward")
            )
        best = max(worth, key=lambda value: worth[value])
        print(f"{method}: {best}")
        found[method] = candidates[best]
    return found


def start_of(method: str) -> tuple[str, list[str]]:
    """Return the folder of the pretraining that a method begins with, and what it adds to the line."""
    files = [word for word in METHODS.get(method, []) if word == "clis/variational.yaml"]
    return ("pretrained-variational", ["--config", *files]) if files else ("pretrained", [])


def print_rounds(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print what a round brings and takes: refined IoU on unannotated pixels, seconds and passes from annotations to refined answer."""
    print(
        "\na round of annotation\n\n| | | basic | seconds | network passes |\n" + "|---" * 5 + "|"
    )
    for method, rounds in found.items():
        for number, row in enumerate(rounds, 1):
            costs = (
                ["", ""]
                if row["seconds"] is None
                else [f"{row['seconds']:.2f}", f"{row['passes']:.0f}"]
            )
            print(f"| {method} | round {number} | {row['basic']:.3f} | {costs[0]} | {costs[1]} |")


if __name__ == "__main__":
    main()
