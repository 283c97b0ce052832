"""The part of an image that a network is shown after the first clicks: a box round the object (zoom-in)."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Clicks
from interseg.errors import InputError
from interseg.views import Box


class ZoomIn:
    """Which part of an image a network is shown after the first clicks: a box round the object (f-BRS and RITM's evaluation).

    The box holds the last prediction and the positive clicks, is expanded and at least of a minimum
    size, and is kept until it differs too much from the newest one or a positive click falls
    outside. Clicks outside the box are not encoded. Boxes are compared as the reference code does,
    by the IoU of their rows times the IoU of their columns.

    Args:
        long_side: of the crop as the network sees it, enlarged or reduced.
        expansion: of the box.
        min_crop: least side of the box in pixels.
        recompute: a box whose overlap with the newest is below this is replaced.
        skip_clicks: so many first clicks are answered from the whole image.
    """

    def __init__(
        self,
        long_side: int = 400,
        expansion: float = 1.4,
        min_crop: int = 200,
        recompute: float = 0.5,
        skip_clicks: int = 1,
    ) -> None:
        if long_side < 1 or expansion < 1 or min_crop < 1:
            raise InputError(
                f"long_side={long_side}, expansion={expansion}, min_crop={min_crop}; each is at least 1"
            )
        self.long_side, self.expansion, self.min_crop = long_side, expansion, min_crop
        self.recompute, self.skip_clicks = recompute, skip_clicks

    def box(self, prediction: NDArray[np.bool_], clicks: Clicks, before: Box | None) -> Box | None:
        """Find the box of a round; None for the whole image.

        Args:
            prediction: (H, W) of the round before.
            clicks: (n, 4) in pixels of the image.
            before: the last round's box.
        """
        if len(clicks) <= self.skip_clicks or not prediction.any():
            return None
        now = self.box_round(prediction, clicks)
        positive = clicks[clicks[:, 2] == 1]
        kept = (
            before is not None
            and all(before.holds(y, x) for y, x in positive[:, :2].tolist())
            and self._overlap(before, now)
        )
        return before if kept else now

    def box_round(self, prediction: NDArray[np.bool_], clicks: Clicks) -> Box:
        """Find the expanded bounding box of a prediction and its positive clicks, within the image."""
        positive = clicks[clicks[:, 2] == 1]
        sides = []
        for axis, pixels in enumerate(np.nonzero(prediction)):
            least = min(pixels.min(), positive[:, axis].min(initial=pixels.min()))
            most = max(pixels.max(), positive[:, axis].max(initial=pixels.max()))
            half = 0.5 * max(self.expansion * (most - least + 1), self.min_crop)
            centre = 0.5 * (least + most)
            sides.append(
                (
                    max(0, round(centre - half)),
                    min(prediction.shape[axis] - 1, round(centre + half)),
                )
            )
        (top, bottom), (left, right) = sides
        return Box(top, left, bottom + 1, right + 1)

    def _overlap(self, before: Box, now: Box) -> bool:
        rows = _iou((before.top, before.bottom), (now.top, now.bottom))
        return rows * _iou((before.left, before.right), (now.left, now.right)) >= self.recompute


def _iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Intersection over the span of two intervals, which is their union where they meet."""
    return max(0, min(a[1], b[1]) - max(a[0], b[0])) / (max(a[1], b[1]) - min(a[0], b[0]))
