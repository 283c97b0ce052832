"""Zoom-in: after the first clicks, the network sees only a box round the object."""

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import Clicks
from interseg.errors import InputError
from interseg.views import Box


class ZoomIn:
    """The choice of the box round an object, as in f-BRS' and RITM's evaluation.

    The box holds the last prediction and the positive clicks, is expanded and has a minimum size.
    It is kept until it differs too much from the newest one or a positive click falls outside it.
    Clicks outside the box are not encoded. Boxes are compared as in the reference code, by the IoU
    of their rows times the IoU of their columns.

    Args:
        long_side: Long side in pixels to which the crop is resized for the network; a network of
            views of one size (`model.long_side=[448,448]`, both that ship) has that size instead.
        expansion: Factor by which the bounding box is expanded.
        min_crop: Least side of the box in pixels.
        recompute: Overlap with the newest box below which a box is replaced.
        skip_clicks: Number of first clicks that are answered from the whole image.

    Raises:
        InputError: A long side, expansion or least side below 1.
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
                f"long_side={long_side}, expansion={expansion}, min_crop={min_crop}; "
                "each is at least 1"
            )
        self.long_side, self.expansion, self.min_crop = long_side, expansion, min_crop
        self.recompute, self.skip_clicks = recompute, skip_clicks

    def box(self, prediction: NDArray[np.bool_], clicks: Clicks, before: Box | None) -> Box | None:
        """Find the box of a round; None for the whole image.

        Args:
            prediction: (H, W) of the previous round.
            clicks: (n, 4) in pixels of the image.
            before: The last round's box.
        """
        if len(clicks) <= self.skip_clicks or not prediction.any():
            return None
        now = self.box_round(prediction, clicks)
        if before is None or not self._overlap(before, now):
            return now
        positive = clicks[clicks[:, 2] == 1]
        inside = all(before.holds(y, x) for y, x in positive[:, :2].tolist())
        return before if inside else now

    def box_round(self, prediction: NDArray[np.bool_], clicks: Clicks) -> Box:
        """Find the expanded bounding box of prediction and positive clicks, within the image."""
        positive = clicks[clicks[:, 2] == 1]
        sides = []
        for axis, pixels in enumerate(np.nonzero(prediction)):
            least = min(pixels.min(), positive[:, axis].min(initial=pixels.min()))
            most = max(pixels.max(), positive[:, axis].max(initial=pixels.max()))
            half = 0.5 * max(self.expansion * (most - least + 1), self.min_crop)
            centre = 0.5 * (least + most)
            start = max(0, round(centre - half))
            end = min(prediction.shape[axis] - 1, round(centre + half))
            sides.append((start, end))
        (top, bottom), (left, right) = sides
        return Box(top, left, bottom + 1, right + 1)

    def _overlap(self, before: Box, now: Box) -> bool:
        rows = _iou((before.top, before.bottom), (now.top, now.bottom))
        columns = _iou((before.left, before.right), (now.left, now.right))
        return rows * columns >= self.recompute


def _iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Divide the intersection of two intervals by their span, which is their union if they meet."""
    common = min(a[1], b[1]) - max(a[0], b[0])
    span = max(a[1], b[1]) - min(a[0], b[0])
    return max(0, common) / span


def zoom_of(value: "bool | ZoomIn | None") -> ZoomIn | None:
    """Return the zoom that is meant: True is f-BRS' and RITM's, False and None are none.

    Raises:
        InputError: Anything else.
    """
    if value is None or isinstance(value, ZoomIn):
        return value
    if not isinstance(value, bool):
        raise InputError(
            f"zoom is {value!r}; give zoom=true, or for other values "
            "zoom._target_=interseg.inference.zoom.ZoomIn zoom.long_side=..."
        )
    return ZoomIn() if value else None
