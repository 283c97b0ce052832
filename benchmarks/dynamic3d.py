"""The tables of dynamic interactive learning in 3D, over permutations: each a row a setting, each run a setting and a permutation.

    python -m benchmarks.dynamic3d FOLDER --data '--config data/msd.yaml data.root=PATH data.held_out=20 data.stream=40'
        [--tables 1 3 5 6 7] [--permutations 3] [--part K/N] [key=value ...]

1: dynamic learning from whole labels. 3 (the paper's 3 and 4): each held-out volume by itself. 5: the held-out volumes as a stream.
6: dynamic interactive learning. 7: slices until every volume passes 0.85. Every run is made by train.py itself; what is finished is not
done again, what was killed goes on. With `--part` this process makes every N-th run only, and no table (array jobs).
"""

import argparse
import csv
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ablation import done

LABELLED = ["--config", "dynamic3d/labelled.yaml"]
OFFLINE = "dynamic3d/offline.yaml"
NO_REPLAY, NO_SMOOTHING = "model.replay=null", "model.smoothing=false"
RANDOM, UNWEIGHTED, TWO = "callbacks.loop.user.guided=false", "callbacks.loop.confidence=none", "callbacks.loop.user.count=2"
STATIC = ["--config", "dynamic3d/static.yaml", "data.learn_from=held_out"]
WARM = "{warm}"
"""Stands for the segmenter that learned the rest with whole labels, replay and smoothing, in the same permutation."""
UNTIL = ["callbacks.loop.satisfied=0.85", "data.rounds=30"]
ROWS: dict[int, dict[str, list[str]]] = {
    1: {
        "offline": [*LABELLED, "--config", OFFLINE, "callbacks.dice.every=1000"],
        "dynamic": [*LABELLED, NO_REPLAY, NO_SMOOTHING],
        "dynamic, replay": [*LABELLED, NO_SMOOTHING],
        "dynamic, smoothing": [*LABELLED, NO_REPLAY],
        "dynamic, replay, smoothing": LABELLED,
    },
    3: {
        "cold": [*STATIC, RANDOM, UNWEIGHTED],
        "cold, guided": [*STATIC, UNWEIGHTED],
        "cold, guided, weighted": STATIC,
        "warm, guided": [*STATIC, UNWEIGHTED, WARM],
        "warm, guided, weighted": [*STATIC, WARM],
    },
    5: {
        "cold, guided, weighted": STATIC,
        "cold, guided, weighted, as a stream": ["data.learn_from=held_out", NO_SMOOTHING],
        "warm, guided, weighted": [*STATIC, WARM],
        "warm, guided, weighted, as a stream": ["data.learn_from=held_out", NO_SMOOTHING, WARM],
    },
    6: {
        "interactive": [NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
        "replay": [NO_SMOOTHING, RANDOM, UNWEIGHTED],
        "replay, weighted": [NO_SMOOTHING, RANDOM],
        "replay, weighted, guided": [NO_SMOOTHING],
        "replay, weighted, guided, smoothing": [],
        "replay, weighted, guided, smoothing, 2 + 2": [TWO],
    },
    7: {
        "interactive": [*UNTIL, NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
        "replay, weighted, guided": [*UNTIL, NO_SMOOTHING],
    },
}
Row = dict[str, str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--data", type=shlex.split, required=True, help="config and overrides of the volumes")
    arguments.add_argument("--tables", type=int, nargs="+", default=sorted(ROWS), choices=sorted(ROWS))
    arguments.add_argument("--permutations", type=int, default=3)
    arguments.add_argument("--part", help="K/N: make every N-th run from the K-th on, and no table")
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    part, parts = map(int, options.part.split("/")) if options.part else (0, 1)
    given = ["--config", "dynamic3d.yaml", *options.data, *options.overrides]
    runs = [(permutation, row) for table in options.tables for permutation in range(options.permutations) for row in ROWS[table].values()]
    for number, (permutation, row) in enumerate(runs):
        if number % parts == part:
            make(options.folder, permutation, row, given)
    if options.part:
        return
    for table in options.tables:
        show = {1: held_out, 3: by_round, 5: by_round, 6: held_out, 7: slices}[table]
        print(f"\n### Table {table}\n")
        show(
            {
                name: [read(options.folder, permutation, row) for permutation in range(options.permutations)]
                for name, row in ROWS[table].items()
            }
        )


def make(folder: Path, permutation: int, row: list[str], given: list[str]) -> Path:
    """The run of a row and a permutation, made unless it is there; with what it starts from."""
    words = list(row)
    if WARM in row:
        start = make(folder, permutation, ROWS[1]["dynamic, replay, smoothing"], given)
        words[words.index(WARM)] = f"model.pretrained={start / 'checkpoints' / 'last.ckpt'}"
    configs = [word for k, word in enumerate(words) if word == "--config" or (k and words[k - 1] == "--config")]
    overrides = [word for word in words if word not in configs]
    run = place(folder, permutation, row)
    own = [f"data.permutations={permutation + 1}", f"data.permutation={permutation}", "trainer.max_epochs=1"]
    if OFFLINE in row:  # its permutations are epochs; the split stays
        own = [f"seed={permutation}", "data.seed=0"]
    done(run / "finished", "train.py", *given[:2], *configs, *given[2:], *overrides, *own, f"run={run}", "checkpoint=last")
    return run


def place(folder: Path, permutation: int, row: list[str]) -> Path:
    """A run's folder; rows that tables share are one run."""
    words = [word.removesuffix(".yaml").split("/")[-1].split(".")[-1] for word in row if word != "--config"]
    return folder / f"{'_'.join(words).replace('{warm}', 'warm') or 'all'}-{permutation}"


def read(folder: Path, permutation: int, row: list[str]) -> list[Row]:
    """The lines of a run's dice.csv."""
    with (place(folder, permutation, row) / "dice.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def held_out(table: dict[str, list[list[Row]]]) -> None:
    """Dice on the held-out volumes after the last one learned, and the mean by volumes seen, there and on the unseen rest (Table 2)."""
    print("| | mean | std | min | max |\n|---|---|---|---|---|")
    for name, runs in table.items():
        last = [[float(r["dice"]) for r in rows if r["kind"] == "held_out" and r["seen"] == rows[-1]["seen"]] for rows in runs]
        print(f"| {name} | " + " | ".join(over(column) for column in zip(*map(summary, last), strict=True)) + " |")
    seen = sorted({int(r["seen"]) for rows in next(reversed(table.values())) for r in rows if r["kind"] == "held_out"})
    print("\nAfter so many volumes, held out / unseen:\n\n| | " + " | ".join(map(str, seen)) + " |\n" + "|---" * (len(seen) + 1) + "|")
    for name, runs in table.items():
        cells = [" / ".join(average(runs, kind, count) for kind in ("held_out", "unseen")) for count in seen]
        print(f"| {name} | " + " | ".join(cells) + " |")


def average(runs: list[list[Row]], kind: str, seen: int) -> str:
    """Mean Dice after so many volumes, over permutations; "-" where that was not measured."""
    found = [float(r["dice"]) for rows in runs for r in rows if r["kind"] == kind and int(r["seen"]) == seen]
    return f"{statistics.mean(found):.3f}" if found else "-"


def summary(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, standard deviation, least and largest."""
    return statistics.mean(values), statistics.pstdev(values), min(values), max(values)


def over(values: Sequence[float]) -> str:
    """Mean and, of several permutations, their standard deviation."""
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def by_round(table: dict[str, list[list[Row]]]) -> None:
    """Dice of proxy mask and truth after each round: mean [least, largest] over volumes, each the mean over permutations."""
    numbers = sorted({int(r["round"]) for runs in table.values() for rows in runs for r in rows if r["kind"] == "round"})
    print("| | " + " | ".join(f"round {n + 1}" for n in numbers) + " |\n" + "|---" * (len(numbers) + 1) + "|")
    for name, runs in table.items():
        cells = []
        for number in numbers:
            found = [summary([float(r["proxy"]) for r in rows if r["kind"] == "round" and int(r["round"]) == number]) for rows in runs]
            mean, _, low, high = (statistics.mean(column) for column in zip(*found, strict=True))
            cells.append(f"{mean:.3f} [{low:.2f}, {high:.2f}]")
        print(f"| {name} | " + " | ".join(cells) + " |")


def slices(table: dict[str, list[list[Row]]]) -> None:
    """Slices labelled, all planes together, until the first volumes of the stream pass; labour as a share of all (eq. 4)."""
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    print(
        "| | "
        + " | ".join(f"{share:.0%} of the volumes" for share in shares)
        + " | labour | volumes that did not pass |\n"
        + "|---" * 8
        + "|"
    )
    for name, runs in table.items():
        ends = [{int(r["seen"]): r for r in rows if r["kind"] == "round"} for rows in runs]  # the last round of each volume
        cells = [over([sum(int(end[k]["slices"]) for k in sorted(end)[: round(share * len(end))]) for end in ends]) for share in shares]
        labour = over([statistics.mean(float(r["labour"]) for r in end.values()) for end in ends])
        short = over([sum(float(r["proxy"]) <= 0.85 for r in end.values()) for end in ends])
        print(f"| {name} | " + " | ".join(cells) + f" | {labour} | {short} |")


if __name__ == "__main__":
    main()
