"""A user who clicks deep in an error more often than at its rim.

By deciles of the probability, one who clicks better or worse. After RClicks (Antonov et al. 2024).
There, clicks are drawn from a density that a network has learned from people's clicks; here the
density is the distance transform of the error, which needs no network.
"""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import missed_by_label, zero_clicked
from interseg.clicks.layout import Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.distance import interior_distance
from interseg.errors import InputError

DECILES = 10


class SampledUser(User):
    """A user who draws a wrong pixel with a probability proportional to its depth.

    The depth is measured in the missed pixels of the pixel's label. Pixels of equal depth go to
    deciles in row-major order.

    Args:
        decile: Tenth of the probability from which to draw, 1 for the deepest pixels, 10 for the
            shallowest; None for all of it.
    """

    def __init__(self, decile: int | None = None) -> None:
        if decile is not None and not 1 <= decile <= DECILES:
            raise InputError(
                f"decile is {decile}; give 1 (the deepest pixels) to {DECILES} (the shallowest), "
                "or null for all"
            )
        self.decile = decile

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        depth = depth_of_errors(prediction, mask, clicks)
        order = np.argsort(-depth, axis=None, kind="stable")
        order = order[: np.count_nonzero(depth)]
        if not len(order):
            return None
        mass = depth.ravel()[order].astype(np.float64).cumsum()
        low, high = 0.0, 1.0
        if self.decile is not None:
            low, high = (self.decile - 1) / DECILES, self.decile / DECILES
        drawn = np.searchsorted(mass, generator.uniform(low, high) * mass[-1], side="right")
        index = min(int(drawn), len(order) - 1)
        y, x = divmod(int(order[index]), mask.shape[1])
        return Click(y, x, int(mask[y, x]))


def depth_of_errors(
    prediction: Mask, mask: NDArray[np.uint8], clicks: Clicks
) -> NDArray[np.float32]:
    """Measure the depth (H, W) of each wrong pixel in the missed pixels of its label.

    It is 0 at correct and at clicked pixels.
    """
    depth = np.zeros(mask.shape, np.float32)
    for region in missed_by_label(prediction, mask).values():
        depth += interior_distance(region)
    zero_clicked(depth, clicks)
    return depth
