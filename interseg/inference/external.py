"""Models of other people: their interface, and an adapter for `set_image` and `predict`.

Nothing here imports torch, so that an exported network can be played without it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError

Photo = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Points = NDArray[np.float32]
"""(n, 2) x and y of the clicked pixels, in SAM's order."""
Labels = NDArray[np.int64]
"""(n,): 1 on the object, 0 on the background."""
Logits = NDArray[np.float32]
"""(H, W), above 0 on the object."""

CERTAIN = 20.0
"""Absolute logit of a mask's pixels: positive on the mask, negative elsewhere."""
READINGS = ("logits", "probabilities")
"""Meanings of an answer in floating values."""


class Reply(NamedTuple):
    """An answer, and the values that the model needs with the next click."""

    logits: Logits
    kept: Mapping[str, Any]


class PhotoPredictor:
    """Base of the models that encode a photo as a value, so that several photos may be open."""

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Compute all that does not depend on clicks, as arrays or tensors."""
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
            encoded: Encoding of the photo by `encode`.
            size: (height, width) of the photo.
            points: See `Points`, the newest last.
            labels: See `Labels`.
            mask: (H, W) previous answer, or mask to start from; None for an empty one.
            kept: Values that came with the previous answer; empty at the first click.
        """
        raise NotImplementedError


class SetAndPredict(PhotoPredictor):
    """An adapter for a user's object with `set_image(photo)` and `predict(points, labels, mask)`.

    The object may also be a callable on (photo, points, labels, mask). `predict` returns a mask
    (H, W) of bool or whole numbers, where all but 0 is object, or floating values, which are a mask
    too if they are 0 and 1; a tensor, on any device, is as good. Its argument `mask` is its own
    previous answer as an array; at the first click the mask (H, W) bool to start from; or None. A
    model with more memory between clicks gives it by `get_state()` and takes it by
    `set_state(state)`, and does not change these states. So its answer is a function of photo,
    clicks and mask, and undo is exact. The model has one photo at a time: for another photo,
    `set_image` is called again.

    Args:
        model: The user's object.
        answers: Meaning of floating values, "logits" or "probabilities".
    """

    def __init__(self, model: Any, answers: str = "logits") -> None:
        if answers not in READINGS:
            raise InputError(f"answers is {answers!r}; use {' or '.join(READINGS)}")
        self.model, self.answers = model, answers
        self.name = getattr(model, "__name__", type(model).__name__)
        self.is_function = not (hasattr(model, "set_image") and hasattr(model, "predict"))
        if self.is_function and not callable(model):
            raise InputError(
                f"{self.name} has no set_image(photo) and predict(points, labels, mask), "
                "and cannot be called; give it these"
            )
        self.has_state = hasattr(model, "get_state") and hasattr(model, "set_state")
        self._photo: Photo | None = None
        self._fresh: Any = None

    def encode(self, photo: Photo) -> dict[str, Any]:
        """Set the photo."""
        self._set(photo)
        return {"photo": photo}

    def _set(self, photo: Photo) -> None:
        self._photo = None  # until the model has taken it
        if not self.is_function:
            self.model.set_image(photo.copy())
        self._fresh = self.model.get_state() if self.has_state else None
        self._photo = photo

    def decode(
        self,
        encoded: Mapping[str, Any],
        size: tuple[int, int],
        points: Points,
        labels: Labels,
        mask: NDArray[np.bool_] | None,
        kept: Mapping[str, Any],
    ) -> Reply:
        """Answer clicks on a photo, which is set again if another one was set in between."""
        photo = encoded["photo"]
        if self._photo is None or not np.array_equal(self._photo, photo):
            self._set(photo)
        if self.has_state:
            self.model.set_state(kept.get("state", self._fresh))
        before = kept["answer"].copy() if "answer" in kept else mask
        given = (points, labels, before)
        predict = partial(self.model, photo.copy()) if self.is_function else self.model.predict
        answer = as_array(predict(*given))
        logits = self._logits(answer, size)
        state = {"state": self.model.get_state()} if self.has_state else {}
        return Reply(logits, {"answer": answer} | state)

    def _logits(self, answer: NDArray[Any], size: tuple[int, int]) -> Logits:
        """Read an answer; raises `InputError` if its size or values do not fit the photo."""
        check_answer(answer, size, self.name)
        if not np.issubdtype(answer.dtype, np.floating):
            return mask_logits(answer != 0)
        if ((answer == 0) | (answer == 1)).all():  # a mask in floating values
            return mask_logits(answer > 0)
        least, most = float(answer.min()), float(answer.max())
        inside = least >= 0 and most <= 1
        if self.answers == "logits":
            if inside:
                raise InputError(
                    f"{self.name} answered {least:.3g} to {most:.3g}, as probabilities are; "
                    "set model.answers=probabilities"
                )
            return answer.astype(np.float32)
        if not inside:
            raise InputError(
                f"{self.name} answered {least:.3g} to {most:.3g}, "
                "not probabilities; set model.answers=logits"
            )
        shares = np.clip(answer.astype(np.float64), 1e-9, 1 - 1e-9)
        return np.log(shares / (1 - shares)).astype(np.float32)


def as_array(answer: Any) -> NDArray[Any]:
    """Copy a model's answer, which may be a tensor or a buffer that it fills again."""
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
        if answer.is_floating_point():  # NumPy knows no bfloat16
            answer = answer.float()
    return np.array(answer)


def check_answer(answer: NDArray[Any], size: tuple[int, int], name: str) -> None:
    """Raise `InputError` for an answer of another size than the photo's, or with a NaN in it."""
    if answer.shape != size:
        raise InputError(
            f"{name} answered {answer.shape} of {answer.dtype}; "
            f"a mask or logits are {size}, as the photo"
        )
    if np.issubdtype(answer.dtype, np.floating) and np.isnan(answer).any():
        raise InputError(f"{name} answered NaN; an answer has a value at every pixel")


def mask_logits(mask: NDArray[np.bool_]) -> Logits:
    """Make logits from a mask."""
    return np.where(mask, np.float32(CERTAIN), np.float32(-CERTAIN))
