"""Rounds of sessions: the steps before the first click, and answers to clicks in batches.

Sessions of one segmenter and one size of image are answered together.
"""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from interseg.batches import ClickBatch
from interseg.clicks.layout import (
    Click,
    Clicks,
    Mask,
    check_clicks,
    clicks_of,
    no_clicks,
    pad_clicks,
)
from interseg.inference.segmenter import Segmenter, State, check_mask, masks_of

FORESEEN = 8
"""Number of clicks whose answers are foreseen as a batch."""


class Step(NamedTuple):
    """The session after a click, or before the first one."""

    click: Click | None
    mask: Mask
    logits: Tensor | None
    """(K, H, W); None if there is no answer, as before the first click of most segmenters."""
    state: State
    seconds: float
    """Seconds of the answer, or the session's share if several were answered together."""


class OpenSession(Protocol):
    """A session, as far as a round knows it; see `interseg.inference.session.Session`."""

    segmenter: Segmenter
    image: Tensor
    encoded: dict[str, Tensor]
    id: int
    logit_threshold: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""

    @property
    def clicks(self) -> Clicks:
        """Clicks so far, (n, 4)."""

    @property
    def mask(self) -> Mask:
        """Mask after them, (H, W)."""

    @property
    def probability_maps(self) -> Tensor:
        """Probabilities after them, (H, W) or (K, H, W), on the segmenter's device."""

    @property
    def state(self) -> State:
        """State of the segmenter after them."""

    def take(self, step: Step) -> None:
        """Go on to the step after a click."""


@torch.no_grad()
@torch.compiler.set_stance("force_eager")  # compiling for many sizes outlasts answering
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
        given = [check_mask(mask, size, segmenter.outputs) for mask in masks]
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
@torch.compiler.set_stance("force_eager")
def answer_together(sessions: Sequence[OpenSession], clicks: Sequence[Click]) -> None:
    """Give each session its next click.

    Sessions of one segmenter and one size of image are answered as a batch.

    Raises:
        InputError: A click that is not allowed; no session is answered then.
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
        # masks are on the CPU, so the time includes the device's
        seconds = (time.perf_counter() - started) / len(group)
        for k, (i, session) in enumerate(zip(rows, group, strict=True)):
            session.take(Step(clicks[i], masks[k], logits[k], states[k], seconds))


@torch.no_grad()
@torch.compiler.set_stance("force_eager")
def foresee(session: OpenSession, clicks: Sequence[Click]) -> list[Mask]:
    """Compute the mask after each of several clicks, each given alone as the session's next one.

    The session does not change.

    Args:
        session: Session that would get the clicks.
        clicks: Clicks, n of them.

    Raises:
        InputError: A click that is not allowed.
    """
    known = max(2, session.segmenter.outputs)
    check_clicks(clicks_of(clicks), *session.size, known, session.segmenter.kinds)
    masks: list[Mask] = []
    for start in range(0, len(clicks), FORESEEN):
        part = clicks[start : start + FORESEEN]
        logits, _ = session.segmenter.answer(round_batch([session] * len(part), part))
        masks += [*masks_of(logits, session.logit_threshold)]
    return masks


def round_batch(sessions: Sequence[OpenSession], clicks: Sequence[Click]) -> ClickBatch:
    """Make the batch of sessions of one size and threshold, including their next clicks."""
    device = sessions[0].image.device
    given = []
    for session, click in zip(sessions, clicks, strict=True):
        given.append(np.concatenate([session.clicks, clicks_of([click])]))
    if getattr(sessions[0].segmenter, "soft_previous", False):
        previous = stack([session.probability_maps for session in sessions])
    else:
        # a copy, since a segmenter of somebody else may write into what it is given
        previous = torch.from_numpy(np.stack([session.mask for session in sessions])).to(device)
    return {
        "id": torch.tensor([session.id for session in sessions]),
        "image": stack([session.image for session in sessions]),
        "clicks": pad_clicks(given).to(device),
        "previous": previous,
        "encoded": join_parts([session.encoded for session in sessions]),
        "threshold": 1 / (1 + math.exp(-sessions[0].logit_threshold)),
        "states": [session.state for session in sessions],
    }


def join_parts(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join the encodings of single images to a batch's."""
    return {key: stack([part[key] for part in parts]) for key in parts[0]}


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """Stack tensors; a single one is not copied."""
    return tensors[0][None] if len(tensors) == 1 else torch.stack(list(tensors))
