"""Pictures of an interaction: masks as tinted regions with outlines, clicks as dots."""

import base64
import colorsys
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import BOUNDARY, IGNORE, Clicks, Mask

CLICKS = {1: (40, 200, 80), 0: (230, 40, 50)}
"""RGB of positive and negative clicks."""
ON_BOUNDARY = (40, 110, 255)
"""RGB of boundary clicks."""
PREDICTED, TRUE = (255, 190, 0), (255, 255, 255)
"""RGB of predicted masks and true outlines."""


def colour_of(label: int) -> tuple[int, int, int]:
    """Return the RGB of a label's clicks and, with several classes, of its pixels."""
    if label in CLICKS:
        return CLICKS[label]
    hue = (0.991 + 0.382 * label) % 1  # the hues of 0 and 1 are those of `CLICKS`
    value = 0.95 - 0.2 * (label % 3)
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.8, value))
    return red, green, blue


def key(labels: Iterable[int], boundary: bool, classes: bool) -> dict[str, str]:
    """Name the colours of an overlay's clicks and true outlines.

    Args:
        labels: Labels that occur.
        boundary: Whether boundary clicks occur.
        classes: Whether labels are classes, instead of object (1) and background (0).

    Returns:
        CSS colours ("#rrggbb") by the names of what they show.
    """
    colours = {}
    for label in sorted(set(labels), reverse=not classes):
        name = f"class {label}" if classes else ("negative click", "positive click")[label]
        colours[name] = colour_of(label)
    if boundary:
        colours["boundary click"] = ON_BOUNDARY
    colours["true outline"] = TRUE
    return {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in colours.items()}


def overlay(
    image: NDArray[np.uint8],
    prediction: Mask,
    clicks: Clicks,
    truth: NDArray[np.uint8] | None = None,
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw a photo with a mask or classes, the clicks so far and optionally the true outlines.

    The last click is drawn larger.

    Args:
        image: (H, W, 3) RGB.
        prediction: (H, W) bool, or uint8 classes, each in its colour.
        clicks: (n, 4), oldest first.
        truth: (H, W) in {0, 1, 255}, or classes; None for no outline.
        scale: Size of the result as a factor of the photo's.

    Returns:
        (scale * H, scale * W, 3) RGB.
    """
    canvas = _resize_photo(image, scale)
    size = (canvas.shape[1], canvas.shape[0])
    mask: NDArray[Any] = cv2.resize(
        prediction.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
    )
    tints = {1: PREDICTED}
    if prediction.dtype != bool:
        tints = {label: colour_of(label) for label in np.unique(mask).tolist()}
    for label, colour in tints.items():
        tinted = np.array(colour) * 0.45 + canvas * 0.55
        canvas = np.where(mask[..., None] == label, tinted, canvas).astype(np.uint8)
    for label, colour in tints.items():
        _outline(canvas, (mask == label).astype(np.uint8), colour)
    if truth is not None:
        for label in set(np.unique(truth).tolist()) - {0, IGNORE}:
            region = (truth == label).astype(np.uint8)
            region = cv2.resize(region, size, interpolation=cv2.INTER_NEAREST)
            _outline(canvas, region, TRUE)
    for number, (y, x, label, kind) in enumerate(clicks.tolist(), 1):
        centre = (round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5))
        radius = 6 if number == len(clicks) else 4
        colour = ON_BOUNDARY if kind == BOUNDARY else colour_of(label)
        cv2.circle(canvas, centre, radius + 1, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, colour, -1, cv2.LINE_AA)
    return canvas


def heat_map(
    image: NDArray[np.uint8], heat: NDArray[np.float32], scale: float = 1.0
) -> NDArray[np.uint8]:
    """Draw values over a darkened photo, from the least (violet) to the greatest (yellow).

    Args:
        image: (H, W, 3) RGB.
        heat: (H, W); NaN leaves the photo.
        scale: Size of the result as a factor of the photo's.

    Returns:
        (scale * H, scale * W, 3) RGB.
    """
    canvas = _resize_photo(image, scale)
    size = (canvas.shape[1], canvas.shape[0])
    values: NDArray[Any] = cv2.resize(heat, size, interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(values)
    canvas = (canvas * 0.35).astype(np.uint8)
    if known.any():
        low, high = values[known].min(), values[known].max()
        span = max(float(high - low), 1e-9)
        shades = (255 * (np.where(known, values, low) - low) / span).astype(np.uint8)
        coloured = cv2.cvtColor(cv2.applyColorMap(shades, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
        canvas[known] = coloured[known]
    return canvas


def _resize_photo(image: NDArray[np.uint8], scale: float) -> NDArray[Any]:
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=interpolation)


def _outline(canvas: NDArray[Any], mask: NDArray[Any], colour: Sequence[int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)


def scale_to(length: int, side: int, other: int) -> float:
    """Compute the scale at which a side is `length` pixels long, and the other at most 8 times."""
    return min(length / side, 8 * length / other)


def unpack_mask(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Unpack rows of bits (H, ceil(W / 8)) to a mask (H, W) bool."""
    return np.unpackbits(bits, axis=-1, count=width).astype(bool)


def jpeg(image: NDArray[np.uint8], quality: int = 85) -> str:
    """Encode an RGB image (H, W, 3) as a JPEG file in base64, as pages hold it."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return base64.b64encode(encoded.tobytes()).decode()
