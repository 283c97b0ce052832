"""Sessions on an exported network, with onnxruntime and NumPy; torch is not imported."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import (
    KINDS,
    Click,
    Mask,
    check_clicks,
    check_whole,
    clicks_of,
)
from interseg.errors import InputError
from interseg.images import photo_of
from interseg.inference.external import Logits, check_answer
from interseg.inference.history import History, logit_of
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
        return ExportedSession(self.pair, pixels, mask, logit_of(threshold))


class ExportedSession(History[Turn]):
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
        super().__init__(self._first(mask))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (H, W) of the object."""
        logits = self._steps[-1].logits
        found = self.mask if logits is None else 1 / (1 + np.exp(-logits))
        return np.asarray(found, np.float32)

    def click(self, y: int, x: int, label: int = 1, kind: str = "region") -> Mask:
        """Add a click and return the new mask; see `Session.click`."""
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; use {' or '.join(KINDS)}")
        click, last = Click(int(y), int(x), int(label), KINDS.index(kind)), self._steps[-1]
        check_clicks(clicks_of([click]), *self.size)
        clicks = np.concatenate([self.clicks, clicks_of([click])])
        started = time.perf_counter()
        points, labels = clicks[:, 1::-1].astype(np.float32), clicks[:, 2]
        before = last.mask.astype(bool) if last.mask.any() else None
        logits, kept = self.pair.decode(self.encoded, self.size, points, labels, before, last.kept)
        check_answer(logits, self.size, self.pair.files[1])
        mask = logits > self.logit_threshold
        self.take(Turn(click, mask, logits, kept, time.perf_counter() - started))
        return self.mask

    def start_from(self, mask: Mask | None) -> Mask:
        """Restart without clicks from a mask (H, W); None for an empty mask."""
        self.begin(self._first(mask))
        return self.mask

    def _first(self, mask: Mask | None) -> Turn:
        if mask is None:
            return Turn(None, np.zeros(self.size, bool), None, {}, 0.0)
        if mask.shape != self.size:
            raise InputError(
                f"the mask is {mask.shape}, the image {self.size}; a mask has its image's size"
            )
        check_whole(mask)
        return Turn(None, mask.astype(bool), None, {}, 0.0)


def load_exported(folder: Path, overrides: Sequence[str], device: str) -> ExportedModel:
    """Load an export of export.py; raises `InputError` for options, which it does not have."""
    if overrides:
        raise InputError(
            f"{folder} is an export, which takes no {', '.join(overrides)}; load the run itself"
        )
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is {device!r}; an export runs on auto, cpu or cuda")
    return ExportedModel(folder, device)
