"""Users who label slices of volumes, at random or where proxy mask and answer disagree.

Dynamic interactive learning, algorithm 4.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.measures import residual
from interseg.volumes.slices import Labelled, Mask, index, other_axes


def draw_slices(
    residuals: NDArray[np.floating],
    labelled: Sequence[int],
    axis: int,
    count: int,
    generator: np.random.Generator,
) -> list[int]:
    """Draw new slices along an axis by their residuals (algorithm 4).

    Args:
        residuals: (D, H, W) residual map.
        labelled: Slices that are not drawn.
        axis: Axis along which slices are numbered.
        count: Number of slices; fewer are drawn if fewer have a residual.
        generator: The only source of randomness.
    """
    chances = residuals.sum(other_axes(axis))
    chances[list(labelled)] = 0
    positive = np.flatnonzero(chances > 0)
    if len(positive) == 0:
        return []
    p = chances[positive] / chances[positive].sum()
    drawn = generator.choice(positive, min(count, len(positive)), replace=False, p=p)
    return sorted(drawn.tolist())


def choose_slices(
    proxy: Mask,
    probabilities: NDArray[np.floating] | None,
    labelled: Labelled,
    axes: Sequence[int],
    count: int,
    weight: float,
    generator: np.random.Generator,
) -> dict[int, list[int]]:
    """Choose the slices that a person is asked to label, by axis.

    They are drawn by algorithm 4 among the slices that proxy mask or answer touch. A simulated user
    draws among the slices that the target touches; the target is unknown when a person labels. If
    no slice is touched, the middle slice of each axis is chosen.

    Args:
        proxy: (D, H, W) proxy mask.
        probabilities: (D, H, W) of the method; None if it has not learned anything yet.
        labelled: Slices that are labelled.
        axes: Axes of the planes.
        count: Number of slices along each axis.
        weight: Weight omega_1 of the residual map.
        generator: The only source of randomness.
    """
    answer = np.zeros(proxy.shape) if probabilities is None else probabilities
    residuals, likely = residual(proxy, answer, labelled, weight), proxy | (answer > 0.5)
    found = {}
    for axis in axes:
        touched = likely.any(other_axes(axis))
        if not touched.any():
            middle = proxy.shape[axis] // 2
            found[axis] = [] if middle in labelled.get(axis, ()) else [middle]
            continue
        closed = sorted({*labelled.get(axis, ()), *np.flatnonzero(~touched).tolist()})
        found[axis] = draw_slices(residuals, closed, axis, count, generator)
    return found


class SliceUser:
    """A user who labels whole slices along some planes each round, with the true masks.

    Args:
        axes: Axes of the planes.
        count: Number of new slices along each axis.
        guided: Whether to choose by the residual map (algorithm 4); False for random slices.
        weight: Weight omega_1 of the residual map.
        touched: Whether to label only slices that the target touches, as the paper's users do,
            since eq. 4 counts no others; False allows any slice.

    Raises:
        InputError: Unknown or repeated axes, no slice, or a weight outside [0, 1].
    """

    def __init__(
        self,
        axes: Sequence[int] = (0, 1),
        count: int = 1,
        guided: bool = True,
        touched: bool = True,
        weight: float = 0.7,
    ) -> None:
        valid = bool(axes) and {*axes} <= {0, 1, 2} and len({*axes}) == len(axes)
        if count < 1 or not valid:
            raise InputError(
                f"axes={list(axes)}, count={count}; "
                "axes are 0, 1 and 2, each once, and at least one slice is labelled"
            )
        if not 0 <= weight <= 1:
            raise InputError(
                f"weight is {weight}; the residual map is a mean of two parts, give 0 to 1"
            )
        self.axes, self.count, self.weight = tuple(axes), count, weight
        self.guided, self.touched = guided, touched

    def annotate(
        self,
        proxy: Mask,
        truth: Mask,
        probabilities: NDArray[np.floating] | None,
        labelled: Labelled,
        generator: np.random.Generator,
    ) -> dict[int, dict[int, Mask]]:
        """Annotate the new slices of a round.

        Args:
            proxy: (D, H, W) proxy mask.
            truth: (D, H, W).
            probabilities: (D, H, W) of a segmenter that has learned something; None for random
                slices.
            labelled: Slices that are labelled.
            generator: The only source of randomness.

        Returns:
            Masks by number, by axis; fewer than `count` if there are not enough slices, none if the
            slices of some axis are all labelled and the proxy mask is the target.
        """
        found: dict[int, dict[int, Mask]] = {axis: {} for axis in self.axes}
        residuals = None
        if self.guided and probabilities is not None:
            residuals = residual(proxy, probabilities, labelled, self.weight)
        left_closed = {axis: {*labelled.get(axis, ())} for axis in self.axes}
        if self.touched:
            for axis, closed in left_closed.items():
                closed |= {*np.flatnonzero(~truth.any(other_axes(axis))).tolist()}
        complete = any(len(closed) == truth.shape[axis] for axis, closed in left_closed.items())
        if complete and np.array_equal(proxy, truth):
            return found
        for axis, closed in left_closed.items():
            if residuals is not None:
                numbers = draw_slices(residuals, sorted(closed), axis, self.count, generator)
            else:
                left = [j for j in range(truth.shape[axis]) if j not in closed]
                numbers = sorted(generator.permutation(left)[: self.count].tolist())
            found[axis] = {number: truth[index(axis, number)].copy() for number in numbers}
        return found
