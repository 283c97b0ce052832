"""Intervals of means over objects, sequences or permutations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t


def interval(
    values: Sequence[float] | NDArray[np.float64], groups: Sequence[str] | None = None
) -> tuple[float, float]:
    """Compute the 95 % interval of a mean by Student's t.

    A percentile bootstrap of ten values would hold the mean in 91 % of cases, of three in 75 %.
    Values of one group depend on each other: the mean's error is that of the groups' sums (the
    cluster-robust one, Liang and Zeger 1986), with as many degrees of freedom as there are groups,
    less one.

    Args:
        values: One value an object or sequence; to compare two methods, their differences.
        groups: Group of each value, such as the photo of an object; None: each value is one.

    Returns:
        Lower and upper bound; NaN for fewer than two groups of values that differ.
    """
    given = np.asarray(values, float)
    _, rows = np.unique(range(len(given)) if groups is None else groups, return_inverse=True)
    count = len(set(rows.tolist()))
    if len(given) > 1 and np.ptp(given) == 0:
        return float(given[0]), float(given[0])
    if count < 2:
        return float("nan"), float("nan")
    mean = float(given.mean())
    sums = np.bincount(rows, weights=given - mean)
    error = np.sqrt(count / (count - 1) * (sums**2).sum()) / len(given)
    reach = float(student_t.ppf(0.975, count - 1) * error)
    return mean - reach, mean + reach
