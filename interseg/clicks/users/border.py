"""A user who clicks near outlines, as people do to show where an object ends."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import missed_by_label, zero_clicked
from interseg.clicks.layout import IGNORE, Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.distance import distance_to


class BorderUser(User):
    """A user who clicks a random wrong pixel near the true outline.

    If no wrong pixel is near it, one of the wrong pixels nearest to the outline is clicked.

    Args:
        width: Largest distance in pixels to a pixel of another label; the image's border does not
            count as outline.
    """

    def __init__(self, width: float = 3.0) -> None:
        self.width = width

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        distance = np.full(mask.shape, np.inf, np.float32)
        wrong = np.zeros(mask.shape, bool)
        for label, region in missed_by_label(prediction, mask).items():
            if region.any():
                distance[region] = distance_to((mask != label) & (mask != IGNORE))[region]
                wrong |= region
        zero_clicked(wrong, clicks)
        if not wrong.any():
            return None
        reach = max(self.width, float(distance[wrong].min()))
        candidates = np.flatnonzero(wrong & (distance <= reach))
        y, x = divmod(int(candidates[generator.integers(len(candidates))]), mask.shape[1])
        return Click(y, x, int(mask[y, x]))
