"""Pictures of an interaction: masks as tinted regions with outlines, clicks as dots, one panel a round."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import BOUNDARY, Clicks

CLICKS = {1: (40, 200, 80), 0: (230, 40, 50), BOUNDARY: (40, 110, 255)}
"""RGB of positive, negative and boundary clicks."""
PREDICTED, TRUE = (255, 190, 0), (255, 255, 255)
"""RGB of predicted masks and true outlines."""


def overlay(
    image: NDArray[np.uint8], prediction: NDArray[np.bool_], clicks: Clicks, truth: NDArray[np.uint8] | None = None, scale: float = 1.0
) -> NDArray[np.uint8]:
    """A photo with a mask, the clicks so far (the last one larger) and optionally the true outline.

    Args:
        image: (H, W, 3) RGB.
        prediction: (H, W) bool.
        clicks: (n, 3), oldest first.
        truth: (H, W) in {0, 1, 255}; None for no outline.
        scale: of the result.

    Returns:
        (scale * H, scale * W, 3) RGB.
    """
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas: NDArray[Any] = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    mask: NDArray[Any] = cv2.resize(prediction.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    tint = np.array(PREDICTED) * 0.45 + canvas * 0.55
    canvas = np.where(mask[..., None] > 0, tint, canvas).astype(np.uint8)
    _outline(canvas, mask, PREDICTED)
    if truth is not None:
        _outline(canvas, cv2.resize((truth == 1).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), TRUE)
    for number, (y, x, label) in enumerate(clicks.tolist(), 1):
        centre = (round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5))
        radius = 6 if number == len(clicks) else 4
        cv2.circle(canvas, centre, radius + 1, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, CLICKS[label], -1, cv2.LINE_AA)
    return canvas


def _outline(canvas: NDArray[Any], mask: NDArray[Any], colour: Sequence[int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)


def unpack_mask(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """(H, W) bool from rows of packed bits (H, ceil(W / 8))."""
    return np.unpackbits(bits, axis=-1, count=width).astype(bool)


def jpeg(image: NDArray[np.uint8], quality: int = 85) -> bytes:
    """An RGB image (H, W, 3) as a JPEG file."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
