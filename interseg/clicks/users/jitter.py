"""A user whose hand is not steady: another user's click, displaced by chance."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.clicks.users.rules import RitmUser
from interseg.errors import InputError

DRAWS = 50
"""Displacements drawn until one leads to a pixel of the image that was not clicked before."""


class JitterUser(User):
    """Another user's click, displaced by a Gaussian; the label is the one that was meant, whatever lies there.

    Args:
        pixels: standard deviation along each axis, in pixels.
        percent: the same in per cent of the object's size, the root of its area, instead; of
            several classes, of the clicked one's.
        user: who means the clicks; RITM's by default.
    """

    def __init__(
        self, pixels: float = 5.0, percent: float | None = None, user: User | None = None
    ) -> None:
        if min(pixels, percent or 0.0) < 0:
            raise InputError(
                f"pixels is {pixels}, percent {percent}; a standard deviation is 0 or more"
            )
        self.pixels, self.percent, self.user = pixels, percent, user or RitmUser()

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        meant = self.user.next_click(prediction, mask, clicks, generator)
        if meant is None:
            return None
        spread, before = self.spread(mask, meant.label), {(y, x) for y, x, *_ in clicks.tolist()}
        for _ in range(DRAWS):
            y, x = (
                np.rint(np.array(meant[:2]) + spread * generator.standard_normal(2))
                .astype(int)
                .tolist()
            )
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and (y, x) not in before:
                return Click(y, x, meant.label, meant.kind)
        return meant

    def spread(self, mask: NDArray[np.uint8], label: int) -> float:
        """Give the standard deviation in pixels."""
        if self.percent is None:
            return self.pixels
        size = np.sqrt(
            np.count_nonzero(mask == max(label, 1))
        )  # a negative click is as far off as the object is large
        return float(self.percent / 100 * size)
