"""L-BFGS for many problems at once, whose energies are computed in one batch.

Each search is a coroutine that asks for an energy, and one call answers all searches. So every
problem has its own line search and ends on its own, while the network sees one batch. A problem's
result depends on the others only through the network's rounding.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Evaluated(NamedTuple):
    """The energy at a point and its gradient (n,)."""

    energy: float
    gradient: Tensor
    done: bool = False
    """Whether the point is good enough to stop."""
    output: Any = None
    """Value to be returned with the point."""
    last: bool = False
    """Whether the search ends here, with the best point so far."""


class Found(NamedTuple):
    """The end of a search: the first point that was good enough, or the one of least energy."""

    point: Tensor
    answer: Evaluated
    evaluations: int
    """Number of energies that were computed."""
    moved: bool
    """Whether a better point than the start was found."""


Search = Generator[Tensor, Evaluated, None]
Step = Generator[Tensor, Evaluated, tuple[Tensor, Evaluated] | None]

DECREASE, CURVATURE = 1e-4, 0.9
"""The strong Wolfe conditions' constants (Nocedal and Wright 2006, section 3.1)."""


def minimise(
    starts: Sequence[Tensor],
    evaluate: Callable[[list[int], list[Tensor]], Sequence[Evaluated]],
    memory: int = 20,
    iterations: int = 100,
    evaluations: int | None = None,
    tolerance: float = 1e-9,
) -> list[Found]:
    """Minimise independent energies by L-BFGS with a strong Wolfe line search.

    The source is Liu and Nocedal 1989.

    Args:
        starts: Start (n_i,) of each problem.
        evaluate: Function from the numbers of the problems that ask, and their points, to their
            answers in that order.
        memory: Number of steps that the inverse Hessian is built from.
        iterations: Largest number of steps of a problem.
        evaluations: Largest number of energies of a problem; None for no limit but that of the line
            searches.
        tolerance: Largest absolute component of a gradient at which a problem ends, as in BRS'
            official code.

    Raises:
        FloatingPointError: The energy at a start is not finite.
    """
    searches = [search(start, memory, iterations, tolerance) for start in starts]
    asked = {i: next(one) for i, one in enumerate(searches)}
    found: dict[int, Found] = {}
    while asked:
        answers = evaluate(list(asked), list(asked.values()))
        for (i, point), answer in zip(list(asked.items()), answers, strict=True):
            found[i] = _better(found.get(i), point, answer)
            try:
                asked[i] = searches[i].send(answer)
            except StopIteration:
                del asked[i]
                continue
            if answer.done or answer.last or found[i].evaluations == evaluations:
                del asked[i]
    return [found[i] for i in range(len(starts))]


def _better(best: Found | None, point: Tensor, answer: Evaluated) -> Found:
    if best is None:
        if not math.isfinite(answer.energy):
            raise FloatingPointError(f"the energy at the start is {answer.energy}")
        return Found(point, answer, 1, answer.done)
    if answer.done or answer.energy < best.answer.energy:
        return Found(point, answer, best.evaluations + 1, True)
    return best._replace(evaluations=best.evaluations + 1)


def search(point: Tensor, memory: int, iterations: int, tolerance: float) -> Search:
    """Search for one problem's minimum; yield the points whose energy is needed."""
    here = yield point
    pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=memory)
    for _ in range(iterations):
        if not here.gradient.isfinite().all() or float(here.gradient.abs().max()) <= tolerance:
            return
        direction = descent(here.gradient, pairs)
        length = 1.0 if pairs else 1 / float(here.gradient.norm())
        found = yield from line_search(point, here, direction, length)
        if found is None and pairs:  # the memory misleads: try again along the gradient
            pairs.clear()
            length = 1 / float(here.gradient.norm())
            found = yield from line_search(point, here, -here.gradient, length)
        if found is None:
            return
        step, change = found[0] - point, found[1].gradient - here.gradient
        if float(step @ change) > torch.finfo(change.dtype).eps * float(change @ change):
            pairs.append((step, change))
        point, here = found


def descent(gradient: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Compute the quasi-Newton direction by the two-loop recursion.

    The source is Nocedal and Wright 2006, algorithm 7.4.
    """
    direction, weights = -gradient, []
    for step, change in reversed(pairs):
        weight = (step @ direction) / (step @ change)
        weights.append(weight)
        direction = direction - weight * change
    if pairs:
        step, change = pairs[-1]
        direction = direction * ((step @ change) / (change @ change))
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - (change @ direction) / (step @ change)) * step
    return direction


class _Trial(NamedTuple):
    """A step along a direction: its length, and energy and slope at its end."""

    length: float
    energy: float
    slope: float
    point: Tensor
    answer: Evaluated


def line_search(
    point: Tensor, here: Evaluated, direction: Tensor, length: float, trials: int = 20
) -> Step:
    """Find a step that meets the strong Wolfe conditions, else the best that decreases the energy.

    None if no step decreases it. The source is Nocedal and Wright 2006, algorithms 3.5 and 3.6. An
    energy that is not finite counts as infinite, so that the step shrinks.
    """
    start = _Trial(0.0, here.energy, float(direction @ here.gradient), point, here)
    if not start.slope < 0:
        return None
    low, high = start, None
    for _ in range(trials):
        trial = yield from _try(point, direction, length)
        wanted = start.energy + DECREASE * length * start.slope
        if trial.energy > wanted or trial.energy >= low.energy:
            high = trial
        else:
            if abs(trial.slope) <= -CURVATURE * start.slope:
                return trial.point, trial.answer
            if trial.slope * (trial.length - low.length) >= 0:
                high = low
            low = trial
        if high is None:
            length *= 2
        elif abs(high.length - low.length) * float(direction.abs().max()) < 1e-9:
            break
        else:
            length = _between(low, high)
    return (low.point, low.answer) if low.length else None


def _try(point: Tensor, direction: Tensor, length: float) -> Generator[Tensor, Evaluated, _Trial]:
    there = point + length * direction
    answer = yield there
    energy = answer.energy if math.isfinite(answer.energy) else math.inf
    return _Trial(length, energy, float(direction @ answer.gradient), there, answer)


def _between(low: _Trial, high: _Trial) -> float:
    """Find the minimum of the cubic through both ends; the middle if there is none.

    It stays a tenth of the interval away from both ends.
    """
    width = high.length - low.length
    middle = low.length + width / 2
    if not (math.isfinite(high.energy) and math.isfinite(high.slope)):
        return low.length + width / 10
    bend = low.slope + high.slope - 3 * (low.energy - high.energy) / (low.length - high.length)
    square = bend**2 - low.slope * high.slope
    if square < 0:
        return middle
    root = math.copysign(math.sqrt(square), width)
    divisor = high.slope - low.slope + 2 * root
    if divisor == 0:
        return middle
    minimum = high.length - width * (high.slope + root - bend) / divisor
    margin = abs(width) / 10
    bounds = sorted((low.length, high.length))
    return min(max(minimum, bounds[0] + margin), bounds[1] - margin)
