"""Sessions on an exported network, with onnxruntime and NumPy; torch is not imported."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import (
    KINDS,
    Click,
    Clicks,
    Mask,
    check_clicks,
    check_whole,
    clicks_of,
    no_clicks,
)
from interseg.errors import InputError
from interseg.images import photo_of
from interseg.inference.external import Logits, check_answer
from interseg.inference.onnx_pair import FILES, OnnxPair, available_providers

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class Turn(NamedTuple):
    """The session after a click, or before the first one."""

    click: Click | None
    mask: Mask
    logits: Logits | None
    kept: Any
    seconds: float


class ExportedModel:
    """An export of export.py; it opens sessions on photos as `interseg.inference.model.Model` does.

    Args:
        folder: Folder with the pair of files.
        device: "cpu", "cuda", or "auto" for a GPU if onnxruntime has one.

    Raises:
        InputError: "cuda", and onnxruntime knows no such GPU.
    """

    def __init__(self, folder: Path, device: str = "auto") -> None:
        providers = {"cpu": [CPU], "cuda": [CUDA, CPU], "auto": None}[device]
        if device == "cuda" and CUDA not in available_providers():
            raise InputError(
                "device is 'cuda', and this onnxruntime has no such GPU; give auto or cpu, or "
                "install onnxruntime-gpu"
            )
        self.pair = OnnxPair(str(folder / FILES[0]), str(folder / FILES[1]), providers=providers)

    def session(
        self,
        image: str | Path | NDArray[np.uint8],
        mask: Mask | None = None,
        threshold: float | None = None,
    ) -> "ExportedSession":
        """Open a session on a photo, a file or (H, W, 3) uint8 RGB; see `Model.session`."""
        pixels = photo_of(image)
        if threshold is None:
            threshold = float(self.pair.about.get("threshold", 0.5))  # exports of before have none
        if not 0 < threshold < 1:
            raise InputError(f"threshold is {threshold}; it is a probability between 0 and 1")
        return ExportedSession(self.pair, pixels, mask, math.log(threshold / (1 - threshold)))


class ExportedSession:
    """A photo, its clicks and an exported network.

    Its members are those of `interseg.inference.session.Session` without `id`, `state`,
    `probability_maps` and `another`, which need torch or a photo's other objects.
    """

    def __init__(
        self, pair: OnnxPair, image: NDArray[np.uint8], mask: Mask | None, logit_threshold: float
    ) -> None:
        self.pair, self.image, self.logit_threshold = pair, image, logit_threshold
        started = time.perf_counter()
        self.encoded = pair.encode(image)
        self.encoding_seconds = time.perf_counter() - started
        self._turns: list[Turn] = []
        self._undone: list[Turn] = []
        self.start_from(mask)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    @property
    def mask(self) -> Mask:
        """Mask (H, W) bool."""
        return self._turns[-1].mask

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (H, W) of the object."""
        logits = self._turns[-1].logits
        found = self.mask if logits is None else 1 / (1 + np.exp(-logits))
        return np.asarray(found, np.float32)

    @property
    def clicks(self) -> Clicks:
        """Clicks (n, 4): y, x, label, kind."""
        given = [turn.click for turn in self._turns if turn.click is not None]
        return clicks_of(given) if given else no_clicks()

    @property
    def seconds(self) -> list[float]:
        """Seconds of the answer to each click."""
        return [turn.seconds for turn in self._turns[1:]]

    @property
    def steps(self) -> Sequence[Turn]:
        """The session before the first click and after each one."""
        return list(self._turns)

    def click(self, y: int, x: int, label: int = 1, kind: str = "region") -> Mask:
        """Add a click and return the new mask; see `Session.click`."""
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; use {' or '.join(KINDS)}")
        click, last = Click(int(y), int(x), int(label), KINDS.index(kind)), self._turns[-1]
        check_clicks(clicks_of([click]), *self.size)
        clicks = np.concatenate([self.clicks, clicks_of([click])])
        started = time.perf_counter()
        points, labels = clicks[:, 1::-1].astype(np.float32), clicks[:, 2]
        before = last.mask.astype(bool) if last.mask.any() else None
        logits, kept = self.pair.decode(self.encoded, self.size, points, labels, before, last.kept)
        check_answer(logits, self.size, self.pair.files[1])
        mask = logits > self.logit_threshold
        self._turns.append(Turn(click, mask, logits, kept, time.perf_counter() - started))
        self._undone = []
        return self.mask

    def undo(self) -> Mask:
        """Undo the last click; raises `InputError` if there is none."""
        if len(self._turns) == 1:
            raise InputError("there is no click to undo")
        self._undone.append(self._turns.pop())
        return self.mask

    def redo(self) -> Mask:
        """Redo the click that was undone last.

        Raises:
            InputError: No click was undone, or another click followed.
        """
        if not self._undone:
            raise InputError("there is no click to redo")
        self._turns.append(self._undone.pop())
        return self.mask

    def reset(self) -> Mask:
        """Undo all clicks."""
        while len(self._turns) > 1:
            self.undo()
        return self.mask

    def start_from(self, mask: Mask | None) -> Mask:
        """Restart without clicks from a mask (H, W); None for an empty mask."""
        if mask is not None and mask.shape != self.size:
            raise InputError(
                f"the mask is {mask.shape}, the image {self.size}; a mask has its image's size"
            )
        if mask is not None:
            check_whole(mask)
        first = np.zeros(self.size, bool) if mask is None else mask.astype(bool)
        self._turns, self._undone = [Turn(None, first, None, {}, 0.0)], []
        return self.mask


def load_exported(folder: Path, overrides: Sequence[str], device: str) -> ExportedModel:
    """Load an export of export.py; raises `InputError` for options, which it does not have."""
    if overrides:
        raise InputError(
            f"{folder} is an export, which takes no {', '.join(overrides)}; load the run itself"
        )
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}; an export runs on auto, cpu or cuda")
    return ExportedModel(folder, device)
