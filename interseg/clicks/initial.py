"""The click sets that training objects start from."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Clicks, clicks_of, label_pixels, no_clicks
from interseg.distance import distance_to, interior_distance


class InitialClicks:
    """The clicks that a training object starts from, as iFCN draws them (Xu et al. 2016, section 3.2; ITIS supplementary).

    With probability `centre_probability` a single click at the object's centre. Otherwise 1 to `positives` clicks inside
    the object eroded by `margin` pixels and at least `step` pixels apart (fewer where the object has no room), and
    negative clicks by one of three strategies drawn uniformly: (1) 0 to `negatives` random pixels of the ring that lies
    `margin` to `ring` pixels outside the object; (2) 0 to `negatives_per_other` on each other object of the image;
    (3) 1 to `negatives` round the object: a random pixel of the ring, then always the one farthest from those before.

    Args:
        positives: most positive clicks.
        negatives: most negative clicks of strategies 1 and 3.
        negatives_per_other: most negative clicks on each other object (strategy 2).
        margin: distance in pixels that clicks keep from the object's boundary.
        step: least distance in pixels between two positive clicks.
        ring: outer distance in pixels of the ring round the object.
        centre_probability: probability of a single click at the centre.
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
        self.positives, self.negatives, self.negatives_per_other = positives, negatives, negatives_per_other
        self.margin, self.step, self.ring = margin, step, ring
        self.centre_probability = centre_probability

    def __call__(self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator) -> Clicks:
        """Draw one initial set.

        Args:
            mask: (H, W) in {0, 1, 255}.
            others: (H, W) ids of the image's other objects, 0 where there is none.
            generator: the only source of randomness.

        Returns:
            (n, 4) clicks; no positive one if the view shows no pixel of the object.
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
            negative = self._random(ring, generator) if strategy == 0 else self._surround(ring, generator)
        return np.concatenate([label_pixels(positive, 1), label_pixels(negative, 0)])

    def _positive_clicks(self, inside: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int64]:
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

    def _random(self, candidates: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        count = min(int(generator.integers(self.negatives + 1)), len(candidates))
        return candidates[generator.choice(len(candidates), count, replace=False)] if count else candidates[:0]

    def _on_others(self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator) -> NDArray[np.int64]:
        chosen = []
        visible = np.where(mask == 0, others, 0)
        for other in np.unique(visible[visible > 0]):
            candidates = np.argwhere(visible == other)
            count = min(int(generator.integers(self.negatives_per_other + 1)), len(candidates))
            chosen.append(candidates[generator.choice(len(candidates), count, replace=False)])
        return np.concatenate(chosen) if chosen else np.zeros((0, 2), np.int64)

    def _surround(self, candidates: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        if len(candidates) == 0:
            return candidates
        chosen = [candidates[generator.integers(len(candidates))]]
        nearest = ((candidates - chosen[0]) ** 2).sum(1)
        for _ in range(min(int(generator.integers(1, self.negatives + 1)), len(candidates)) - 1):
            chosen.append(candidates[nearest.argmax()])
            nearest = np.minimum(nearest, ((candidates - chosen[-1]) ** 2).sum(1))
        return np.array(chosen, np.int64)


def centre_click(inside: NDArray[np.float32]) -> Clicks:
    """A positive click at the pixel that lies deepest in the object, given `interior_distance`; none where the object is empty."""
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return clicks_of([(int(y), int(x), 1)]) if inside[y, x] > 0 else no_clicks()
