"""Models of other people: what is asked of them, and how one with `set_image` and `predict` is made a function of photo and clicks.

Nothing here imports torch: an exported network is played by this interface where there is none.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError

Photo = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Points = NDArray[np.float32]
"""(n, 2) x and y of the clicked pixels, SAM's order."""
Labels = NDArray[np.int64]
"""(n,): 1 on the object, 0 on the background."""
Logits = NDArray[np.float32]
"""(H, W), above 0 on the object."""

CERTAIN = 20.0
"""The logit that stands for a mask's pixel, with the sign of its side."""
READINGS = ("logits", "probabilities")
"""What an answer of floating values may be."""


class Reply(NamedTuple):
    """An answer, and what the model wants to be given with the next click."""

    logits: Logits
    kept: Mapping[str, Any]


class PhotoPredictor:
    """Base of the models whose encoding of a photo is a value, so that several photos may be open at once."""

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute what does not depend on clicks, as arrays or tensors."""
        raise NotImplementedError

    def decode(
        self,
        encoded: Mapping[str, Any],
        size: tuple[int, int],
        points: Points,
        labels: Labels,
        mask: NDArray[np.bool_] | None,
        kept: Mapping[str, Any],
    ) -> Reply:
        """Answer all clicks so far.

        Args:
            encoded: what `encode` gave of the photo.
            size: (height, width) of the photo.
            points: see `Points`, the newest last.
            labels: see `Labels`.
            mask: (H, W) of the answer before, or to start from; None where nothing is on it.
            kept: what came with the answer before; empty at the first click.
        """
        raise NotImplementedError


class SetAndPredict(PhotoPredictor):
    """Anything with `set_image(photo)` and `predict(points, labels, mask)`, or a callable on (photo, points, labels, mask).

    `predict` gives a mask (H, W) of bool or whole numbers, where all but 0 is object, or floating
    values. Its `mask` is what it gave for the clicks before the newest, as it gave it; at the first
    click the mask (H, W) bool to start from; or None. A model that keeps more than that between
    clicks says so by `get_state()` and `set_state(state)`, whose states it does not
    change: so its answer is a function of photo, clicks and mask, and undo is exact. It has one
    photo at a time: where the photo is another one, it is set anew.

    Args:
        model: the user's object.
        answers: what floating values are, "logits" or "probabilities".
    """

    def __init__(self, model: Any, answers: str = "logits") -> None:
        if answers not in READINGS:
            raise InputError(f"answers is {answers!r}; use {' or '.join(READINGS)}")
        self.model, self.answers, self.name = (
            model,
            answers,
            getattr(model, "__name__", type(model).__name__),
        )
        self.is_function = not (hasattr(model, "set_image") and hasattr(model, "predict"))
        if self.is_function and not callable(model):
            raise InputError(
                f"{self.name} has no set_image(photo) and predict(points, labels, mask), and cannot be called; give it these"
            )
        self.has_state = hasattr(model, "get_state") and hasattr(model, "set_state")
        self._photo: Photo | None = None
        self._fresh: Any = None

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Set the photo."""
        self._set(photo)
        return {"photo": photo}

    def _set(self, photo: Photo) -> None:
        self._photo = photo
        if not self.is_function:
            self.model.set_image(photo.copy())
        self._fresh = self.model.get_state() if self.has_state else None

    def decode(
        self,
        encoded: Mapping[str, Any],
        size: tuple[int, int],
        points: Points,
        labels: Labels,
        mask: NDArray[np.bool_] | None,
        kept: Mapping[str, Any],
    ) -> Reply:
        """Answer clicks on a photo, which is set again where another one was in between."""
        photo = encoded["photo"]
        if self._photo is None or not np.array_equal(self._photo, photo):
            self._set(photo)
        if self.has_state:
            self.model.set_state(kept.get("state", self._fresh))
        before = kept["answer"].copy() if "answer" in kept else mask
        given = (points, labels, before)
        answer = np.asarray(
            self.model(photo.copy(), *given) if self.is_function else self.model.predict(*given)
        )
        logits = self._logits(answer, size)
        return Reply(
            logits,
            {"answer": answer} | ({"state": self.model.get_state()} if self.has_state else {}),
        )

    def _logits(self, answer: NDArray[Any], size: tuple[int, int]) -> Logits:
        """Read an answer; raises `InputError` for one that is none of the photo."""
        if answer.shape != size:
            raise InputError(
                f"{self.name} answered {answer.shape} of {answer.dtype}; a mask or logits are {size}, as the photo"
            )
        if not np.issubdtype(answer.dtype, np.floating):
            return signed(answer != 0)
        if np.isnan(answer).any():
            raise InputError(
                f"{self.name} answered NaN; a mask or {self.answers} have a value at every pixel"
            )
        if self.answers == "logits":
            return answer.astype(np.float32)
        if answer.min() < 0 or answer.max() > 1:
            raise InputError(
                f"{self.name} answered {answer.min():.3g} to {answer.max():.3g}, no probabilities; set model.answers=logits"
            )
        inside = np.clip(answer.astype(np.float64), 1e-9, 1 - 1e-9)
        return np.log(inside / (1 - inside)).astype(np.float32)


def signed(mask: NDArray[np.bool_]) -> Logits:
    """Make logits of a mask."""
    return np.where(mask, np.float32(CERTAIN), np.float32(-CERTAIN))
