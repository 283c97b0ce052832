"""Batches: the keys that data modules load and loops add, with shapes and units.

A batch of a stream is one round of one task: its image or volume is repeated as many times as the
task may have rounds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class ClickBatch(TypedDict, total=False):
    """B objects of one size, from a data module of clicks; the keys that the loop adds are last."""

    id: Tensor
    """(B,) int64 number of the object in its source, stable over ranks, epochs and restarts."""
    image: Tensor
    """(B, 3, H, W) float32 RGB in [0, 1]."""
    mask: Tensor
    """(B, H, W) uint8: 1 object, 0 background, 255 ignore; or the classes of a method that knows
    several."""
    clicks: Tensor
    """(B, N, 4) int64 y, x, label, kind in view pixels, -1 for padding
    (`interseg/clicks/layout.py`); initial sets in training."""
    to_source: Tensor
    """(B, H, W, 2) int16 (int32 for sides above 32767) source (y, x) of each view pixel, -1 where
    the view shows padding."""
    distance: Tensor
    """(B, H, W) float32 pixels to the object, 0 on it; in training, with `Loading.distances`."""
    previous: Tensor
    """(B, H, W) bool (uint8 classes) mask before this round; added by the loop, or the initial mask
    of data sets that have one.

    float32 probabilities for a segmenter with `soft_previous`."""
    features: list[Tensor]
    """Training only: (B, C, h, w) of each level of a frozen encoder, if a callback stores them."""
    errors: list[str]
    """Evaluation only: objects of this batch that could not be read and are not in the tensors."""
    encoded: dict[str, Tensor]
    """Answers only: (B, ...) results of `encode`."""
    threshold: float
    """Answers only: probability above which the sessions' pixels are object; 0.5 if missing."""
    states: list[Mapping[str, Any]]
    """Answers only: state of each object after its previous answer; empty before the first."""
    outcome: dict[str, Tensor]
    """Evaluation only: outcomes of the games (`interseg/evaluation/game.py`)."""


class Round(TypedDict, total=False):
    """The place of a batch in a stream."""

    sequence: int
    """Number of the sequence of tasks, or of the permutation of volumes: 0, 1, ..."""
    task: int
    """Number of the task in the sequence: 0, 1, ..."""
    round: int
    """Number of the round in the task: 0, 1, ..."""
    last_round: int
    """1 in a task's last round, else 0."""


class TaskBatch(Round, total=False):
    """B images of one size with classes at every pixel; B is 1 in a round of a task.

    A batch of pretraining has only `id`, `image` and `mask`.
    """

    id: Required[Tensor]
    """(B,) int64 numbers of the images in their data set."""
    image: Required[Tensor]
    """(B, 3, H, W) float32 RGB in [0, 1]."""
    mask: Required[Tensor]
    """(B, H, W) uint8 classes, 255 = ignore."""
    probabilities: Tensor
    """(B, C, H, W) answer before the round; the annotation loop adds this key and all below."""
    uncertainty: Tensor
    """(B, H, W) of the answer, in nats."""
    epistemic: Tensor
    """(B, H, W) part of the uncertainty that more learning would remove, in nats."""
    annotation: Tensor
    """(B, H, W) uint8 classes that the user has given in this task so far, 255 elsewhere."""
    new: Tensor
    """(B,) int64 numbers of superpixels, clicks or scribbles that were annotated in this round."""
    propagated: Tensor
    """(B, H, W) int64 classes that follow from the annotations; this and `target` are added by the
    method that learns."""
    target: Tensor
    """Classes to learn: (B, H, W), or (B, C, H, W) probabilities."""


class VolumeBatch(Round, total=False):
    """One volume: a round of its task."""

    id: Required[Tensor]
    """(1,) int64 number of the volume in its data set."""
    volume: Required[Tensor]
    """(1, 1, D, H, W) float32, normalised."""
    mask: Required[Tensor]
    """(1, D, H, W) uint8: 1 target, 0 background."""
    spacing: Required[Tensor]
    """(1, 3) float32 mm between voxels along D, H, W."""
    answer: NDArray[np.floating] | None
    """(D, H, W) probabilities before the round, None if the segmenter has not learned anything.

    The slice loop adds this key and all below.
    """
    labelled: Mapping[int, Sequence[int]]
    """Numbers of the slices that the user has labelled so far, by axis."""
    new: bool
    """Whether the user labelled anything in this round."""
    labour: float
    """Cost of the labelled slices as a share of labelling the whole target (eq. 4)."""
    proxy: NDArray[np.bool_]
    """(D, H, W) proxy mask that follows from the labelled slices."""
    target: Tensor
    """(1, 1, D, H, W) proxy mask in the volume's precision, as the target of learning."""
    confidence: Tensor
    """(1, 1, D, H, W) weights of the target's voxels in the loss (eq. 11 and 12)."""


def require(batch: Mapping[str, object], *keys: str) -> None:
    """Raise `ValueError` for the first key that a batch lacks."""
    for key in keys:
        if key not in batch:
            found = ", ".join(sorted(batch))
            raise ValueError(
                f"the batch has no {key!r} (it has {found}); interseg/batches.py describes the keys"
            )
