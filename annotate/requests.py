"""Values of a request, each checked: what a stranger may send is an `InputError`, never more."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotate.state import Runs, check_runs
from interseg.errors import InputError

LONGEST_PAUSE = 600.0
"""Seconds that count for one action at most."""


def whole(request: dict[str, Any], key: str, least: int, largest: int) -> int:
    """Read a whole number of a request; raises `InputError` for anything else."""
    value = request.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
        raise InputError(
            f"{key} is {str(value)[:40]}; give a whole number from {least} to {largest}"
        )
    return value


def stroke_of(request: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw a stroke of a brush: `points` [[y, x], ...] and `radius` in pixels.

    Raises `InputError` for anything else.
    """
    points, radius = request.get("points"), request.get("radius")
    if isinstance(radius, bool) or not isinstance(radius, int | float) or not 0.5 <= radius <= 500:
        raise InputError(f"radius is {str(radius)[:40]}; give pixels from 0.5 to 500")
    if not isinstance(points, list) or not 1 <= len(points) <= 20_000:
        raise InputError("points hold no way of a brush; give 1 to 20000 of [y, x]")
    limit = 2 * max(size)
    for point in points:
        good = (
            isinstance(point, list)
            and len(point) == 2
            and all(type(value) in (int, float) and -limit <= value <= limit for value in point)
        )
        if not good:
            raise InputError(f"{str(point)[:40]} is not a point of a brush; give [y, x]")
    shift = 3  # OpenCV draws at eighths of a pixel
    way = np.rint(np.array(points, np.float64)[:, ::-1] * 2**shift).astype(np.int32)
    drawn = np.zeros(size, np.uint8)
    ends = np.vstack([way, way[-1:]])[:, None]  # a single point is a line, too
    width = 1 if radius < 1 else round(2 * radius)  # a small brush is a line of single pixels
    cv2.polylines(drawn, [ends], False, 1, width, cv2.LINE_8, shift)
    if radius >= 1:
        for x, y in way.tolist():
            cv2.circle(drawn, (x, y), round(radius * 2**shift), 1, -1, cv2.LINE_8, shift)
    return drawn.astype(bool)


def seconds_spent(request: dict[str, Any]) -> float:
    """Read how many seconds an action took a person; raises `InputError` for anything else."""
    spent = request.get("spent", 0)
    if isinstance(spent, bool) or not isinstance(spent, int | float) or not spent >= 0:
        raise InputError(f"spent is {str(spent)[:40]}; give seconds")
    return round(min(float(spent), LONGEST_PAUSE), 2)


def given_runs(request: dict[str, Any], size: tuple[int, int], known: int) -> Runs:
    """Read a mask to start from, labels 1 to `known`.

    Raises `InputError` for anything else, or another size than (height, width).
    """
    runs = request.get("runs")
    if (
        not isinstance(runs, dict)
        or not runs
        or not all(str(key).isdigit() and isinstance(value, str) for key, value in runs.items())
    ):
        raise InputError('runs hold no mask; give {"1": run lengths}')
    if any(len(key) > 3 or not 1 <= int(key) <= known for key in runs):
        raise InputError(
            f"the mask has labels {', '.join(sorted(runs))[:40]}; the network knows 1 to {known}"
        )
    for counts in runs.values():
        check_runs(counts, size)
    return {str(int(key)): value for key, value in runs.items()}
