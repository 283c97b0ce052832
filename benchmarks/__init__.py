"""Scripts that measure, and their results; times are ratios within one run.

Each script's docstring has its command. They call the commands of the house as processes
(`running.py`), or the functions of `configs` and the library that the commands call; they import no
command.
"""

import statistics
import time
from collections.abc import Callable, Sequence


def seconds(function: Callable[[], object]) -> float:
    """Measure the duration of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def median_times(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Measure the median duration of each function in seconds.

    The functions take turns, so that drifts of the machine affect all of them equally.
    """
    rounds = [[seconds(function) for function in functions] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def print_heading(titles: Sequence[str]) -> None:
    """Print the heading of a Markdown table."""
    print_row(titles)
    print("|---" * len(titles) + "|")


def print_row(cells: Sequence[str]) -> None:
    """Print a row of a Markdown table."""
    padded = [f" {cell} " if cell else " " for cell in cells]
    print(f"|{'|'.join(padded)}|")
