"""Training clicks of BRS: at the medoids of the object and of the ring round it."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import Clicks, label_pixels
from interseg.distance import distance_to
from interseg.errors import InputError


def medoids(
    points: NDArray[np.int64], count: int, generator: np.random.Generator, iterations: int = 50
) -> NDArray[np.int64]:
    """Find medoids: points with the least sum of distances to their own cluster.

    Clusters and medoids are found in turns from a random start, until nothing changes; the sum of
    distances never rises (Park and Jun 2009).

    Args:
        points: (n, 2); all are returned if there are no more than `count`.
        count: Number of medoids.
        generator: Source of the random start.
        iterations: Largest number of turns.

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
        moved = np.empty_like(chosen)
        for k in range(count):
            members = np.flatnonzero(cluster == k)
            sums = distances[np.ix_(members, members)].sum(0)
            moved[k] = members[sums.argmin()]
        if (moved == chosen).all():
            break
        chosen = moved
    return points[chosen]


class MedoidClicks(InitialClicks):
    """BRS' training clicks (section 3.1).

    There are 1 to `positives` medoids of the object and 0 to `negatives` of the ring round it. At
    most `candidates` random pixels of each region are clustered: with more, the medoids differ by a
    pixel or two, and the time grows with the square.

    Args:
        positives: Largest number of positive clicks.
        negatives: Largest number of negative clicks.
        margin: Distance in pixels at which the ring begins.
        ring: Distance in pixels at which the ring ends.
        candidates: Largest number of pixels that are clustered.
        lone: Share of sets that are one positive click, as an evaluation begins; of the paper's
            draw, one in 110 is.

    Raises:
        InputError: A share outside [0, 1].
    """

    def __init__(
        self,
        positives: int = 10,
        negatives: int = 10,
        margin: int = 5,
        ring: int = 40,
        candidates: int = 300,
        lone: float = 0.0,
    ) -> None:
        if not 0 <= lone <= 1:
            raise InputError(f"lone is {lone}; it is a share of the sets of clicks, from 0 to 1")
        super().__init__(positives=positives, negatives=negatives, margin=margin, ring=ring)
        self.candidates, self.lone = candidates, lone

    def __call__(
        self, mask: NDArray[np.uint8], others: NDArray[np.integer], generator: np.random.Generator
    ) -> Clicks:
        """Draw one set; `InitialClicks` describes the arguments."""
        outside = distance_to(mask == 1)
        ring = (outside >= self.margin) & (outside <= self.ring) & (mask == 0)
        positives = int(generator.integers(1, self.positives + 1))
        negatives = int(generator.integers(self.negatives + 1))
        if self.lone and generator.random() < self.lone:
            positives, negatives = 1, 0
        rows = []
        for label, region, count in ((1, mask == 1, positives), (0, ring, negatives)):
            pixels = np.argwhere(region)
            if len(pixels) > self.candidates:
                pixels = pixels[generator.choice(len(pixels), self.candidates, replace=False)]
            chosen = medoids(pixels, count, generator) if count else pixels[:0]
            rows.append(label_pixels(chosen, label))
        return np.concatenate(rows)
