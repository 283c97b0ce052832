"""The session: an image, its clicks and a segmenter that answers them.

The answer is a function of image, initial mask and clicks. A segmenter's memory between two clicks
is a state that it returns with each answer and never changes. So undo is exact: the session returns
to an earlier answer and its state. Evaluation, prediction and every tool are sessions.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.clicks.layout import KINDS, Click, Mask
from interseg.errors import InputError
from interseg.inference.history import History, logit_of
from interseg.inference.rounds import Step, answer_together, first_steps, join_parts
from interseg.inference.segmenter import Segmenter, State, probabilities_of


class Session(History[Step]):
    """An image, its clicks and a segmenter; `open_sessions` makes them.

    Args:
        segmenter: Segmenter in evaluation mode.
        image: (3, H, W) in [0, 1].
        encoded: Encoding of this image by the segmenter, without the batch's dimension.
        first: Step before the first click.
        id: Id of the image, for messages and generators.
        logit_threshold: Logit above which a pixel is object.
        undoable: Whether to keep earlier answers for undo; False saves their memory.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        image: Tensor,
        encoded: dict[str, Tensor],
        first: Step,
        id: int = 0,
        logit_threshold: float = 0.0,
        undoable: bool = True,
    ) -> None:
        super().__init__(first, undoable)
        self.segmenter, self.image, self.encoded, self.id = segmenter, image, encoded, id
        self.logit_threshold = logit_threshold
        self.encoding_seconds = 0.0
        """Seconds of the image's encoding."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return int(self.image.shape[-2]), int(self.image.shape[-1])

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (H, W) of the object, or (K, H, W) of the classes.

        Before the first answer they are 0 and 1, from the mask that the session starts from.
        """
        return self.probability_maps.cpu().numpy()

    @property
    def probability_maps(self) -> Tensor:
        """`probabilities` on the segmenter's device."""
        logits = self._steps[-1].logits
        if logits is None:
            known = probabilities_of(self.mask, self.segmenter.outputs)
            return torch.from_numpy(known).to(self.image.device)
        logits = logits.float()
        return logits[0].sigmoid() if len(logits) == 1 else logits.softmax(0)

    @property
    def state(self) -> State:
        """State of the segmenter after the last click."""
        return self._steps[-1].state

    def click(self, y: int, x: int, label: int = 1, kind: str = "region") -> Mask:
        """Add a click and return the new mask.

        Args:
            y: Row of the pixel.
            x: Column of the pixel.
            label: 1 for object, 0 for background, or the number of a class.
            kind: "region", or "boundary" for a click on the object's boundary if the segmenter
                knows this kind.

        Raises:
            InputError: A click that is not allowed: outside the image, of an unknown label or kind.
        """
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; use {' or '.join(KINDS)}")
        answer_together([self], [Click(int(y), int(x), int(label), KINDS.index(kind))])
        return self.mask

    def start_from(self, mask: Mask | None) -> Mask:
        """Restart without clicks from a mask (H, W); None for the segmenter's first answer."""
        masks = None if mask is None else [mask]
        parts = join_parts([self.encoded])
        steps = first_steps(
            self.segmenter, self.image[None], [self.id], parts, masks, self.logit_threshold
        )
        self.begin(steps[0])
        return self.mask

    def another(self, mask: Mask | None = None, undoable: bool | None = None) -> "Session":
        """Open a session on another object of the same image, which is not encoded again.

        Args:
            mask: (H, W) to start from, see `start_from`.
            undoable: See `Session`; None for this session's value.
        """
        keeps = self.undoable if undoable is None else undoable
        other = Session(
            self.segmenter,
            self.image,
            self.encoded,
            self._steps[0],
            self.id,
            self.logit_threshold,
            keeps,
        )
        other.start_from(mask)
        return other

    def take(self, step: Step) -> None:
        """Add the answer to a click."""
        if not self.undoable:
            last = self._steps[-1]
            nothing = last.mask[:0].copy()  # a view would keep the whole mask
            self._steps[-1] = Step(last.click, nothing, None, {}, last.seconds)
        super().take(step)


def open_sessions(
    segmenter: Segmenter,
    images: Tensor,
    ids: Sequence[int] | None = None,
    masks: Sequence[Mask] | None = None,
    threshold: float = 0.5,
    undoable: bool = True,
) -> list[Session]:
    """Open a session on each image of a batch; the images are encoded together.

    Args:
        segmenter: Segmenter in evaluation mode.
        images: (B, 3, H, W) in [0, 1], on the segmenter's device.
        ids: Ids of the images; 0, 1, ... by default.
        masks: (H, W) mask of each image to start from; None for the segmenter's own answer without
            clicks, which is empty for most segmenters.
        threshold: Probability above which a pixel is object.
        undoable: See `Session`.

    Raises:
        InputError: A threshold outside (0, 1), or a mask that does not fit its image.
    """
    logit = logit_of(threshold)
    numbers = list(range(len(images))) if ids is None else list(ids)
    started = time.perf_counter()
    with torch.no_grad():
        parts = segmenter.encode(images)
    if images.is_cuda:  # else the first click would wait for it
        torch.cuda.synchronize(images.device)
    seconds = (time.perf_counter() - started) / max(1, len(images))
    firsts = first_steps(segmenter, images, numbers, parts, masks, logit)
    sessions = []
    for row, (number, first) in enumerate(zip(numbers, firsts, strict=True)):
        encoded = {key: value[row] for key, value in parts.items()}
        sessions.append(Session(segmenter, images[row], encoded, first, number, logit, undoable))
        sessions[-1].encoding_seconds = seconds
    return sessions
