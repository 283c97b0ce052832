"""The session: an image, its clicks and a segmenter that answers them.

The answer is a function of image, initial mask and clicks. What a segmenter keeps between two
clicks is a state that it gives back with each answer and never changes, so that undo is exact: the
session goes back to an earlier answer and its state. Evaluation, prediction and every tool are
sessions.
"""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.layout import (
    KINDS,
    Click,
    Clicks,
    Mask,
    check_clicks,
    clicks_of,
    no_clicks,
    pad_clicks,
)
from interseg.errors import InputError
from interseg.inference.segmenter import (
    Segmenter,
    State,
    checked_mask,
    given_probabilities,
    masks_of,
)


class Step(NamedTuple):
    """The session after a click, or before the first one."""

    click: Click | None
    mask: Mask
    logits: Tensor | None
    """(K, H, W); None where nothing was said: before the first click of most segmenters."""
    state: State
    seconds: float
    """Time of the answer; of several sessions that were answered together, each one's share."""


class Session:
    """An image, its clicks and a segmenter; `open_sessions` makes them.

    Args:
        segmenter: answers; in evaluation mode.
        image: (3, H, W) in [0, 1].
        encoded: what the segmenter has computed of this image, without the batch's dimension.
        first: the session before the first click.
        id: of the image, for messages and generators.
        logit_threshold: above which a pixel is object.
        undoable: keep earlier answers; False saves their memory where nobody goes back.
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
        self.segmenter, self.image, self.encoded, self.id = segmenter, image, encoded, id
        self.logit_threshold, self.undoable = logit_threshold, undoable
        self.encoding_seconds = 0.0
        """Time of what was computed once."""
        self._steps: list[Step] = [first]
        self._undone: list[Step] = []

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return int(self.image.shape[-2]), int(self.image.shape[-1])

    @property
    def mask(self) -> Mask:
        """(H, W) the answer to the clicks so far: bool, or classes."""
        return self._steps[-1].mask

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(H, W) of the object, or (K, H, W) of the classes.

        Before the first answer they are those of the mask that the session starts from.
        """
        logits = self._steps[-1].logits
        if logits is None:
            return given_probabilities(self.mask, self.segmenter.outputs)
        logits = logits.float()
        return (logits[0].sigmoid() if len(logits) == 1 else logits.softmax(0)).cpu().numpy()

    @property
    def clicks(self) -> Clicks:
        """(n, 4) y, x, label, kind."""
        given = [step.click for step in self._steps[1:] if step.click is not None]
        return clicks_of(given) if given else no_clicks()

    @property
    def seconds(self) -> list[float]:
        """Time of the answer to each click."""
        return [step.seconds for step in self._steps[1:]]

    @property
    def state(self) -> State:
        """What the segmenter keeps after the last click."""
        return self._steps[-1].state

    @property
    def steps(self) -> list[Step]:
        """The session before the first click and after each one."""
        return list(self._steps)

    def click(self, y: int, x: int, label: int = 1, kind: str = "region") -> Mask:
        """Click and give the new mask.

        Args:
            y: row of the pixel.
            x: column of the pixel.
            label: 1 for object, 0 for background, or the number of a class.
            kind: "region", or "boundary" for a click on the object's boundary where the segmenter
                knows such.
        """
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; use {' or '.join(KINDS)}")
        answer_together([self], [Click(int(y), int(x), int(label), KINDS.index(kind))])
        return self.mask

    def undo(self) -> Mask:
        """Take the last click back; raises `InputError` where there is none."""
        if len(self._steps) == 1:
            raise InputError("there is no click to undo")
        if not self.undoable:
            raise InputError("this session keeps no earlier answers; make it with undoable=True")
        self._undone.append(self._steps.pop())
        return self.mask

    def redo(self) -> Mask:
        """Give the click back that was undone last; raises `InputError` where there is none, or where another one followed."""
        if not self._undone:
            raise InputError("there is no click to redo")
        self._steps.append(self._undone.pop())
        return self.mask

    def reset(self) -> Mask:
        """Undo all clicks."""
        while len(self._steps) > 1:
            self.undo()
        return self.mask

    def start_from(self, mask: Mask | None) -> Mask:
        """Begin again, without clicks, from a mask (H, W); None for what the segmenter says without clicks."""
        masks = None if mask is None else [mask]
        parts = joined([self.encoded])
        steps = first_steps(
            self.segmenter, self.image[None], [self.id], parts, masks, self.logit_threshold
        )
        self._steps, self._undone = steps, []
        return self.mask

    def another(self, mask: Mask | None = None, undoable: bool | None = None) -> "Session":
        """Open a session on another object of the same image, which is not encoded again."""
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
            self._steps[-1] = Step(last.click, last.mask[:0], None, {}, last.seconds)
        self._steps.append(step)
        self._undone = []


