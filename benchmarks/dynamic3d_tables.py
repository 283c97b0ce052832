"""Tables of dynamic interactive learning in 3D, printed from the rows of the runs' dice.csv."""

import itertools
import statistics
from collections.abc import Iterable, Sequence

from benchmarks import print_heading, print_row

RHO = 0.85


Row = dict[str, str]


def held_out(table: dict[str, list[list[Row]]]) -> None:
    """Print Dice on the held-out volumes after the last volume of the stream."""
    print_heading(["", "mean", "std", "min", "max", "mean of each permutation"])
    for name, runs in table.items():
        last = []
        for rows in runs:
            found = of_kind(rows, "held_out")
            last.append([float(row["dice"]) for row in found if row["seen"] == rows[-1]["seen"]])
        columns = list(zip(*map(summary, last), strict=True))
        each = ", ".join(f"{mean:.3f}" for mean in columns[0])
        print_row([name, *map(over, columns), each])


def of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    """Choose the rows of a kind."""
    return [row for row in rows if row["kind"] == kind]


def join(runs: Iterable[Sequence[Row]]) -> list[Row]:
    """Join the rows of several runs."""
    return list(itertools.chain.from_iterable(runs))


def by_seen(table: dict[str, list[list[Row]]]) -> None:
    """Print mean Dice on the held-out volumes / the unseen ones, by the number of seen volumes."""
    rows = of_kind(join(map(join, table.values())), "held_out")
    seen = sorted({int(row["seen"]) for row in rows})
    print_heading(["", *map(str, seen)])
    for name, runs in table.items():
        cells = []
        for count in seen:
            held_out, unseen = (average(runs, kind, count) for kind in ("held_out", "unseen"))
            cells.append(f"{held_out} / {unseen}")
        print_row([name, *cells])


def average(runs: list[list[Row]], kind: str, seen: int) -> str:
    """Write mean Dice after a number of seen volumes, over permutations; "-" if not measured."""
    rows = of_kind(join(runs), kind)
    found = [float(row["dice"]) for row in rows if int(row["seen"]) == seen]
    return f"{statistics.mean(found):.3f}" if found else "-"


def summary(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Compute mean, standard deviation, minimum and maximum."""
    return statistics.mean(values), statistics.pstdev(values), min(values), max(values)


def over(values: Sequence[float], digits: int = 3) -> str:
    """Write a mean and, of several permutations, their standard deviation."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def by_round(table: dict[str, list[list[Row]]]) -> None:
    """Print Dice of proxy mask and truth after each round, and mean labour.

    Dice is mean [minimum, maximum] over volumes, each of them a mean over permutations.
    """
    rounds = {}
    for name, runs in table.items():
        rounds[name] = [of_kind(rows, "round") for rows in runs]
    numbers = sorted({int(row["round"]) for row in join(map(join, rounds.values()))})
    print_heading(["", *(f"round {number + 1}" for number in numbers)])
    for name, runs in rounds.items():
        cells, given = [], []
        for number in numbers:
            now = [[row for row in rows if int(row["round"]) == number] for rows in runs]
            found = [summary([float(row["proxy"]) for row in rows]) for rows in now]
            mean, _, low, high = (statistics.mean(column) for column in zip(*found, strict=True))
            cells.append(f"{mean:.3f} [{low:.2f}, {high:.2f}]")
            given.append(statistics.mean(float(row["labour"]) for row in join(now)))
        print_row([name, *cells])
        print_row(["its labour", *(f"{share:.0%}" for share in given)])


def three_curves(table: dict[str, list[list[Row]]]) -> None:
    """Print Dice of answer F, truth Y and proxy over a stream, in pairs (Fig. 4 and 5).

    They are shown after the second and after the last round.
    """
    columns = {"dice": "F and Y", "proxy": "proxy and Y", "agreement": "F and proxy"}
    number = max(int(row["round"]) for row in of_kind(join(map(join, table.values())), "round"))
    shown = list(itertools.product(sorted({min(1, number), number}), columns))
    print_heading(["", *(f"round {at + 1}: {columns[column]}" for at, column in shown)])
    for name, runs in table.items():
        rounds = of_kind(join(runs), "round")
        cells = []
        for at, column in shown:
            values = [float(row[column]) for row in rounds if int(row["round"]) == at]
            cells.append(f"{statistics.mean(values):.3f}")
        print_row([name, *cells])


def slices(table: dict[str, list[list[Row]]]) -> None:
    """Print the slices labelled in all planes until the first volumes of the stream pass.

    Beside them stand the slices that the volumes' targets touch, and labour (eq. 4).
    """
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    titles = [f"{share:.0%} of the volumes" for share in shares]
    print_heading(["", *titles, "labour", "volumes that did not pass"])
    for name, runs in table.items():
        ends = [last_rounds(rows) for rows in runs]
        cells = [over([total(end, "slices", share) for end in ends], 1) for share in shares]
        whole = [over([total(end, "touched", share) for end in ends], 1) for share in shares]
        labour, failed = [], []
        for end in ends:
            labour.append(statistics.mean(float(row["labour"]) for row in end.values()))
            failed.append(sum(float(row["proxy"]) <= RHO for row in end.values()))
        print_row([name, *cells, over(labour), over(failed, 1)])
    print_row(["all that the target touches", *whole, "", ""])


def last_rounds(rows: Sequence[Row]) -> dict[int, Row]:
    """Choose the last round of each volume, by the number of seen volumes."""
    return {int(row["seen"]): row for row in of_kind(rows, "round")}


def total(ends: dict[int, Row], column: str, share: float) -> int:
    """Sum a column over the first share of the volumes."""
    first = sorted(ends)[: round(share * len(ends))]
    return sum(int(ends[seen][column]) for seen in first)


SHOW = {
    "held_out": held_out,
    "by_seen": by_seen,
    "by_round": by_round,
    "three_curves": three_curves,
    "slices": slices,
}
