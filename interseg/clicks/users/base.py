"""The contract of simulated users: they choose the next click from a prediction and the truth.

Users are pure and seeded: NumPy in, a click out, all randomness from the generator that is passed.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Click, Clicks, Mask


class User:
    """Base of the click simulators."""

    def next_click(
        self,
        prediction: Mask,
        mask: NDArray[np.uint8],
        clicks: Clicks,
        generator: np.random.Generator,
    ) -> Click | None:
        """Choose the click that this user makes next.

        Args:
            prediction: (H, W) current mask, bool; or uint8 classes.
            mask: (H, W) truth in {0, 1, 255 = ignore}; or classes.
            clicks: (n, 4) clicks so far; a pixel is never clicked twice.
            generator: The only source of randomness.

        Returns:
            The click, or None if every wrong pixel was clicked before.
        """
        raise NotImplementedError

    def next_clicks(
        self,
        predictions: Sequence[Mask],
        masks: Sequence[NDArray[np.uint8]],
        clicks: Sequence[Clicks],
        generators: Sequence[np.random.Generator],
    ) -> list[Click | None]:
        """Choose the next click of every object of a batch.

        Each object is handled alone, so that the batch never changes a click.
        """
        objects = zip(predictions, masks, clicks, generators, strict=True)
        return [self.next_click(*arguments) for arguments in objects]