def open_sessions(
    segmenter: Segmenter,
    images: Tensor,
    ids: Sequence[int] | None = None,
    masks: Sequence[Mask] | None = None,
    threshold: float = 0.5,
    undoable: bool = True,
) -> list[Session]:
    """Open a session on each of some images of one size, encoded at once.

    Args:
        segmenter: answers; in evaluation mode.
        images: (B, 3, H, W) in [0, 1], on the segmenter's device.
        ids: of the images; 0, 1, ... by default.
        masks: (H, W) to start from, of each image; None for the segmenter's own answer without
            clicks, or for nothing.
        threshold: on the probability, of a pixel to be object.
        undoable: see `Session`.
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold}; it is a probability between 0 and 1")
    numbers = list(range(len(images))) if ids is None else list(ids)
    logit = math.log(threshold / (1 - threshold))
    started = time.perf_counter()
    with torch.no_grad():
        parts = segmenter.encode(images)
    seconds = (time.perf_counter() - started) / max(1, len(images))
    firsts = first_steps(segmenter, images, numbers, parts, masks, logit)
    sessions = []
    for row, (number, first) in enumerate(zip(numbers, firsts, strict=True)):
        encoded = {key: value[row] for key, value in parts.items()}
        sessions.append(Session(segmenter, images[row], encoded, first, number, logit, undoable))
        sessions[-1].encoding_seconds = seconds
    return sessions


@torch.no_grad()
@torch.compiler.set_stance(
    "force_eager"
)  # images come in many sizes: compiling for them outlasts answering
def first_steps(
    segmenter: Segmenter,
    images: Tensor,
    ids: Sequence[int],
    encoded: dict[str, Tensor],
    masks: Sequence[Mask] | None,
    logit_threshold: float,
) -> list[Step]:
    """Make the steps before the first click; see `open_sessions`."""
    size = (int(images.shape[-2]), int(images.shape[-1]))
    if masks is not None:
        given = [checked_mask(mask, size, segmenter.outputs) for mask in masks]
        return [Step(None, mask, None, {}, 0.0) for mask in given]
    no_click = pad_clicks([no_clicks()] * len(images)).to(images.device)
    batch: ClickBatch = {
        "id": torch.tensor(ids),
        "image": images,
        "clicks": no_click,
        "encoded": encoded,
    }
    logits = segmenter.start(batch) if len(images) else None
    if logits is None:
        empty = np.zeros(size, bool if segmenter.outputs == 1 else np.uint8)
        return [Step(None, empty, None, {}, 0.0) for _ in ids]
    found = masks_of(logits, logit_threshold)
    return [Step(None, mask, row, {}, 0.0) for mask, row in zip(found, logits, strict=True)]


@torch.no_grad()
@torch.compiler.set_stance(
    "force_eager"
)  # images come in many sizes: compiling for them outlasts answering
def answer_together(sessions: Sequence[Session], clicks: Sequence[Click]) -> None:
    """Give each session its next click; those of one segmenter and one size of image are answered as a batch.

    Raises `InputError`, before any is answered, for a click that cannot be given.
    """
    for session, click in zip(sessions, clicks, strict=True):
        known = max(2, session.segmenter.outputs)
        check_clicks(clicks_of([click]), *session.size, known, session.segmenter.kinds)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, session in enumerate(sessions):
        key = (session.segmenter, session.logit_threshold, *session.size)
        groups.setdefault(key, []).append(i)
    for (segmenter, threshold, *_), rows in groups.items():
        group = [sessions[i] for i in rows]
        started = time.perf_counter()
        logits, states = segmenter.answer(round_batch(group, [clicks[i] for i in rows]))
        masks = masks_of(logits, threshold)
        seconds = (time.perf_counter() - started) / len(
            group
        )  # masks are on the CPU: the device's time is in it
        for k, (i, session) in enumerate(zip(rows, group, strict=True)):
            session.take(Step(clicks[i], masks[k], logits[k], states[k], seconds))


@torch.no_grad()
@torch.compiler.set_stance("force_eager")
def foresee(session: Session, clicks: Sequence[Click], together: int = 8) -> list[Mask]:
    """Give the mask after each of some clicks, given alone as the session's next one; the session stays as it is.

    Args:
        session: that is asked.
        clicks: n of them; raises `InputError` for one that cannot be given.
        together: most that are answered as a batch.
    """
    check_clicks(
        clicks_of(clicks), *session.size, max(2, session.segmenter.outputs), session.segmenter.kinds
    )
    masks: list[Mask] = []
    for start in range(0, len(clicks), together):
        part = clicks[start : start + together]
        logits, _ = session.segmenter.answer(round_batch([session] * len(part), part))
        masks += [*masks_of(logits, session.logit_threshold)]
    return masks


def round_batch(sessions: Sequence[Session], clicks: Sequence[Click]) -> ClickBatch:
    """Make the batch that sessions of one size are answered from, their next clicks included."""
    device = sessions[0].image.device
    given = [
        np.concatenate([s.clicks, clicks_of([c])]) for s, c in zip(sessions, clicks, strict=True)
    ]
    soft = getattr(sessions[0].segmenter, "soft_previous", False)
    masks = np.stack([session.probabilities if soft else session.mask for session in sessions])
    return {
        "id": torch.tensor([session.id for session in sessions]),
        "image": stacked([session.image for session in sessions]),
        "clicks": pad_clicks(given).to(device),
        "previous": torch.from_numpy(masks).to(device),
        "encoded": joined([session.encoded for session in sessions]),
        "states": [session.state for session in sessions],
    }


def joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join what was computed of single images to a batch's."""
    return {key: stacked([part[key] for part in parts]) for key in parts[0]}


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors; a single one is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))
