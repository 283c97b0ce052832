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
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ablation import done

LABELLED = ["--config", "dynamic3d/labelled.yaml"]
NO_REPLAY, NO_SMOOTHING = "model.replay=null", "model.smoothing=false"
RANDOM, UNWEIGHTED = "callbacks.loop.user.guided=false", "callbacks.loop.confidence=none"
STATIC = ["--config", "dynamic3d/static.yaml"]
STREAM = ["data.learn_from=held_out"]
UNTIL = ["callbacks.loop.satisfied=0.85", "data.rounds=30"]
OFFLINE = "offline"
ROWS: dict[str, list[str]] = {
    OFFLINE: [*LABELLED, "--config", "dynamic3d/offline.yaml", "model.steps=1"],
    "dynamic": [*LABELLED, NO_REPLAY, NO_SMOOTHING],
    "dynamic, replay": [*LABELLED, NO_SMOOTHING],
    "dynamic, smoothing": [*LABELLED, NO_REPLAY],
    "dynamic, replay, smoothing": LABELLED,
    "interactive": [NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
    "interactive, replay": [NO_SMOOTHING, RANDOM, UNWEIGHTED],
    "interactive, replay, weighted": [NO_SMOOTHING, RANDOM],
    "interactive, replay, weighted, guided": [NO_SMOOTHING],
    "interactive, replay, weighted, guided, smoothing": [],
    "interactive, replay, weighted, guided, smoothing, 2 + 2": ["callbacks.loop.user.count=2"],
    "cold": [*STATIC, RANDOM, UNWEIGHTED],
    "cold, guided": [*STATIC, UNWEIGHTED],
    "cold, guided, weighted": STATIC,
    "warm, guided": [*STATIC, UNWEIGHTED],
    "warm, guided, weighted": STATIC,
    "cold, guided, weighted, as a stream": [*STREAM, NO_SMOOTHING],
    "warm, guided, weighted, as a stream": [*STREAM, NO_SMOOTHING],
    "after interaction, as a stream": STREAM,
    "after 2 + 2, as a stream, 2 + 2": [*STREAM, "callbacks.loop.user.count=2"],
    "until 0.85, interactive": [*UNTIL, NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
    "until 0.85, replay, weighted, guided": [*UNTIL, NO_SMOOTHING],
}
STARTS = {
    **dict.fromkeys((name for name in ROWS if name.startswith("warm")), "dynamic, replay, smoothing"),
    "after interaction, as a stream": "interactive, replay, weighted, guided, smoothing",
    "after 2 + 2, as a stream, 2 + 2": "interactive, replay, weighted, guided, smoothing, 2 + 2",
}
"""Rows that begin with what another one of the same permutation has learned; that one stands before them."""
TABLES = {
    1: ("held_out", list(ROWS)[:5]),
    3: ("by_round", list(ROWS)[11:16]),
    5: ("by_round", [name for name in ROWS if name.endswith(("guided, weighted", "as a stream")) and name[:4] in ("cold", "warm")]),
    6: ("held_out", list(ROWS)[5:11]),
    7: ("slices", list(ROWS)[-2:]),
}
"""The paper's number, what is shown, of which rows; Table 6's last two rows are shown by rounds."""
DYNAMIC_TEST = list(STARTS)[-2:]
Row = dict[str, str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--data", type=shlex.split, required=True, help="config and overrides of the volumes")
    arguments.add_argument("--tables", type=int, nargs="+", default=sorted(TABLES), choices=sorted(TABLES))
    arguments.add_argument("--permutations", type=int, default=3)
    arguments.add_argument("--part", default="0/1", help="K/N: make every N-th run from the K-th on, and no table")
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    part, parts = map(int, options.part.split("/"))
    shown = {name for table in options.tables for name in TABLES[table][1]} | (set(DYNAMIC_TEST) if 6 in options.tables else set())
    needed = shown | {STARTS[name] for name in shown if name in STARTS}
    runs = [(name, permutation) for name in ROWS if name in needed for permutation in range(options.permutations)]
    given = ["--config", "dynamic3d.yaml", *options.data, *options.overrides]
    same_as_before(options.folder, given)
    for name, permutation in runs[part::parts]:
        make(options.folder, name, permutation, given)
    if parts > 1:
        return
    for table in options.tables:
        show, names = TABLES[table]
        print(f"\n### Table {table}\n")
        SHOW[show]({name: [read(options.folder, name, k) for k in range(options.permutations)] for name in names})
        if table == 6:
            print("\nThe held-out volumes as a stream:\n")
            by_round({name: [read(options.folder, name, k) for k in range(options.permutations)] for name in DYNAMIC_TEST})


def same_as_before(folder: Path, given: list[str]) -> None:
    """Write what all runs of a folder have in common; stop where it was something else."""
    folder.mkdir(parents=True, exist_ok=True)
    file, line = folder / "given.txt", shlex.join(given)
    if file.exists() and file.read_text() != line:
        sys.exit(f"{folder} holds runs of `{file.read_text()}`; give another folder")
    file.write_text(line)


def make(folder: Path, name: str, permutation: int, given: list[str]) -> None:
    """The run of a row and a permutation, unless it is there; it waits for the one it starts from, which another process may make."""
    run = place(folder, name, permutation)
    words = [*ROWS[name], f"data.permutations={permutation + 1}", f"data.permutation={permutation}", "trainer.max_epochs=1"]
    if name == OFFLINE:  # its permutations are epochs; the split stays
        words = [*ROWS[name], f"seed={permutation}", "data.seed=0"]
    if name in STARTS:
        start = place(folder, STARTS[name], permutation)
        while not (start / "finished").exists():
            time.sleep(5)
        words.append(f"model.pretrained={start / 'checkpoints' / 'last.ckpt'}")
    done(run / "finished", "train.py", *given, *words, f"run={run}", "checkpoint=last")


def place(folder: Path, name: str, permutation: int) -> Path:
    """A run's folder."""
    return folder / f"{name.replace(', ', '_').replace(' ', '-')}-{permutation}"


def read(folder: Path, name: str, permutation: int) -> list[Row]:
    """The lines of a run's dice.csv."""
    with (place(folder, name, permutation) / "dice.csv").open(newline="") as file:
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


SHOW = {"held_out": held_out, "by_round": by_round, "slices": slices}


if __name__ == "__main__":
    main()
