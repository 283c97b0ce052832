"""Users whose clicks add nothing: a negative click first, a repeated one, one on a correct pixel.

Their labels are true at the clicked pixels. Such clicks cost effort, and show whether a network
keeps its correct pixels.
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
    """A user who first clicks the deepest unclicked background pixels, then as another user.

    Args:
        count: Number of these first clicks.
        user: User who clicks afterwards; RITM's by default.
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
    """A user who repeats another user's clicks.

    A repetition falls on the nearest pixel of the same label that was not clicked before.

    Args:
        times: Number of repetitions of each click.
        user: User who clicks first; RITM's by default.
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
        period = self.times + 1
        first = len(clicks) // period * period  # the click that is being repeated
        y, x, label, kind = clicks[first].tolist()
        free = mask == label
        zero_clicked(free, clicks)
        if not free.any():
            return self.user.next_click(prediction, mask, clicks, generator)
        pixels = np.argwhere(free)
        nearest = pixels[((pixels - (y, x)) ** 2).sum(1).argmin()]
        return Click(int(nearest[0]), int(nearest[1]), label, kind)


class NeedlessUser(User):
    """A user who makes another user's clicks, mixed with clicks on pixels that are already right.

    Args:
        probability: Probability of such a needless click.
        user: User who makes the other clicks; RITM's by default.
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
        missed = missed_by_label(prediction, mask).values()
        if not any(region.any() for region in missed):
            return None
        if generator.random() < self.probability:
            right = (mask != IGNORE) & ~wrong_pixels(prediction, mask)
            zero_clicked(right, clicks)
            candidates = np.flatnonzero(right)
            if len(candidates):
                y, x = divmod(int(candidates[generator.integers(len(candidates))]), mask.shape[1])
                return Click(y, x, int(mask[y, x]))
        return self.user.next_click(prediction, mask, clicks, generator)
