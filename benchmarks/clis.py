"""CLIS against its controls on sequences of tasks (the paper's Table 1), and a round's cost.

    python -m benchmarks.clis FOLDER [key=value ...] --data '--config data/isic.yaml data.root=PATH'
        [--sequences 5] [--epochs 60] [--methods NAME ...] [--choose] [--strengths FOLDER ...]

One pretraining, then every method on the same sequences under the same user; the tables have basic,
forward and backward performance with paired intervals. Every line is made by train.py itself;
finished commands are not run again, killed ones are resumed. Overrides are those of every line.
`--choose` plays every method with several strengths, on sequences of a seed that is not reported;
the table is then played with the best of them, `--strengths FOLDER_OF_CHOICE ...`.
"""

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import Any

from benchmarks.running import run_once
from interseg.evaluation.stream_tables import markdown, task_tables

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
    "CLIS, no retrieval": ["model.retrieval=last"],
    "CLIS, oracle's retrieval": ["model.retrieval=oracle"],
    "CLIS, refined": ["model.refinement=200"],
    "CLIS, soft targets": ["model.targets=soft"],
    "LwF, soft targets": ["--config", "clis/lwf.yaml", "model.targets=soft"],
    "EWC, soft targets": ["--config", "clis/ewc.yaml", "model.targets=soft"],
    "CLIS, 60 steps": ["model.steps=60"],
    "CLIS, variational from scratch": ["--config", "clis/variational.yaml"],
}
"""Changes of each row. The first seven are the paper's table; the next two measure the value of
guidance, the others that of each part."""
CANDIDATES: dict[str, dict[float, list[str]]] = {
    "CLIS": {weight: [f"model.kl_weight={weight}"] for weight in (10, 30, 100)},
    "LwF": {weight: [f"model.consolidation.weight={weight}"] for weight in (1, 3, 10)},
    "EWC": {weight: [f"model.consolidation.weight={weight}"] for weight in (100, 1000, 10000)},
    "PackNet": {share: [f"model.consolidation.pruned={share}"] for share in (0.25, 0.5, 0.75)},
}
"""Three candidate strengths of each method; one was chosen on sequences of another seed than the
table's."""


def read_options() -> argparse.Namespace:
    """Read the command line."""
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
    return arguments.parse_intermixed_args()


def main() -> None:
    options = read_options()
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
            name_candidate(method, value): [*METHODS[method], *change]
            for method in CANDIDATES
            for value, change in CANDIDATES[method].items()
        }
    for method, configs in lines.items():
        name, change = start_of(method)
        start = options.folder / name
        run_once(
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
        run_once(
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
    sequences = {method: figures["sequences"] for method, figures in found.items()}
    for title, table in task_tables(sequences).items():
        print(f"\n{title}\n\n{markdown(table)}")
    print_rounds({method: figures["rounds"] for method, figures in found.items()})


def name_candidate(method: str, strength: float) -> str:
    """Name a candidate."""
    return f"{method}, {strength}"


def folder_of(folder: Path, method: str) -> Path:
    """Return the folder of a method's run."""
    return folder / re.sub("[^A-Za-z0-9.]+", "-", method)


def strengths(folders: list[Path]) -> dict[str, list[str]]:
    """Find the override of each method with the best performance over all folders.

    Performance is the sum of basic, forward and backward performance.
    """
    found: dict[str, list[str]] = {}
    if not folders:
        return found
    for method, candidates in CANDIDATES.items():
        worth = {}
        for value in candidates:
            name = name_candidate(method, value)
            worth[value] = 0.0
            for folder in folders:
                file = folder_of(folder, name) / "transfer.json"
                mean = json.loads(file.read_text())["mean"]
                for figure in ("basic", "forward", "backward"):
                    worth[value] += mean[figure]
        best = max(worth, key=lambda value: worth[value])
        print(f"{method}: {best}")
        found[method] = candidates[best]
    return found


def start_of(method: str) -> tuple[str, list[str]]:
    """Return the folder of a method's pretraining, and the words that it adds to the line."""
    variational = "clis/variational.yaml"
    if variational in METHODS.get(method, []):
        return "pretrained-variational", ["--config", variational]
    return "pretrained", []


def print_rounds(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the gain and the cost of each round.

    The gain is refined IoU on unannotated pixels, the cost seconds and passes of the network from
    annotations to the refined answer.
    """
    print(
        "\na round of annotation\n\n| | | basic | seconds | network passes |\n" + "|---" * 5 + "|"
    )
    for method, rounds in found.items():
        for number, row in enumerate(rounds, 1):
            costs = ["", ""]
            if row["seconds"] is not None:
                costs = [f"{row['seconds']:.2f}", f"{row['passes']:.0f}"]
            print(f"| {method} | round {number} | {row['basic']:.3f} | {costs[0]} | {costs[1]} |")


if __name__ == "__main__":
    main()
