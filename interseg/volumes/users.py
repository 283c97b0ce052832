"""The user who labels slices of volumes, at random or where the segmenter disagrees (dynamic interactive learning, algorithm 4)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError
from interseg.volumes.measures import residual
from interseg.volumes.slices import Labelled, Mask, index, other_axes


def guided_slices(
    residuals: NDArray[np.floating],
    labelled: Sequence[int],
    axis: int,
    count: int,
    generator: np.random.Generator,
) -> list[int]:
    """Draw new slices along an axis by their residuals (algorithm 4); as many as there are, none where no residual is left."""
    chances = residuals.sum(other_axes(axis))
    chances[list(labelled)] = 0
    positive = np.flatnonzero(chances > 0)
    if len(positive) == 0:
        return []
    p = chances[positive] / chances[positive].sum()
    return sorted(
        generator.choice(positive, min(count, len(positive)), replace=False, p=p).tolist()
    )


def asked_slices(
    proxy: Mask,
    probabilities: NDArray[np.floating] | None,
    labelled: Labelled,
    axes: Sequence[int],
    count: int,
    weight: float,
    generator: np.random.Generator,
) -> dict[int, list[int]]:
    """Choose the slices that a person is asked for, by axis: algorithm 4's, among those that proxy mask or answer touch.

    A user who knows the target counts the slices that it touches; a person knows it too, the method
    does not. Before anything is known the middle slice of each axis is asked for.

    Args:
        proxy: (D, H, W) so far.
        probabilities: (D, H, W) of the method; None where it has learned nothing.
        labelled: slices so far.
        axes: of the planes.
        count: slices along each.
        weight: omega_1 of the residual map.
        generator: the only source of randomness.
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
        found[axis] = guided_slices(residuals, closed, axis, count, generator)
    return found


class SliceUser:
    """Labels whole slices along some planes each round, with the true masks.

    Args:
        axes: of the planes.
        count: new slices along each.
        guided: choose by the residual map (algorithm 4); False for random slices.
        weight: omega_1 of the residual map.
        touched: label slices that the target touches only, guided or not, as the paper's users
            delineate the target in each; eq. 4 counts no others. False lets both choose any slice.
    """

    def __init__(
        self,
        axes: Sequence[int] = (0, 1),
        count: int = 1,
        guided: bool = True,
        touched: bool = True,
        weight: float = 0.7,
    ) -> None:
        if (
            count < 1
            or not axes
            or any(axis not in (0, 1, 2) for axis in axes)
            or len({*axes}) < len(axes)
        ):
            raise InputError(
                f"axes={list(axes)}, count={count}; axes are 0, 1 and 2, each once, and at least one slice is labelled"
            )
        if not 0 <= weight <= 1:
            raise InputError(
                f"weight is {weight}; the residual map is a mean of two parts, give 0 to 1"
            )
        self.axes, self.count, self.guided, self.touched, self.weight = (
            tuple(axes),
            count,
            guided,
            touched,
            weight,
        )

    def annotate(
        self,
        proxy: Mask,
        truth: Mask,
        probabilities: NDArray[np.floating] | None,
        labelled: Labelled,
        generator: np.random.Generator,
    ) -> dict[int, dict[int, Mask]]:
        """Annotate the new slices of a round: masks by number, by axis; fewer where there are no more.

        Args:
            proxy: (D, H, W) so far.
            truth: (D, H, W).
            probabilities: (D, H, W) of a segmenter that has learned something; None for random
                slices.
            labelled: slices so far.
            generator: the only source of randomness.
        """
        found = {}
        residuals = (
            residual(proxy, probabilities, labelled, self.weight)
            if self.guided and probabilities is not None
            else None
        )
        for axis in self.axes:
            untouched = (
                np.flatnonzero(~truth.any(other_axes(axis))).tolist() if self.touched else []
            )
            closed = {*labelled.get(axis, ()), *untouched}
            if residuals is not None:
                numbers = guided_slices(residuals, sorted(closed), axis, self.count, generator)
            else:
                left = [j for j in range(truth.shape[axis]) if j not in closed]
                numbers = sorted(generator.permutation(left)[: self.count].tolist())
            found[axis] = {number: truth[index(axis, number)].copy() for number in numbers}
        return found
