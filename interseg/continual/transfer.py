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
    return {
        "basic": float(np.mean(basic)),
        "forward": float(np.mean(matrix[forward_after - 1, forward_after:])),
        "backward": float(np.mean(matrix[backward_after - 1, earlier])),
        "drop": float(np.mean(np.asarray(basic)[earlier] - matrix[backward_after - 1, earlier])),
    }
