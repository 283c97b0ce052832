"""Pictures of an interaction: masks as tinted regions with outlines, clicks as dots, one panel a round."""

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
    """Give the RGB of a label's clicks and, of several classes, of its pixels."""
    if label in CLICKS:
        return CLICKS[label]
    hue, value = (
        (0.991 + 0.382 * label) % 1,
        0.95 - 0.2 * (label % 3),
    )  # the hues of 0 and 1 are those of `CLICKS`
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.8, value))
    return red, green, blue


def key(labels: Iterable[int], boundary: bool, classes: bool) -> dict[str, str]:
    """Name the colours of an overlay's clicks and true outlines.

    Args:
        labels: the labels that occur.
        boundary: whether boundary clicks occur.
        classes: whether a label is a class, or says object (1) and background (0).

    Returns:
        CSS colours ("#rrggbb") by what they stand for.
    """
    names = {
        k: f"class {k}" if classes else ("negative click", "positive click")[k] for k in labels
    }
    colours = {
        names[k]: colour_of(k) for k in (sorted(names) if classes else sorted(names, reverse=True))
    }
    colours |= {"boundary click": ON_BOUNDARY} if boundary else {}
    return {
        name: "#{:02x}{:02x}{:02x}".format(*colour)
        for name, colour in (colours | {"true outline": TRUE}).items()
    }


def overlay(
    image: NDArray[np.uint8],
    prediction: Mask,
    clicks: Clicks,
    truth: NDArray[np.uint8] | None = None,
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw a photo with a mask, or classes, the clicks so far (the last one larger) and optionally the true outlines.

    Args:
        image: (H, W, 3) RGB.
        prediction: (H, W) bool, or uint8 classes, each in its colour.
        clicks: (n, 4), oldest first.
        truth: (H, W) in {0, 1, 255}, or classes; None for no outline.
        scale: of the result.

    Returns:
        (scale * H, scale * W, 3) RGB.
    """
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas: NDArray[Any] = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    mask: NDArray[Any] = cv2.resize(
        prediction.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
    )
    tints = (
        {1: PREDICTED}
        if prediction.dtype == bool
        else {label: colour_of(label) for label in np.unique(mask).tolist()}
    )
    for label, colour in tints.items():
        canvas = np.where(
            mask[..., None] == label, np.array(colour) * 0.45 + canvas * 0.55, canvas
        ).astype(np.uint8)
    for label, colour in tints.items():
        _outline(canvas, (mask == label).astype(np.uint8), colour)
    if truth is not None:
        for label in set(np.unique(truth).tolist()) - {0, IGNORE}:
            _outline(
                canvas,
                cv2.resize(
                    (truth == label).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
                ),
                TRUE,
            )
    for number, (y, x, label, kind) in enumerate(clicks.tolist(), 1):
        centre = (round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5))
        radius = 6 if number == len(clicks) else 4
        cv2.circle(canvas, centre, radius + 1, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(
            canvas,
            centre,
            radius,
            ON_BOUNDARY if kind == BOUNDARY else colour_of(label),
            -1,
            cv2.LINE_AA,
        )
    return canvas


def heat_map(
    image: NDArray[np.uint8], heat: NDArray[np.float32], scale: float = 1.0
) -> NDArray[np.uint8]:
    """Draw values over a darkened photo, from the least (violet) to the greatest (yellow); NaN leaves the photo.

    Args:
        image: (H, W, 3) RGB.
        heat: (H, W).
        scale: of the result, (scale * H, scale * W, 3) RGB.
    """
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    canvas: NDArray[Any] = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    values: NDArray[Any] = cv2.resize(heat, size, interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(values)
    canvas = (canvas * 0.35).astype(np.uint8)
    if known.any():
        low, high = values[known].min(), values[known].max()
        shades = (255 * (np.where(known, values, low) - low) / max(float(high - low), 1e-9)).astype(
            np.uint8
        )
        coloured = cv2.cvtColor(cv2.applyColorMap(shades, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
        canvas[known] = coloured[known]
    return canvas


def _outline(canvas: NDArray[Any], mask: NDArray[Any], colour: Sequence[int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)


def unpack_mask(bits: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """(H, W) bool from rows of packed bits (H, ceil(W / 8))."""
    return np.unpackbits(bits, axis=-1, count=width).astype(bool)


def jpeg(image: NDArray[np.uint8], quality: int = 85) -> bytes:
    """Encode an RGB image (H, W, 3) as a JPEG file."""
    return cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1].tobytes()
