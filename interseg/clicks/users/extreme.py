"""Bounds of a click's effect: a user who knows every click's result and takes the best or worst.

A game gives such a user, besides the arguments of every user, an **outlook**: a function from
clicks to the IoU that each of them would reach if it were the next one. The outlook asks the
session and leaves it unchanged, so this user is as pure as the others and knows nothing of
networks.
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
"""IoU (n,) after each of n clicks, each given alone as the next one."""


class Foreseen(NamedTuple):
    """The clicks that were tried before one was chosen."""

    clicks: list[Click]
    ious: NDArray[np.float64]
    """(n,) IoU after each click."""
    wrong: NDArray[np.bool_]
    """(H, W) pixels that were wrong."""

    def heat(self) -> NDArray[np.float32]:
        """Draw the IoU (H, W) after a click on each wrong pixel; NaN elsewhere.

        A pixel that was not tried takes the IoU of the nearest one that was.
        """
        places = np.ones(self.wrong.shape, bool)
        values = np.full(self.wrong.shape, np.nan, np.float32)
        for click, iou in zip(self.clicks, self.ious.tolist(), strict=True):
            places[click.y, click.x], values[click.y, click.x] = False, iou
        rows, columns = distance_transform_edt(places, return_distances=False, return_indices=True)
        return np.where(self.wrong, values[rows, columns], np.float32(np.nan))


class ForesightUser(User):
    """Base of users who know the IoU that each click would reach."""

    def choose(
        self, outlook: Outlook, prediction: Mask, mask: NDArray[np.uint8], clicks: Clicks
    ) -> tuple[Click, Foreseen] | None:
        """Choose the next click; None if nothing is left to correct.

        Args:
            outlook: See `Outlook`.
            prediction: (H, W), see `User.next_click`.
            mask: (H, W), see `User.next_click`.
            clicks: (n, 4), see `User.next_click`.
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
            f"{name} must know the answers to clicks, which only an evaluation gives; "
            "use it as callbacks.loop.user"
        )


class ExtremeUser(ForesightUser):
    """A user who clicks the wrong pixel that gives the best, or the worst, next IoU.

    The bounds are greedy, round by round. If at most `candidates` wrong pixels were not clicked
    yet, all are tried, each with its true label, and the choice is exact. Otherwise the pixels of
    the finest grid with at most `candidates` are tried, and the click of RITM's user, so that the
    best is never below RITM's in a round. Among equals, the first in row-major order is clicked.

    Args:
        best: Whether to take the best click; False for the worst.
        candidates: Largest number of clicks that are tried in a round.
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
        pixels = thin(np.argwhere(free), self.candidates)
        if not len(pixels):
            return None
        tried = {Click(y, x, int(mask[y, x])) for y, x in pixels.tolist()}
        deepest = RitmUser().next_click(prediction, mask, clicks, np.random.default_rng(0))
        if deepest:
            tried.add(deepest)
        ordered = sorted(tried)
        ious = np.asarray(outlook(ordered), np.float64)
        chosen = int(ious.argmax() if self.best else ious.argmin())
        return ordered[chosen], Foreseen(ordered, ious, wrong)


def thin(pixels: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """Keep at most `most` pixels (n, 2): those on the finest square grid that has few enough.

    If that grid misses all pixels, every k-th pixel is kept instead.
    """
    step = 1
    kept = pixels
    while len(kept) > most:
        step += 1
        kept = pixels[((pixels % step) == step // 2).all(1)]
    if len(kept) or not len(pixels):
        return kept
    spread = np.linspace(0, len(pixels) - 1, most).round().astype(int)
    return pixels[np.unique(spread)]
