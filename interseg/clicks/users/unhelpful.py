"""Users whose clicks say nothing new: a negative one first, the last one again, one on what is already right.

Each is honest: the label is the true one at its pixel. They cost clicks, and show whether a network
keeps what it had.
"""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.errors import missed_by_label, wrong_pixels, zero_clicked
from interseg.clicks.layout import IGNORE, Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.clicks.users.rules import RitmUser
from interseg.distance import interior_distance
from interseg.errors import InputError


class NegativeFirstUser(User):
    """First clicks on the background, where it is deepest and not yet clicked; then another user's.

    Args:
        count: of these first clicks.
        user: who clicks then; RITM's by default.
    """

    def __init__(self, count: int = 1, user: User | None = None) -> None:
        self.count, self.user = count, user or RitmUser()

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        if len(clicks) < self.count and wrong_pixels(prediction, mask).any():
            depth = interior_distance(mask == 0)
            zero_clicked(depth, clicks)
            if depth.any():
                y, x = divmod(int(depth.argmax()), mask.shape[1])
                return Click(y, x, 0)
        return self.user.next_click(prediction, mask, clicks, generator)


class RepeatingUser(User):
    """Another user's clicks, each given again: on the pixel of its label nearest to it that was not clicked before.

    Args:
        times: that a click is repeated.
        user: who clicks; RITM's by default.
    """

    def __init__(self, times: int = 1, user: User | None = None) -> None:
        self.times, self.user = times, user or RitmUser()

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        if not wrong_pixels(prediction, mask).any():
            return None
        if len(clicks) % (self.times + 1) == 0:
            return self.user.next_click(prediction, mask, clicks, generator)
        y, x, label, kind = clicks[len(clicks) // (self.times + 1) * (self.times + 1)].tolist()
        free = mask == label
        zero_clicked(free, clicks)
        if not free.any():
            return self.user.next_click(prediction, mask, clicks, generator)
        pixels = np.argwhere(free)
        nearest = pixels[((pixels - (y, x)) ** 2).sum(1).argmin()]
        return Click(int(nearest[0]), int(nearest[1]), label, kind)


class NeedlessUser(User):
    """Another user's clicks, among them by chance one on any pixel that is already right.

    Args:
        probability: of such a click.
        user: who clicks otherwise; RITM's by default.
    """

    def __init__(self, probability: float = 0.5, user: User | None = None) -> None:
        if not 0 <= probability <= 1:
            raise InputError(f"probability is {probability}; give 0 to 1")
        self.probability, self.user = probability, user or RitmUser()

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        if not any(region.any() for region in missed_by_label(prediction, mask).values()):
            return None
        if generator.random() < self.probability:
            right = (mask != IGNORE) & ~wrong_pixels(prediction, mask)
            zero_clicked(right, clicks)
            candidates = np.flatnonzero(right)
            if len(candidates):
                y, x = divmod(int(candidates[generator.integers(len(candidates))]), mask.shape[1])
                return Click(y, x, int(mask[y, x]))
        return self.user.next_click(prediction, mask, clicks, generator)
