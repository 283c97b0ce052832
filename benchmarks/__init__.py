"""Scripts that measure, and what they gave; times are ratios within one run. Each script's docstring holds its command."""

import statistics
import time
from collections.abc import Callable


def seconds(function: Callable[[], object]) -> float:
    """Duration of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def median_times(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Median duration of each function in seconds; they take turns, so that a drift of the machine meets all of them alike."""
    rounds = [[seconds(function) for function in functions] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]
