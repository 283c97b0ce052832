"""Tables of streams of tasks or of volumes: means, and leads paired by sequence or permutation."""

from collections.abc import Sequence

import numpy as np

from interseg.continual.transfer import mean_measured
from interseg.evaluation.intervals import interval
from interseg.evaluation.stream_comparison import FIGURES, KINDS, LOWER, Sequences


def transfer_table(
    methods: dict[str, Sequences],
    prefix: str = "",
    figures: Sequence[str] = FIGURES,
) -> list[list[str]]:
    """Make rows of cells: means over sequences, and the first method's lead over each other one.

    Leads have 95 % intervals; a figure that a method has not is left out.

    Args:
        methods: Sequences of each; the first has all that another one has.
        prefix: Prefix of the figures' names, see `KINDS`.
        figures: Figures that are shown.
    """
    first, theirs = next(iter(methods.items()))
    played = [found for own in methods.values() for found in own.values()]
    known = [name for name in figures if all(prefix + name in found for found in played)]
    leads = [f"{first} {LOWER[n]}" if n in LOWER else f"{first}'s lead, {n}" for n in known]
    table = [["", *known, *leads]]
    for method, own in methods.items():
        means, cells = [], []
        for figure in known:
            key, sign = prefix + figure, -1 if figure in LOWER else 1
            means.append(f"{mean_measured(np.array([own[k][key] for k in own])):.3f}")
            lead = [sign * (theirs[k][key] - own[k][key]) + 0.0 for k in own]
            lead = [value for value in lead if not np.isnan(value)]
            spread = " [{:+.3f}, {:+.3f}]".format(*interval(lead)) if len(lead) > 1 else ""
            cells.append("" if method == first else f"{np.mean(lead):+.3f}{spread}")
        table.append([method, *means, *cells])
    return table


def task_tables(methods: dict[str, Sequences]) -> dict[str, list[list[str]]]:
    """Make the tables of methods of tasks by title, of the kinds that all runs have."""
    tables = {title: transfer_table(methods, prefix) for prefix, title in KINDS.items()}
    return {title: table for title, table in tables.items() if len(table[0]) > 1}


def markdown(table: list[list[str]]) -> str:
    """Write rows of cells, the first one the heading."""
    head, *rows = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
