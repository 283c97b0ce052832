"""A user with an unsteady hand: another user's click, displaced at random."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.clicks.users.rules import RitmUser
from interseg.errors import InputError

DRAWS = 50
"""Displacements drawn until one leads to a pixel of the image that was not clicked before."""


class JitterUser(User):
    """A user who makes another user's clicks, each displaced by a Gaussian.

    The label is the intended one, even if the displaced pixel has another.

    Args:
        pixels: Standard deviation along each axis, in pixels.
        percent: Standard deviation in per cent of the object's size, the root of its area, instead
            of in pixels; with several classes, of the clicked class's size.
        user: User who intends the clicks; RITM's by default.
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
        intended = self.user.next_click(prediction, mask, clicks, generator)
        if intended is None:
            return None
        classes = prediction.dtype != bool
        spread = self.spread(mask, intended.label if classes else 1)
        before = {(y, x) for y, x, *_ in clicks.tolist()}
        height, width = mask.shape
        for _ in range(DRAWS):
            displaced = np.array(intended[:2]) + spread * generator.standard_normal(2)
            y, x = np.rint(displaced).astype(int).tolist()
            if 0 <= y < height and 0 <= x < width and (y, x) not in before:
                return Click(y, x, intended.label, intended.kind)
        return intended

    def spread(self, mask: NDArray[np.uint8], label: int) -> float:
        """Return the standard deviation in pixels around an object of a label."""
        if self.percent is None:
            return self.pixels
        return float(self.percent / 100 * np.sqrt(np.count_nonzero(mask == label)))
