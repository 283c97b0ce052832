"""The interface between a session and a method: encode an image once, answer its clicks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.layout import REGION, Mask, check_whole
from interseg.errors import InputError

State = Mapping[str, Any]
"""Values that a segmenter keeps for an image between two clicks, empty before the first; a state is
replaced, never changed."""


class Answer(NamedTuple):
    """A segmenter's answer to a round of clicks."""

    logits: Tensor
    """(B, K, H, W): one logit of the object, or one a class."""
    states: list[State]
    """State of each image for its next click."""


class Segmenter(Protocol):
    """A method, an exported network or a user's own model, as a session sees it."""

    outputs: int
    """Number of logits a pixel, K: 1 for an object against background, else one a class."""
    kinds: Sequence[int]
    """Kinds of clicks that it knows."""

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all that does not depend on clicks: (B, ...) tensors from images (B, 3, H, W)."""

    def start(self, batch: ClickBatch) -> Tensor | None:
        """Return the logits (B, K, H, W) before the first click; None for no such answer."""

    def answer(self, batch: ClickBatch) -> Answer:
        """Answer clicks, from `id`, `image`, `clicks`, `previous`, `encoded` and `states`."""


class Plain:
    """A segmenter from a module that has only `segment(batch)`.

    `segment` computes logits (B, 1, H, W) from image, clicks and previous mask.
    """

    outputs: int = 1
    kinds: Sequence[int] = (REGION,)

    def __init__(self, module: Any) -> None:
        self.module = module

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """Return an empty encoding."""
        return {}

    def start(self, batch: ClickBatch) -> Tensor | None:
        """Return None: there is no answer without clicks."""
        return None

    def answer(self, batch: ClickBatch) -> Answer:
        """Segment the batch."""
        return Answer(self.module.segment(batch), batch["states"])


def masks_of(logits: Tensor, threshold: float) -> NDArray[Any]:
    """Make masks (B, H, W) on the CPU from logits (B, K, H, W).

    They are bool, True above the threshold; with several logits uint8, the class of the largest.
    Raises `InputError` for NaN, of which an empty mask would come.
    """
    if logits.isnan().any():
        raise InputError(
            "the network answers with NaN: its weights are damaged, or its numbers overflow "
            "(trainer.precision=16-true does that); use other weights, or more bits"
        )
    if logits.shape[1] == 1:
        return (logits[:, 0] > threshold).cpu().numpy()
    return logits.argmax(1).to(torch.uint8).cpu().numpy()


def check_mask(mask: Mask, size: tuple[int, int], outputs: int) -> Mask:
    """Return a mask to start from as bool or classes.

    Raises:
        InputError: A mask of another size, of fractions, or with an unknown class.
    """
    if mask.shape != size:
        raise InputError(f"the mask is {mask.shape}, the image {size}; a mask has its image's size")
    check_whole(mask)
    if outputs == 1:
        return mask.astype(bool)
    if mask.min() < 0 or mask.max() >= outputs:
        raise InputError(f"the mask has class {mask.max()}; the network knows 0 to {outputs - 1}")
    return mask.astype(np.uint8)


def probabilities_of(mask: Mask, outputs: int) -> NDArray[np.float32]:
    """Make probabilities of 0 and 1, (H, W) or (K, H, W), from a mask."""
    if outputs == 1:
        return mask.astype(np.float32)
    return (mask == np.arange(outputs)[:, None, None]).astype(np.float32)
