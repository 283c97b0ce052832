"""Label maps: the numbers of mask files as they were meant, or one clear error that names the file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from interseg.errors import InputError
from interseg.images import first_line, is_deep_colour, opened

READABLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "F")
"""Pillow's modes whose values may be labels, beside those of whole numbers (I, I;16, ...)."""
OPAQUE = 255
GREY, IDS, ANY = "refuse", "ids", "any"
"""What is done with colours."""


def read_labels(path: Path, colours: str = GREY) -> NDArray[np.int32]:
    """Read a label map as (H, W) int32: palette indices, grey values, or the numbers of a .npy file.

    Colours with equal channels are grey. An opaque alpha channel is no label and is dropped. A
    GIF's indices are its writer's, so that its colours are read.

    Args:
        path: of the file.
        colours: of a mask in colours: "refuse" it, give the "ids" that `colour_id` makes of all its
            colours, palettes and greys among them, or 1 for "any" that is not black.

    Raises:
        InputError: no such file, no mask, colours that are refused, transparency, values that are
            no whole numbers.
    """
    if path.suffix.lower() == ".npy":
        return whole_labels(read_array(path), path)
    with opened(path, "a mask") as file:
        values = stored_values(file, path, colours)
    if values.ndim == 2:
        return whole_labels(values, path)
    values = without_alpha(values, path)
    if colours == IDS:
        return colour_id(values)
    if (values == values[..., :1]).all():
        return values[..., 0].astype(np.int32)
    if colours == ANY:
        return np.asarray(values.any(-1), np.int32)
    count = len(np.unique(colour_id(values)))
    raise InputError(
        f"{path} is drawn in {count} colours; give data.kind=colours for an object a colour, or save ids or classes in grey"
    )


def stored_values(file: Image.Image, path: Path, colours: str) -> NDArray[Any]:
    """Decode a mask's values (H, W), or its channels (H, W, C)."""
    whole = file.mode.startswith("I")
    if file.mode not in READABLE and not whole:
        raise InputError(
            f"{path} is stored as {file.mode}, which holds no labels; save the mask as a grey PNG"
        )
    if is_deep_colour(file):
        raise InputError(
            f"{path} has several channels of 16 bits; save ids or classes as a grey PNG of one channel"
        )
    if file.format == "GIF" or colours == IDS:
        if whole or file.mode == "F":
            raise InputError(
                f"{path} is grey with more than 8 bits, which are no colours; give data.kind=ids"
            )
        return np.array(file.convert("RGBA"))
    return np.array(file)


def without_alpha(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Drop an opaque alpha channel of (H, W, 2) or (H, W, 4); raises `InputError` for one that is not."""
    if values.shape[2] not in (2, 4):
        return values
    alpha = values[..., -1]
    if (alpha != OPAQUE).any():
        raise InputError(
            f"{path} has transparent parts (alpha from {alpha.min()}), which are no labels; save the mask without alpha"
        )
    return values[..., :-1]


def colour_id(colours: NDArray[Any]) -> NDArray[np.int32]:
    """Make an id of each colour (..., 3): 65536 red + 256 green + blue, so that black is 0."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return np.array(65536 * red + 256 * green + blue, np.int32)


def whole_labels(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
    """Return (H, W) labels as int32; raises `InputError` for another shape, fractions and numbers that do not fit."""
    if values.ndim != 2 or not values.size:
        raise InputError(f"{path} holds an array of {values.shape}; a mask is (H, W)")
    if values.dtype in (
        bool,
        np.uint8,
        np.uint16,
    ):  # whole and small, which need no look at every pixel
        return values.astype(np.int32)
    if (
        values.dtype.kind not in "iuf"
        or not np.isfinite(values).all()
        or (values != np.rint(values)).any()
    ):
        raise InputError(
            f"{path} has values that are no whole numbers ({values.dtype}); a mask holds ids or classes, no probabilities"
        )
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
        raise InputError(
            f"{path} has values from {values.min()} to {values.max()}; ids are from 0 to {np.iinfo(np.int32).max}"
        )
    return values.astype(np.int32)


def read_array(path: Path) -> NDArray[Any]:
    """Read a .npy file; raises `InputError` for anything else, pickled objects among it."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except Exception as error:  # NumPy raises ValueError, EOFError, SyntaxError, tokenize errors ... for damaged headers
        raise InputError(
            f"{path} cannot be read as an array ({first_line(error)}); replace or remove the file"
        ) from None
