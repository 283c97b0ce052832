"""Label maps: the labels in mask files, or one clear error that names the file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from interseg.errors import InputError
from interseg.images import first_line, is_deep_colour, open_image

READABLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "F")
"""Pillow's modes whose values may be labels, beside those of whole numbers (I, I;16, ...)."""
OPAQUE = 255
GREY, DRAWN, SHOWN, IDS, ANY = "refuse", "drawn", "shown", "ids", "any"
"""Ways to treat colours."""


def read_labels(path: Path, colours: str = GREY) -> NDArray[np.int32]:
    """Read a label map as (H, W) int32: palette indices, grey values, or a .npy file's values.

    Colours with equal channels are grey. An opaque alpha channel is dropped. Of a GIF the colours
    are read, because its palette indices depend on the program that wrote it.

    Args:
        path: Path of the file.
        colours: Treatment of a mask in colours: "refuse" it; "drawn" does too, but reads the
            colours of a palette of black and white, whose first entry may be either; "shown" reads
            the greys of a palette that has no colours, and white as 255 in files of one bit; "ids"
            returns `colour_id` of all colours, palettes and greys included; "any" returns 1 for
            every colour but black, and reads palettes as "drawn" does.

    Raises:
        InputError: A missing file, not a mask, refused colours, transparency, or values that are
            not whole numbers.
    """
    if path.suffix.lower() == ".npy":
        return whole_labels(read_array(path), path)
    with open_image(path, "a mask") as file:
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
        f"{path} is drawn in {count} colours; save ids or classes in grey (a folder of masks with "
        "an object a colour: data.kind=colours)"
    )


def stored_values(file: Image.Image, path: Path, colours: str) -> NDArray[Any]:
    """Decode a mask's values (H, W), or its channels (H, W, C)."""
    whole = file.mode.startswith("I")
    if file.mode not in READABLE and not whole:
        raise InputError(
            f"{path} is stored as {file.mode}, which cannot hold labels; "
            "save the mask as a grey PNG"
        )
    if is_deep_colour(file):
        raise InputError(
            f"{path} has several channels of 16 bits; "
            "save ids or classes as a grey PNG of one channel"
        )
    if file.format == "GIF" or colours == IDS:
        if whole or file.mode == "F":
            raise InputError(
                f"{path} is grey with more than 8 bits and has no colours; give data.kind=ids"
            )
        return np.array(file.convert("RGBA"))
    values = np.array(file)
    if colours == SHOWN and file.mode in ("1", "P"):
        shown = np.array(file.convert("RGB"))
        return shown[..., 0] if (shown == shown[..., :1]).all() else values
    if file.mode == "P" and colours in (DRAWN, ANY):
        return black_and_white(file, values)
    return values


def black_and_white(file: Image.Image, indices: NDArray[Any]) -> NDArray[Any]:
    """Give the grey values of palette indices (H, W) that show black and white, white first.

    With black first the indices are right as they are.
    """
    palette = file.getpalette("RGB") or []
    if palette[:3] != [255, 255, 255]:
        return indices
    colours = np.asarray(file.convert("RGB"))
    grey = (colours == colours[..., :1]).all() and np.isin(colours, (0, 255)).all()
    return np.array(colours[..., 0]) if grey else indices


def without_alpha(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Drop an opaque alpha channel of (H, W, 2 or 4); raises `InputError` for transparency."""
    if values.shape[2] not in (2, 4):
        return values
    alpha = values[..., -1]
    if (alpha != OPAQUE).any():
        raise InputError(
            f"{path} has transparent parts (alpha from {alpha.min()}), which have no label; "
            "save the mask without alpha"
        )
    return values[..., :-1]


def colour_id(colours: NDArray[Any]) -> NDArray[np.int32]:
    """Make an id of each colour (..., 3): 65536 red + 256 green + blue, so that black is 0."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return np.array(65536 * red + 256 * green + blue, np.int32)


def whole_labels(values: NDArray[Any], path: Path) -> NDArray[np.int32]:
    """Return labels (H, W) as int32.

    Raises:
        InputError: Another shape, fractions, or numbers outside int32 or below 0.
    """
    if values.ndim != 2 or not values.size:
        raise InputError(f"{path} holds an array of {values.shape}; a mask is (H, W)")
    if values.dtype in (bool, np.uint8, np.uint16):  # these types need no check of their values
        return values.astype(np.int32)
    numbers = values.dtype.kind in "iuf" and bool(np.isfinite(values).all())
    if not numbers or (values != np.rint(values)).any():
        raise InputError(
            f"{path} has values that are not whole numbers ({values.dtype}); "
            "a mask holds ids or classes, not probabilities"
        )
    largest = np.iinfo(np.int32).max
    if values.min() < 0 or values.max() > largest:
        raise InputError(
            f"{path} has values from {values.min()} to {values.max()}; ids are from 0 to {largest}"
        )
    return values.astype(np.int32)


def read_array(path: Path) -> NDArray[Any]:
    """Read a .npy file; raises `InputError` for any other file, also with pickled objects."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except Exception as error:  # ValueError, EOFError, SyntaxError, tokenize errors, ...
        raise InputError(
            f"{path} cannot be read as an array ({first_line(error)}); replace or remove the file"
        ) from None
