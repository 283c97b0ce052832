"""The tables of dynamic interactive learning in 3D, a row per setting, over permutations.

    python -m benchmarks.dynamic3d FOLDER [key=value ...]
        --data '--config data/msd.yaml data.root=PATH data.held_out=20 data.stream=40'
        [--tables 1 2 3 5 6 7] [--first 10 20 30] [--permutations 3] [--steps N] [--part K/N]

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
import itertools
import re
import shlex
from pathlib import Path

from benchmarks.dynamic3d_tables import RHO, SHOW, Row
from benchmarks.running import run_once

LABELLED = ["--config", "dynamic3d/labelled.yaml"]
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
"""Rows that start from the network that another row of the same permutation has learned; that row
comes before them, and one part makes both."""
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
"""Rows of each kind of table, by the paper's number."""


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
    # one split, whatever a run's seed
    given = ["--config", "dynamic3d.yaml", "data.seed=0", *options.data, *options.overrides]
    permutations = range(options.permutations)
    firsts = [name for name in ROWS if name in needed - STARTS.keys()]
    starts = list(itertools.product(firsts, permutations))
    for start, permutation in starts[part::parts]:
        followers = [row for row in ROWS if row in needed and STARTS.get(row) == start]
        for name in [start, *followers]:
            make(options.folder, name, permutation, given, options.steps)
    counts = options.first if 2 in options.tables else []
    prefixes = list(itertools.product(counts, permutations))
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


def make(
    folder: Path,
    name: str,
    permutation: int,
    given: list[str],
    steps: int | None,
    first: int | None = None,
) -> None:
    """Train the run of a row and a permutation, unless it exists.

    Args:
        folder: Folder of all runs.
        name: Row.
        permutation: Number of the permutation.
        given: Words of every run.
        steps: Number of steps of a round; None for the config's.
        first: Number of the permutation's first volumes to train offline on; None for all.
    """
    run = run_folder(folder, name if first is None else prefix_row(first), permutation)
    words = [
        *ROWS[name],
        f"protocol.sequences={permutation + 1}",
        f"protocol.sequence={permutation}",
    ]
    if name == OFFLINE:  # its permutations are epochs
        words = [*ROWS[name], f"seed={permutation}"]
        if first is not None:
            words.append(f"protocol.first=[{permutation},{first}]")
    elif steps is not None:
        words += [
            f"model.steps={6 * steps if name in LABELLED_ROWS else steps}",
            "model.more_steps=0",
        ]
    if name in STARTS:
        start = run_folder(folder, STARTS[name], permutation)
        words.append(f"model.pretrained={start / 'checkpoints' / 'last.ckpt'}")
    run_once(run / "finished", "train.py", *given, *words, f"run={run}", "checkpoint=last")


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


if __name__ == "__main__":
    main()
