"""Bounds of what a click can bring: a user who knows the answer to every click, and takes the best or the worst.

The contract: a game tells such a user, besides what every user is told, an **outlook**, a function
from clicks to the quality of the answer that each of them alone would get now. The session is asked
and stays as it is, so the user is as pure as the others, and knows nothing of networks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from interseg.clicks.errors import wrong_pixels, zero_clicked
from interseg.clicks.layout import Click, Clicks, Mask
from interseg.clicks.users.base import User
from interseg.clicks.users.rules import RitmUser
from interseg.errors import InputError

Outlook = Callable[[Sequence[Click]], NDArray[np.float64]]
"""IoU (n,) after each of n clicks, given alone as the next one."""


class Foreseen(NamedTuple):
    """The clicks that were weighed before one was chosen."""

    clicks: list[Click]
    ious: NDArray[np.float64]
    """(n,) after each."""
    wrong: NDArray[np.bool_]
    """(H, W) pixels that were wrong."""

    def heat(self) -> NDArray[np.float32]:
        """Draw the IoU (H, W) after a click on each wrong pixel, that of the nearest one weighed; NaN elsewhere."""
        places = np.ones(self.wrong.shape, bool)
        values = np.full(self.wrong.shape, np.nan, np.float32)
        for click, iou in zip(self.clicks, self.ious.tolist(), strict=True):
            places[click.y, click.x], values[click.y, click.x] = False, iou
        rows, columns = distance_transform_edt(places, return_distances=False, return_indices=True)
        return np.where(self.wrong, values[rows, columns], np.float32(np.nan))


class ForesightUser(User):
    """Base of users who are told what each click would bring."""

    def choose(
        self, outlook: Outlook, prediction: Mask, mask: NDArray[np.uint8], clicks: Clicks
    ) -> tuple[Click, Foreseen] | None:
        """Choose the next click; None where nothing is left to correct.

        Args:
            outlook: see `Outlook`.
            prediction: see `User.next_click`, as the others.
            mask: (H, W).
            clicks: (n, 4).
        """
        raise NotImplementedError

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        """Raise `InputError`: without a session there is no outlook."""
        name = type(self).__name__
        raise InputError(
            f"{name} must know the answers to clicks, which evaluation alone tells it; give it as callbacks.loop.user"
        )


class ExtremeUser(ForesightUser):
    """The wrong pixel whose click gives the best, or the worst, IoU next: greedy bounds, round by round.

    Every wrong pixel that was not clicked is weighed, each with its true label, where they are at
    most `candidates`: the choice is then exact. Else those of the finest grid that has so few, and
    the click of RITM's user, so that the best is never below it in a round. The first in row-major
    order among equals.

    Args:
        best: the best click; False for the worst.
        candidates: most clicks that are weighed in a round.
    """

    def __init__(self, best: bool = True, candidates: int = 64) -> None:
        if candidates < 1:
            raise InputError(f"candidates is {candidates}; give 1 or more")
        self.best, self.candidates = best, candidates

    def choose(
        self, outlook: Outlook, prediction: Mask, mask: NDArray[np.uint8], clicks: Clicks
    ) -> tuple[Click, Foreseen] | None:
        wrong = wrong_pixels(prediction, mask)
        free = wrong.copy()
        zero_clicked(free, clicks)
        pixels = thinned(np.argwhere(free), self.candidates)
        if not len(pixels):
            return None
        weighed = {Click(y, x, int(mask[y, x])) for y, x in pixels.tolist()}
        deepest = RitmUser().next_click(prediction, mask, clicks, np.random.default_rng(0))
        ordered = sorted(weighed | ({deepest} if deepest else set()))
        ious = np.asarray(outlook(ordered), np.float64)
        chosen = int(ious.argmax() if self.best else ious.argmin())
        return ordered[chosen], Foreseen(ordered, ious, wrong)


def thinned(pixels: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """Keep the pixels (n, 2) that lie on the finest square grid with at most so many; evenly many where a grid misses all."""
    step = 1
    kept = pixels
    while len(kept) > most:
        step += 1
        kept = pixels[((pixels % step) == step // 2).all(1)]
    if len(kept) or not len(pixels):
        return kept
    return pixels[np.unique(np.linspace(0, len(pixels) - 1, most).round().astype(int))]
