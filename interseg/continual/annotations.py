"""Annotations of classes: sparse label maps (H, W) uint8, 255 where nothing was annotated.

Superpixels (`superpixels.py`), clicks and scribbles all end in one, so that a method which learns
from one learns from all.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE, Clicks, check_inside, clicks_of
from interseg.distance import interior_distance

Annotation = NDArray[np.uint8]
DIRECTIONS = 16
"""In so many a scribble may run; 11 degrees apart."""


def no_annotation(shape: tuple[int, ...]) -> Annotation:
    """Make an annotation (H, W) of nothing."""
    return np.full(shape, IGNORE, np.uint8)


def draw_clicks(clicks: Clicks, shape: tuple[int, ...], radius: int = 3) -> Annotation:
    """Draw clicks as an annotation: disks of their class, later ones over earlier ones."""
    check_inside(clicks, shape[0], shape[1])
    annotation = no_annotation(shape)
    for y, x, label, _ in clicks.tolist():
        cv2.circle(annotation, (x, y), radius, label, -1)
    return annotation


def draw_scribble(
    points: Sequence[tuple[int, int]], label: int, shape: tuple[int, ...], width: int = 5
) -> Annotation:
    """Draw a scribble as an annotation: a line of a class through points (y, x)."""
    annotation = no_annotation(shape)
    line = np.array([[(x, y)] for y, x in points], np.int32)
    cv2.polylines(annotation, [line], False, label, width)
    return annotation


class AnsweredImage(NamedTuple):
    """Image with the method's answer to it, as a user of classes sees it in a round."""

    prediction: NDArray[np.integer]
    """(H, W) classes."""
    mask: NDArray[np.uint8]
    """(H, W) true classes, 255 = ignore."""
    uncertainty: NDArray[np.floating]
    """(H, W) of each pixel."""
    segments: NDArray[np.int64]
    """(H, W) superpixels, numbered from 0."""
    before: Annotation
    """(H, W) what was annotated in earlier rounds; it is not annotated again."""
    epistemic: NDArray[np.floating] | None = None
    """(H, W) part of each pixel's uncertainty that learning would take away; None for a method that
    does not say it."""


class Annotator:
    """Base of the users who annotate classes."""

    def annotate(
        self, answered: AnsweredImage, generator: np.random.Generator, scale: float = 1.0
    ) -> tuple[Annotation, int]:
        """Annotate an image in a round.

        Args:
            answered: Prediction, truth and the rest of what was answered.
            generator: Generator of all randomness.
            scale: Factor that the user's distances are multiplied by.

        Returns:
            (H, W), 255 everywhere where nothing is left to annotate; and the number of things
            (superpixels, clicks, scribbles) annotated.
        """
        raise NotImplementedError


class StrokeUser(Annotator):
    """User who clicks or scribbles where the prediction is wrong, deepest error first.

    It serves CLIS' "future work"; the choice is ours.

    A click falls on the pixel deepest in what is wrong in one way: far from right pixels, from
    other true classes, from annotated pixels and from the image's border. It is a disk; a scribble
    is the line through its centre that stays half as deep longest. Neither leaves the wrong pixels.

    Args:
        count: Number of strokes a round; the paper's number of superpixels. Fewer where nothing
            wrong is left.
        scribbles: Whether to draw lines instead of disks.
        radius: Radius of a click in pixels, twice that of a scribble's pen; smaller where what is
            wrong is thinner.
    """

    def __init__(self, count: int = 16, scribbles: bool = False, radius: float = 3.0) -> None:
        self.count, self.scribbles, self.radius = count, scribbles, radius

    def annotate(
        self, answered: AnsweredImage, generator: np.random.Generator, scale: float = 1.0
    ) -> tuple[Annotation, int]:
        """See `Annotator`; neither uncertainty nor superpixels are looked at."""
        mask = answered.mask
        found, strokes = no_annotation(mask.shape), 0
        wrong = (mask != IGNORE) & (answered.prediction != mask) & (answered.before == IGNORE)
        classes = np.unique(mask[wrong]).tolist()
        while strokes < self.count and wrong.any():
            depth = np.max([interior_distance(wrong & (mask == label)) for label in classes], 0)
            y, x = divmod(int(depth.argmax()), mask.shape[1])
            label, radius = int(mask[y, x]), int(min(self.radius * scale, depth[y, x] - 1))
            if self.scribbles:
                deep = (depth >= (depth[y, x] + 1) / 2) & wrong & (mask == label)
                stroke = draw_scribble(
                    longest_chord(deep, y, x), label, mask.shape, 2 * (radius // 2) + 1
                )
            else:
                stroke = draw_clicks(clicks_of([(y, x, label)]), mask.shape, radius)
            drawn = (stroke != IGNORE) & wrong & (mask == label)
            found[drawn], wrong[drawn], strokes = label, False, strokes + 1
        return found, strokes


def longest_chord(region: NDArray[np.bool_], y: int, x: int) -> list[tuple[int, int]]:
    """Return the ends (y, x) of the longest straight line in a region through one of its pixels."""
    best: list[tuple[int, int]] = [(y, x), (y, x)]
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        ends = [
            last_inside(region, y, x, sign * np.sin(angle), sign * np.cos(angle))
            for sign in (1, -1)
        ]
        if math.dist(*ends) > math.dist(*best):
            best = ends
    return best


def last_inside(region: NDArray[np.bool_], y: int, x: int, dy: float, dx: float) -> tuple[int, int]:
    """Return the last pixel (y, x) of a region on the way from one of its pixels in a direction."""
    last, step = (y, x), 1
    while True:
        row, column = round(y + step * dy), round(x + step * dx)
        if not (
            0 <= row < region.shape[0] and 0 <= column < region.shape[1] and region[row, column]
        ):
            return last
        last, step = (row, column), step + 1
