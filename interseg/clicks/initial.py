"""The click sets that training objects start from."""

from collections.abc import Sequence
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Clicks, clicks_of, label_pixels, no_clicks
from interseg.distance import distance_to, interior_distance
from interseg.errors import InputError

SQUARE = np.ones((3, 3), np.uint8)
"""Kernel of erosions and dilations by one pixel."""


class InitialClicks:
    """The clicks that a training object starts from, drawn as in iFCN.

    With probability `centre_probability` there is a single click at the object's centre. Otherwise
    there are 1 to `positives` clicks inside the object eroded by `margin` pixels, at least `step`
    pixels apart (fewer where the object has no room), and negative clicks by one of three
    strategies drawn uniformly: (1) 0 to `negatives` random pixels of the ring that lies `margin` to
    `ring` pixels outside the object; (2) 0 to `negatives_per_other` on each other object of the
    image; (3) 1 to `negatives` round the object: a random pixel of the ring, then always the pixel
    farthest from the earlier ones. The source is Xu et al. 2016, section 3.2, and ITIS'
    supplementary.

    Args:
        positives: Largest number of positive clicks.
        negatives: Largest number of negative clicks in strategies 1 and 3.
        negatives_per_other: Largest number of negative clicks on each other object (strategy 2).
        margin: Distance in pixels that clicks keep from the object's boundary.
        step: Least distance in pixels between two positive clicks.
        ring: Outer distance in pixels of the ring round the object.
        centre_probability: Probability of a single click at the centre.
    """

    def __init__(
        self,
        positives: int = 5,
        negatives: int = 10,
        negatives_per_other: int = 5,
        margin: int = 5,
        step: int = 20,
        ring: int = 40,
        centre_probability: float = 0.3,
    ) -> None:
        self.positives, self.negatives = positives, negatives
        self.negatives_per_other = negatives_per_other
        self.margin, self.step, self.ring = margin, step, ring
        self.centre_probability = centre_probability

    def __call__(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> Clicks:
        """Draw one initial set.

        Args:
            mask: (H, W) in {0, 1, 255}.
            others: (H, W) ids of the image's other objects, 0 elsewhere.
            generator: The only source of randomness.

        Returns:
            (n, 4) clicks; none is positive if the view shows no pixel of the object.
        """
        inside = interior_distance(mask == 1)
        if generator.random() < self.centre_probability:
            return centre_click(inside)
        positive = self._positive_clicks(inside, generator)
        strategy = generator.integers(3)
        if strategy == 1:
            negative = self._on_others(mask, others, generator)
        else:
            outside = distance_to(mask == 1)
            ring = np.argwhere((outside >= self.margin) & (outside <= self.ring) & (mask == 0))
            draw = self._random if strategy == 0 else self._surround
            negative = draw(ring, generator)
        return np.concatenate([label_pixels(positive, 1), label_pixels(negative, 0)])

    def _positive_clicks(
        self, inside: NDArray[np.float32], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        candidates = np.argwhere(inside > self.margin)
        if len(candidates) == 0:
            candidates = np.argwhere(inside > 0)
        chosen: list[NDArray[np.int64]] = []
        for _ in range(generator.integers(1, self.positives + 1)):
            if len(candidates) == 0:
                break
            chosen.append(candidates[generator.integers(len(candidates))])
            candidates = candidates[((candidates - chosen[-1]) ** 2).sum(1) >= self.step**2]
        return np.array(chosen, np.int64).reshape(-1, 2)

    def _random(
        self, candidates: NDArray[np.int64], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        count = min(int(generator.integers(self.negatives + 1)), len(candidates))
        if count == 0:
            return candidates[:0]
        return candidates[generator.choice(len(candidates), count, replace=False)]

    def _on_others(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        chosen = []
        visible = np.where(mask == 0, others, 0)
        for other in np.unique(visible[visible > 0]):
            candidates = np.argwhere(visible == other)
            count = min(int(generator.integers(self.negatives_per_other + 1)), len(candidates))
            chosen.append(candidates[generator.choice(len(candidates), count, replace=False)])
        return np.concatenate(chosen) if chosen else np.zeros((0, 2), np.int64)

    def _surround(
        self, candidates: NDArray[np.int64], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        if len(candidates) == 0:
            return candidates
        chosen = [candidates[generator.integers(len(candidates))]]
        nearest = ((candidates - chosen[0]) ** 2).sum(1)
        count = min(int(generator.integers(1, self.negatives + 1)), len(candidates))
        for _ in range(count - 1):
            chosen.append(candidates[nearest.argmax()])
            nearest = np.minimum(nearest, ((candidates - chosen[-1]) ** 2).sum(1))
        return np.array(chosen, np.int64)


class RitmInitialClicks(InitialClicks):
    """The clicks that RITM trains on, before its inner rounds.

    There are 1 to `most` positive clicks anywhere in the object, which with probability
    `erode_probability` is first eroded by `erosion` pixels. There are 0 to `most` negative clicks,
    each in a region of its own draw: the whole background, the other objects (the background if
    there are none), or a border round the object, whose width is `border` times the root of the
    object's area. The k-th number of clicks is `decay` times as probable as the one before. The
    source is Sofiiuk et al. 2021, section 3.2; the numbers are from the official code.

    Args:
        most: Largest number of clicks of a sign.
        decay: Ratio of the probabilities of k + 1 and k clicks.
        erosion: Depth of the erosion in pixels (of the 3 x 3 square).
        erode_probability: Probability of an erosion; an erosion that would leave 10 pixels or fewer
            is not made.
        border: Width of the border as a share of the root of the object's area.
        regions: Probabilities of background, other objects and border.

    Raises:
        InputError: Probabilities of regions that do not sum to 1, or a number of clicks that cannot
            be drawn.
    """

    def __init__(
        self,
        most: int = 24,
        decay: float = 0.8,
        erosion: int = 3,
        erode_probability: float = 0.9,
        border: float = 0.1,
        regions: Sequence[float] = (0.1, 0.4, 0.5),
    ) -> None:
        if most < 1 or decay <= 0:
            raise InputError(
                f"most={most}, decay={decay}; there is at least one click, and the decay is above 0"
            )
        if len(regions) != 3 or min(regions) < 0 or not np.isclose(sum(regions), 1):
            raise InputError(
                f"regions is {list(regions)}; give the probabilities of background, others and "
                "border, which sum to 1"
            )
        self.most, self.decay, self.regions = most, decay, [float(share) for share in regions]
        self.erosion, self.erode_probability, self.border = erosion, erode_probability, border

    def __call__(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> Clicks:
        """Draw one initial set; see `InitialClicks`."""
        inside = mask == 1
        positives = 1 + draw_number(self.most, self.decay, generator)
        if generator.random() < self.erode_probability:
            eroded = cv2.erode(inside.view(np.uint8), SQUARE, iterations=self.erosion).astype(bool)
            inside = eroded if eroded.sum() > 10 else inside
        positive = draw_pixels(np.flatnonzero(inside), positives, generator)
        negatives = draw_number(self.most + 1, self.decay, generator)
        counts = generator.multinomial(negatives, self.regions).tolist()
        negative = [
            draw_pixels(np.flatnonzero(region), count, generator)
            for region, count in zip(self._outside(mask, others), counts, strict=True)
        ]
        rows = []
        for label, found in ((1, positive), (0, np.concatenate(negative))):
            pixels = np.column_stack(np.unravel_index(found, mask.shape))
            rows.append(label_pixels(pixels, label))
        return np.concatenate(rows)

    def _outside(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer]
    ) -> list[NDArray[np.bool_]]:
        """Make the regions (H, W) of negative clicks, in the order of `regions`."""
        background = mask == 0
        other = background & (others > 0)
        width = ceil(self.border * np.sqrt((mask == 1).sum()))
        grown = cv2.dilate((mask == 1).view(np.uint8), SQUARE, iterations=width).astype(bool)
        return [background, other if other.any() else background, grown & background]


def draw_number(count: int, decay: float, generator: np.random.Generator) -> int:
    """Draw a number below `count`, each `decay` times as probable as the one before."""
    weights = decay ** np.arange(count)
    return int(generator.choice(count, p=weights / weights.sum()))


def draw_pixels(
    candidates: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` different candidates, or all of them if there are fewer."""
    return generator.choice(candidates, min(count, len(candidates)), replace=False)


def centre_click(inside: NDArray[np.float32]) -> Clicks:
    """Make a positive click at the pixel deepest in the object; none if the object is empty.

    Args:
        inside: (H, W) `interior_distance` of the object.
    """
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return clicks_of([(int(y), int(x), 1)]) if inside[y, x] > 0 else no_clicks()
