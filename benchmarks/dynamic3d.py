"""The tables of dynamic interactive learning in 3D, over permutations: each a row a setting, each run a setting and a permutation.

    python -m benchmarks.dynamic3d FOLDER --data '--config data/msd.yaml data.root=PATH
    data.held_out=20 data.stream=40'
        [--tables 1 2 3 5 6 7] [--first 10 20 30] [--permutations 3] [--steps N] [--part K/N]
        [key=value ...]

1: dynamic learning from whole labels. 2: the same by volumes seen; offline training has a run for
each of `--first`, of so many volumes of a permutation. 3 (the paper's 3 and 4): each held-out
volume by itself. 5: the held-out volumes as a stream. 6: dynamic interactive learning, and where
Figures 4 and 5 end. 7: slices until every volume passes 0.85. Every run is made by train.py itself;
what is finished is not done again, what was killed goes on from its last checkpoint. With `--part`
this process makes its share of the runs only, and no table (array jobs); the same line without it
prints the tables. A volume that is labelled wholly is learned in as many steps as one in six
rounds.
"""

import argparse
import csv
import re
import shlex
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ablation import done
from interseg.files import write_whole

LABELLED = ["--config", "dynamic3d/labelled.yaml"]
RHO = 0.85
NO_REPLAY, NO_SMOOTHING = "model.replay=null", "model.smoothing=false"
RANDOM, UNWEIGHTED = "callbacks.loop.user.guided=false", "callbacks.loop.confidence=none"
STATIC = ["--config", "dynamic3d/static.yaml"]
STREAM = ["protocol.volumes=held_out"]
UNTIL = [f"callbacks.loop.satisfied={RHO}", "protocol.rounds=30"]
OFFLINE = "offline"
Settings = dict[str, list[str]]
LABELLED_ROWS: Settings = {
    OFFLINE: ["--config", "dynamic3d/offline.yaml"],
    "dynamic": [*LABELLED, NO_REPLAY, NO_SMOOTHING],
    "dynamic, replay": [*LABELLED, NO_SMOOTHING],
    "dynamic, smoothing": [*LABELLED, NO_REPLAY],
    "dynamic, replay, smoothing": LABELLED,
}
INTERACTIVE_ROWS: Settings = {
    "interactive": [NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
    "interactive, replay": [NO_SMOOTHING, RANDOM, UNWEIGHTED],
    "interactive, replay, weighted": [NO_SMOOTHING, RANDOM],
    "interactive, replay, weighted, guided": [NO_SMOOTHING],
    "interactive, replay, weighted, guided, smoothing": [],
    "interactive, replay, weighted, guided, smoothing, 2 + 2": ["callbacks.loop.user.count=2"],
}
STATIC_ROWS: Settings = {
    "cold": [*STATIC, RANDOM, UNWEIGHTED],
    "cold, guided": [*STATIC, UNWEIGHTED],
    "cold, guided, weighted": STATIC,
    "warm, guided": [*STATIC, UNWEIGHTED],
    "warm, guided, weighted": STATIC,
}
STREAM_ROWS: Settings = {
    "cold, guided, weighted, as a stream": [*STREAM, NO_SMOOTHING],
    "warm, guided, weighted, as a stream": [*STREAM, NO_SMOOTHING],
}
AFTER_ROWS: Settings = {
    "after interaction, as a stream": STREAM,
    "after 2 + 2, as a stream, 2 + 2": [*STREAM, "callbacks.loop.user.count=2"],
}
UNTIL_ROWS: Settings = {
    f"until {RHO}, interactive": [*UNTIL, NO_REPLAY, NO_SMOOTHING, RANDOM, UNWEIGHTED],
    f"until {RHO}, replay, weighted, guided": [*UNTIL, NO_SMOOTHING],
}
COPY_ROWS: Settings = {
    "interactive, replay, weighted, guided, smoothing, copied slices": [
        "callbacks.loop.registration=copy"
    ]
}
"""The control of the registration."""
ROWS = {
    **LABELLED_ROWS,
    **INTERACTIVE_ROWS,
    **COPY_ROWS,
    **STATIC_ROWS,
    **STREAM_ROWS,
    **AFTER_ROWS,
    **UNTIL_ROWS,
}
STARTS = {
    **dict.fromkeys((name for name in ROWS if name.startswith("warm")), OFFLINE),
    "after interaction, as a stream": "interactive, replay, weighted, guided, smoothing",
    "after 2 + 2, as a stream, 2 + 2": "interactive, replay, weighted, guided, smoothing, 2 + 2",
}
"""Rows that begin with what another one of the same permutation has learned; that one stands before
them, and one part makes both."""
BOTH_WAYS = [name for name in (*STATIC_ROWS, *STREAM_ROWS) if "guided, weighted" in name]
TABLES: dict[int, dict[str, list[str]]] = {
    1: {"held_out": list(LABELLED_ROWS)},
    2: {"by_seen": list(LABELLED_ROWS)},
    3: {"by_round": list(STATIC_ROWS)},
    5: {"by_round": BOTH_WAYS},
    6: {
        "held_out": list(INTERACTIVE_ROWS),
        "by_round": [*INTERACTIVE_ROWS, *COPY_ROWS, *AFTER_ROWS],
        "three_curves": list(INTERACTIVE_ROWS),
    },
    7: {"slices": list(UNTIL_ROWS)},
}
"""The paper's number: what is shown, of which rows."""
Row = dict[str, str]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument(
        "--data", type=shlex.split, required=True, help="config and overrides of the volumes"
    )
    arguments.add_argument(
        "--tables", type=int, nargs="+", default=sorted(TABLES), choices=sorted(TABLES)
    )
    arguments.add_argument(
        "--first", type=int, nargs="+", default=[], help="volumes that Table 2 trains offline on"
    )
    arguments.add_argument("--permutations", type=int, default=3)
    arguments.add_argument(
        "--steps", type=int, help="of each round, and six times as many of a volume labelled wholly"
    )
    arguments.add_argument(
        "--part", default="0/1", help="K/N: make one share of N of the runs, and no table"
    )
    arguments.add_argument("overrides", nargs="*")
    options = arguments.parse_intermixed_args()
    found = re.fullmatch(r"(\d+)/(\d+)", options.part)
    if not found or not int(found[1]) < int(found[2]):
        arguments.error(f"--part {options.part}: give K/N, K from 0 to N - 1")
    part, parts = int(found[1]), int(found[2])
    shown = {name for table in options.tables for names in TABLES[table].values() for name in names}
    needed = shown | {STARTS[name] for name in shown if name in STARTS}
    given = [
        "--config",
        "dynamic3d.yaml",
        "data.seed=0",
        *options.data,
        *options.overrides,
    ]  # one split, whatever a run's seed
    same_as_before(options.folder, [*given, f"--steps={options.steps}"])
    permutations = range(options.permutations)
    starts = [
        (name, permutation)
        for name in ROWS
        if name in needed - STARTS.keys()
        for permutation in permutations
    ]
    for start, permutation in starts[part::parts]:
        for name in [start, *(row for row in ROWS if row in needed and STARTS.get(row) == start)]:
            make(options.folder, name, permutation, given, options.steps)
    prefixes = [
        (count, permutation)
        for count in options.first
        for permutation in permutations
        if 2 in options.tables
    ]
    for count, permutation in prefixes[part::parts]:
        make(options.folder, OFFLINE, permutation, given, options.steps, count)
    if parts > 1:
        return
    for table in options.tables:
        print(f"\n### Table {table}")
        for show, names in TABLES[table].items():
            print()
            runs = {
                name: [read(options.folder, name, permutation) for permutation in permutations]
                for name in names
            }
            for count, permutation in prefixes if table == 2 else []:
                runs[OFFLINE][permutation] += read(options.folder, prefix_row(count), permutation)
            SHOW[show](runs)


def same_as_before(folder: Path, given: list[str]) -> None:
    """Write what all runs of a folder have in common; stop where it was something else."""
    folder.mkdir(parents=True, exist_ok=True)
    file, line = folder / "given.txt", shlex.join(given)
    if file.exists() and file.read_text() != line:
        sys.exit(f"{folder} holds runs of `{file.read_text()}`; give another folder")
    write_whole(file, line)  # other parts read it


def make(
    folder: Path,
    name: str,
    permutation: int,
    given: list[str],
    steps: int | None,
    first: int | None = None,
) -> None:
    """Train the run of a row and a permutation, unless it is there; of offline training, also on the permutation's first volumes alone."""
    run = run_folder(folder, name if first is None else prefix_row(first), permutation)
    words = [
        *ROWS[name],
        f"protocol.sequences={permutation + 1}",
        f"protocol.sequence={permutation}",
    ]
    if name == OFFLINE:  # its permutations are epochs
        words = [*ROWS[name], f"seed={permutation}"] + [
            f"protocol.first=[{permutation},{first}]"
        ] * (first is not None)
    elif steps is not None:
        words += [
            f"model.steps={6 * steps if name in LABELLED_ROWS else steps}",
            "model.more_steps=0",
        ]
    if name in STARTS:
        start = run_folder(folder, STARTS[name], permutation)
        words.append(f"model.pretrained={start / 'checkpoints' / 'last.ckpt'}")
    done(run / "finished", "train.py", *given, *words, f"run={run}", "checkpoint=last")


def prefix_row(count: int) -> str:
    """Return the row of offline training on the first volumes of a permutation."""
    return f"{OFFLINE}, first {count}"


def run_folder(folder: Path, name: str, permutation: int) -> Path:
    """Return a run's folder."""
    return folder / f"{name.replace(', ', '_').replace(' ', '-')}-{permutation}"


def read(folder: Path, name: str, permutation: int) -> list[Row]:
    """Read the lines of a run's dice.csv."""
    with (run_folder(folder, name, permutation) / "dice.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def held_out(table: dict[str, list[list[Row]]]) -> None:
    """Dice on the held-out volumes after the last one learned."""
    print("| | mean | std | min | max | mean of each permutation |\n|---|---|---|---|---|---|")
    for name, runs in table.items():
        last = [
            [
                float(r["dice"])
                for r in rows
                if r["kind"] == "held_out" and r["seen"] == rows[-1]["seen"]
            ]
            for rows in runs
        ]
        columns = list(zip(*map(summary, last), strict=True))
        each = ", ".join(f"{mean:.3f}" for mean in columns[0])
        print(f"| {name} | " + " | ".join(map(over, columns)) + f" | {each} |")


def by_seen(table: dict[str, list[list[Row]]]) -> None:
    """Mean Dice on the held-out volumes / on the rest of the stream, after so many volumes of it."""
    seen = sorted(
        {
            int(r["seen"])
            for runs in table.values()
            for rows in runs
            for r in rows
            if r["kind"] == "held_out"
        }
    )
    print("| | " + " | ".join(map(str, seen)) + " |\n" + "|---" * (len(seen) + 1) + "|")
    for name, runs in table.items():
        cells = [
            " / ".join(average(runs, kind, count) for kind in ("held_out", "unseen"))
            for count in seen
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def average(runs: list[list[Row]], kind: str, seen: int) -> str:
    """Mean Dice after so many volumes, over permutations; "-" where that was not measured."""
    found = [
        float(r["dice"])
        for rows in runs
        for r in rows
        if r["kind"] == kind and int(r["seen"]) == seen
    ]
    return f"{statistics.mean(found):.3f}" if found else "-"


def summary(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, standard deviation, least and largest."""
    return statistics.mean(values), statistics.pstdev(values), min(values), max(values)


def over(values: Sequence[float], digits: int = 3) -> str:
    """Mean and, of several permutations, their standard deviation."""
    return f"{statistics.mean(values):.{digits}f}" + (
        f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    )


def by_round(table: dict[str, list[list[Row]]]) -> None:
    """Dice of proxy mask and truth after each round: mean [least, largest] over volumes, each the mean over permutations; mean labour."""
    rounds = {
        name: [[row for row in rows if row["kind"] == "round"] for rows in runs]
        for name, runs in table.items()
    }
    numbers = sorted(
        {int(row["round"]) for runs in rounds.values() for rows in runs for row in rows}
    )
    print(
        "| | "
        + " | ".join(f"round {n + 1}" for n in numbers)
        + " |\n"
        + "|---" * (len(numbers) + 1)
        + "|"
    )
    for name, runs in rounds.items():
        cells, given = [], []
        for number in numbers:
            now = [[row for row in rows if int(row["round"]) == number] for rows in runs]
            found = [summary([float(row["proxy"]) for row in rows]) for rows in now]
            mean, _, low, high = (statistics.mean(column) for column in zip(*found, strict=True))
            cells.append(f"{mean:.3f} [{low:.2f}, {high:.2f}]")
            given.append(statistics.mean(float(row["labour"]) for rows in now for row in rows))
        print(f"| {name} | " + " | ".join(cells) + " |")
        print("| its labour | " + " | ".join(f"{share:.0%}" for share in given) + " |")


def three_curves(table: dict[str, list[list[Row]]]) -> None:
    """Dice of answer and truth, proxy and truth, answer and proxy over a stream, after the second and the last round (Fig. 4, 5)."""
    columns = {"dice": "F and Y", "proxy": "proxy and Y", "agreement": "F and proxy"}
    number = max(
        int(row["round"])
        for runs in table.values()
        for rows in runs
        for row in rows
        if row["kind"] == "round"
    )
    shown = [(at, name) for at in sorted({min(1, number), number}) for name in columns]
    print(
        "| | "
        + " | ".join(f"round {at + 1}: {columns[name]}" for at, name in shown)
        + " |\n"
        + "|---" * (len(shown) + 1)
        + "|"
    )
    for name, runs in table.items():
        rounds = [row for rows in runs for row in rows if row["kind"] == "round"]
        cells = [
            f"{statistics.mean(float(row[what]) for row in rounds if int(row['round']) == at):.3f}"
            for at, what in shown
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def slices(table: dict[str, list[list[Row]]]) -> None:
    """Slices labelled in all planes until the first volumes of the stream pass, and those that their targets touch; labour (eq. 4)."""
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    print(
        "| | "
        + " | ".join(f"{share:.0%} of the volumes" for share in shares)
        + " | labour | volumes that did not pass |\n"
        + "|---" * (len(shares) + 3)
        + "|"
    )
    for name, runs in table.items():
        ends = [
            {int(r["seen"]): r for r in rows if r["kind"] == "round"} for rows in runs
        ]  # the last round of each volume
        cells = [over([total(end, "slices", share) for end in ends], 1) for share in shares]
        whole = [over([total(end, "touched", share) for end in ends], 1) for share in shares]
        labour = over([statistics.mean(float(r["labour"]) for r in end.values()) for end in ends])
        short = over([sum(float(r["proxy"]) <= RHO for r in end.values()) for end in ends], 1)
        print(f"| {name} | " + " | ".join(cells) + f" | {labour} | {short} |")
    print("| all that the target touches | " + " | ".join(whole) + " | | |")


def total(ends: dict[int, Row], column: str, share: float) -> int:
    """Sum of a column over the first share of the volumes."""
    return sum(int(ends[k][column]) for k in sorted(ends)[: round(share * len(ends))])


SHOW = {
    "held_out": held_out,
    "by_seen": by_seen,
    "by_round": by_round,
    "three_curves": three_curves,
    "slices": slices,
}


if __name__ == "__main__":
    main()
