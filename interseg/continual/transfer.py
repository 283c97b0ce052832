"""Transfer along a sequence of tasks: the matrix R[t, i] and CLIS' three figures of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def transfer(
    matrix: NDArray[np.float64], basic: Sequence[float], forward_after: int, backward_after: int
) -> dict[str, float]:
    """Compute CLIS' figures of one sequence.

    Args:
        matrix: (T, T) R[t, i], the figure on task i's image after task t was learned; NaN where it
            was not taken.
        basic: (T,) of each task's own image, refined, without its annotated pixels.
        forward_after: Number of tasks learned before all later images are answered (the paper's 4).
        backward_after: Number of tasks learned before all earlier images are answered (the paper's
            8).

    Returns:
        `basic`, `forward` and `backward`, means over images, and `drop`, from basic to backward on
        the images that backward counts.
    """
    earlier = slice(0, backward_after - 1)
    later = matrix[backward_after - 1, earlier]
    return {
        "basic": mean_measured(np.asarray(basic)),
        "forward": mean_measured(matrix[forward_after - 1, forward_after:]),
        "backward": mean_measured(later),
        "drop": mean_measured(np.asarray(basic)[earlier] - later),
    }


def mean_measured(values: NDArray[np.float64]) -> float:
    """Average what is not NaN, the figure of an image whose labelled pixels are all annotated."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
