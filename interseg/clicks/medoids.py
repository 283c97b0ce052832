"""Clicks at the medoids of the object and of the ring round it, as BRS draws them for training."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import Clicks, label_pixels
from interseg.distance import distance_to


def medoids(
    points: NDArray[np.int64], count: int, generator: np.random.Generator, iterations: int = 50
) -> NDArray[np.int64]:
    """`count` of the points, such that each is the one nearest to all points of its own cluster (Park and Jun 2009).

    Clusters and medoids are found in turns from a random start, until nothing changes; the sum of
    distances never rises.

    Args:
        points: (n, 2); all of them where there are no more than `count`.
        count: of medoids.
        generator: draws the start.
        iterations: most turns.

    Returns:
        (min(n, count), 2) of the points.
    """
    if len(points) <= count:
        return points
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    chosen = generator.choice(len(points), count, replace=False)
    for _ in range(iterations):
        cluster = distances[:, chosen].argmin(1)
        cluster[chosen] = np.arange(count)
        within = [np.flatnonzero(cluster == k) for k in range(count)]
        moved = np.array(
            [members[distances[np.ix_(members, members)].sum(0).argmin()] for members in within]
        )
        if (moved == chosen).all():
            break
        chosen = moved
    return points[chosen]


class MedoidClicks(InitialClicks):
    """BRS' training clicks (section 3.1): 1 to `positives` medoids of the object, 0 to `negatives` of the ring round it.

    Clusters are those of at most `candidates` random pixels of each region: the medoids of more
    differ by a pixel or two, and cost the square.

    Args:
        positives: most positive clicks.
        negatives: most negative clicks.
        margin: distance in pixels at which the ring begins.
        ring: distance in pixels at which the ring ends.
        candidates: pixels that are clustered.
    """

    def __init__(
        self,
        positives: int = 10,
        negatives: int = 10,
        margin: int = 5,
        ring: int = 40,
        candidates: int = 300,
    ) -> None:
        super().__init__(positives=positives, negatives=negatives, margin=margin, ring=ring)
        self.candidates = candidates

    def __call__(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> Clicks:
        """Draw one set; `InitialClicks` describes the arguments."""
        outside = distance_to(mask == 1)
        ring = (outside >= self.margin) & (outside <= self.ring) & (mask == 0)
        counts = generator.integers(1, self.positives + 1), generator.integers(self.negatives + 1)
        rows = []
        for label, region, count in ((1, mask == 1, counts[0]), (0, ring, counts[1])):
            pixels = np.argwhere(region)
            if len(pixels) > self.candidates:
                pixels = pixels[generator.choice(len(pixels), self.candidates, replace=False)]
            chosen = medoids(pixels, int(count), generator) if count else pixels[:0]
            rows.append(label_pixels(chosen, label))
        return np.concatenate(rows)
