"""What a session asks of a method: encode an image once, answer its clicks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.layout import REGION, Mask
from interseg.errors import InputError

State = Mapping[str, Any]
"""What a segmenter keeps of an image between two clicks, empty before the first; it is replaced,
never changed."""


class Answer(NamedTuple):
    """A segmenter's answer to a round of clicks."""

    logits: Tensor
    """(B, K, H, W): one of the object against background, or one a class."""
    states: list[State]
    """What goes with the next click, of each image."""


class Segmenter(Protocol):
    """What a session asks: a method, an exported network, somebody's own model."""

    outputs: int
    """Number of logits a pixel, K: 1 of an object against background, else one a class."""
    kinds: Sequence[int]
    """Kinds of clicks that it knows."""

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute what does not depend on clicks, once an image: (B, ...) tensors from images (B, 3, H, W)."""

    def start(self, batch: ClickBatch) -> Tensor | None:
        """Give the logits (B, K, H, W) before the first click; None where nothing is said without clicks."""

    def answer(self, batch: ClickBatch) -> Answer:
        """Answer clicks, from `id`, `image`, `clicks`, `previous`, `encoded` and `states`."""


class Plain:
    """A segmenter from a module that only has `segment(batch)`: logits (B, 1, H, W) from image, clicks and previous mask."""

    outputs: int = 1
    kinds: Sequence[int] = (REGION,)

    def __init__(self, module: Any) -> None:
        self.module = module

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute nothing."""
        return {}

    def start(self, batch: ClickBatch) -> Tensor | None:
        """Say nothing without clicks."""
        return None

    def answer(self, batch: ClickBatch) -> Answer:
        """Segment the batch."""
        return Answer(self.module.segment(batch), batch["states"])


def masks_of(logits: Tensor, threshold: float) -> NDArray[Any]:
    """Make masks (B, H, W) on the CPU from logits (B, K, H, W): bool above a threshold, or the classes of the largest."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > threshold).cpu().numpy()
    return logits.argmax(1).to(torch.uint8).cpu().numpy()


def checked_mask(mask: Mask, size: tuple[int, int], outputs: int) -> Mask:
    """Return a mask to start from as bool or classes; raises `InputError` for another size or an unknown class."""
    if mask.shape != size:
        raise InputError(f"the mask is {mask.shape}, the image {size}; a mask has its image's size")
    if outputs == 1:
        return mask.astype(bool)
    if mask.min() < 0 or mask.max() >= outputs:
        raise InputError(f"the mask has class {mask.max()}; the network knows 0 to {outputs - 1}")
    return mask.astype(np.uint8)


def given_probabilities(mask: Mask, outputs: int) -> NDArray[np.float32]:
    """Make probabilities of 0 and 1, (H, W) or (K, H, W), from a mask."""
    if outputs == 1:
        return mask.astype(np.float32)
    return (mask == np.arange(outputs)[:, None, None]).astype(np.float32)
