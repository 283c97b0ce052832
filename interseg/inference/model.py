"""Models: trained methods that open sessions on photos."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from interseg.clicks.layout import Mask
from interseg.errors import InputError
from interseg.images import photo_of
from interseg.inference.segmenter import Segmenter
from interseg.inference.session import Session, open_sessions

Photo = str | Path | NDArray[np.uint8]
"""A file, or (H, W, 3) uint8 RGB."""
FRAMEWORK = ("callbacks", "configs", "datamodules", "lightning_modules")
"""Packages that build a method, beside this one."""


class Model:
    """A segmenter on a device, which opens sessions on photos.

    Args:
        segmenter: Segmenter in evaluation mode.
        device: Device of the segmenter.
        threshold: Probability above which a pixel is object, unless a session is given another.
    """

    def __init__(self, segmenter: Segmenter, device: torch.device, threshold: float = 0.5) -> None:
        self.segmenter, self.device, self.threshold = segmenter, device, threshold

    def session(
        self, image: Photo, mask: Mask | None = None, threshold: float | None = None
    ) -> Session:
        """Open a session on a photo.

        Args:
            image: A file, or (H, W, 3) uint8 RGB.
            mask: (H, W) to start from; None for the method's own answer without clicks, which is
                empty for most methods.
            threshold: Probability above which a pixel is object; None for the model's own.
        """
        pixels = photo_of(image)
        tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        images = tensor[None].to(self.device, torch.float32) / 255
        masks = None if mask is None else [mask]
        if threshold is None:
            threshold = self.threshold
        (session,) = open_sessions(self.segmenter, images, masks=masks, threshold=threshold)
        return session


def load_model(path: Path, overrides: Sequence[str], device: str, trusted: Sequence[str]) -> Model:
    """Load a run or a checkpoint; `interseg.load` describes the arguments.

    The training framework's folders know the configs and build the method. Only this function
    imports them, so that sessions on other segmenters work without them.
    """
    try:
        checkpoints = importlib.import_module("configs.checkpoints")
    except ImportError as error:
        other = shadowing(error)
        ways = "the installation is incomplete; install interseg again"
        if other:
            ways = f"Python takes {other} for interseg's package of this name; start elsewhere"
        raise InputError(f"{path} cannot be loaded ({error}): {ways}") from None
    place = choose_device(device)
    method, threshold = checkpoints.load_for_sessions(path, overrides, trusted)
    return Model(method.to(place), place, threshold)


def shadowing(error: ImportError) -> str | None:
    """Find the package of the user's own that was imported in the place of one of ours."""
    own = Path(__file__).resolve().parents[2]
    for name in {(error.name or "").partition(".")[0], "configs"} & {*FRAMEWORK}:
        found = sys.modules.get(name)
        places = [*getattr(found, "__path__", [])] or [getattr(found, "__file__", None)]
        if places[0] and Path(places[0]).resolve().parent != own:
            return places[0]
    return None


def choose_device(name: str) -> torch.device:
    """Choose a device; raises `InputError` for one that is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    # torch's CPU build raises an AssertionError for cuda
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(
            f"device is {name!r}, which cannot be used ({reason}); give auto, cpu or cuda"
        ) from None
