"""A user who gives wrong labels: the right pixel, the wrong key."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE, Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.clicks.users.rules import RitmUser
from interseg.errors import InputError


class MistakenUser(User):
    """A user who makes another user's clicks, some of them with a wrong label.

    A wrong label is the other sign or, with several classes, any other class that the truth has, or
    the first (0).

    Args:
        probability: Probability of a wrong label.
        user: User who chooses the pixels; RITM's by default.
    """

    def __init__(self, probability: float = 0.1, user: User | None = None) -> None:
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
        click = self.user.next_click(prediction, mask, clicks, generator)
        if click is None or generator.random() >= self.probability:
            return click
        known = {0, 1}
        if prediction.dtype != bool:
            known = {0, *np.unique(mask[mask != IGNORE]).tolist()}
        others = sorted(known - {click.label})
        if not others:
            return click
        return click._replace(label=int(others[generator.integers(len(others))]))
