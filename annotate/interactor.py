"""Answers to other tools, which send all clicks of an object again with each new one.

Sessions go on where they can.
"""

import base64
import binascii
import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from annotate.desk import NOW, Desk
from annotate.outlines import polygons
from annotate.sessions import bring, goes_back
from interseg.clicks.layout import Click
from interseg.errors import InputError
from interseg.images import LARGEST_OPENED
from interseg.inference.model import Model
from interseg.inference.session import Session

KEPT = 4
"""Photos that stay encoded."""
MOST_POINTS = 200
"""Largest number of points of an object: a request is answered click after click."""


class Interactor:
    """Answers all clicks of an object on a photo.

    Args:
        model: Model of one object against background.
    """

    def __init__(self, model: Model) -> None:
        if model.segmenter.outputs > 1:
            raise InputError(
                "other tools ask for one object, and this network answers with classes; "
                "give another --checkpoint"
            )
        self.model, self.desk = model, Desk()
        self._sessions: OrderedDict[tuple[str, float | None], Session] = OrderedDict()

    def answer(
        self,
        key: str,
        photo: Callable[[], Path | NDArray[np.uint8]],
        clicks: Sequence[Click],
        threshold: float | None = None,
    ) -> tuple[NDArray[np.bool_], float]:
        """Give the mask (H, W) after clicks, and its pixels' mean probability.

        Args:
            key: Key of the photo, by which it is found again.
            photo: Function that reads the photo, where it is not encoded.
            clicks: Clicks of the object, in order.
            threshold: Threshold on the probability, of a pixel to be object; None for the model's.
        """
        if not 0 < len(clicks) <= MOST_POINTS:
            raise InputError(f"there are {len(clicks)} points; give 1 to {MOST_POINTS}")
        return self.desk.do(NOW, lambda: self._answer((key, threshold), photo, clicks))

    def _answer(
        self,
        place: tuple[str, float | None],
        photo: Callable[[], Path | NDArray[np.uint8]],
        clicks: Sequence[Click],
    ) -> tuple[NDArray[np.bool_], float]:
        """Answer; at the desk."""
        if place not in self._sessions:
            session = self.model.session(photo(), threshold=place[1])
            self._sessions[place] = session.another(undoable=goes_back(session.size))
        self._sessions.move_to_end(place)
        while len(self._sessions) > KEPT:
            self._sessions.popitem(last=False)
        session = self._sessions[place]
        bring(session, clicks, None)
        mask = session.mask.astype(bool)
        return mask, float(session.probabilities[mask].mean()) if mask.any() else 0.0


def answer_cvat(interactor: Interactor, data: dict[str, Any]) -> dict[str, Any]:
    """Answer what CVAT asks of an interactor.

    Args:
        interactor: Interactor that answers.
        data: `image` in base64, `pos_points` and `neg_points` [[x, y], ...] in pixels, `threshold`
            (the model's by default).

    Returns:
        `mask`: rows of 0 and 255; `points` [[x, y], ...]: the outline of its largest part, empty
            where there is none.

    Raises:
        InputError: anything else was asked.
    """
    content = data.get("image")
    try:
        coded = base64.b64decode(content if isinstance(content, str) else "", validate=True)
    except (binascii.Error, ValueError):
        coded = b""
    threshold = data.get("threshold", interactor.model.threshold)
    if (
        isinstance(threshold, bool)
        or not isinstance(threshold, int | float)
        or not 0 < threshold < 1
    ):
        raise InputError(f"threshold is {str(threshold)[:40]}; it is a probability between 0 and 1")
    positive, negative = (points_of(data, key) for key in ("pos_points", "neg_points"))
    if not positive:
        raise InputError("pos_points is empty; give a point on the object first")
    clicks = [Click(y, x, 1, 0) for y, x in positive] + [Click(y, x, 0, 0) for y, x in negative]
    mask, _ = interactor.answer(
        hashlib.sha256(coded).hexdigest(), lambda: pixels_of(coded), clicks, float(threshold)
    )
    rings = polygons(mask, 1.0)
    largest = max(rings, key=area, default=np.zeros((0, 2)))
    return {
        "points": np.rint(largest).astype(int).tolist(),
        "mask": (mask.astype(np.uint8) * 255).tolist(),
    }


def points_of(data: dict[str, Any], key: str) -> list[tuple[int, int]]:
    """Read points [[x, y], ...] as (y, x) of pixels; raises `InputError` for anything else."""
    points = data.get(key, [])
    good = isinstance(points, list) and all(
        isinstance(point, list)
        and len(point) == 2
        and all(type(value) in (int, float) and 0 <= value < 10**6 for value in point)
        for point in points
    )
    if not good:
        raise InputError(f"{key} is {str(points)[:40]}; give [[x, y], ...] in pixels")
    return [(int(y), int(x)) for x, y in points]


def pixels_of(coded: bytes) -> NDArray[np.uint8]:
    """Decode a photo (H, W, 3); raise `InputError` for anything else, or one that is too large."""
    try:
        with Image.open(io.BytesIO(coded)) as file:
            if file.width * file.height > LARGEST_OPENED:
                raise InputError(
                    f"the image has {file.height} x {file.width} pixels; "
                    f"at most {LARGEST_OPENED} are answered, reduce it"
                )
            return np.asarray(file.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        raise InputError("image cannot be read; give a photo's file in base64") from None


def area(ring: NDArray[np.float64]) -> float:
    """Area in pixels of a closed outline (n, 2)."""
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
