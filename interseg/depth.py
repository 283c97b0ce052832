"""Values of more than 8 bits, scaled to 8 bits."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of sensors whose values are stored in files of 16 bits."""
LARGEST = 65535
MOST = 99.9
"""Percentage of a photo's values that its number of bits has to hold."""


def to_bytes(values: NDArray[Any], declared: int | None, path: Path) -> NDArray[np.uint8]:
    """Scale values to 0 to 255.

    Whole numbers from 0 to 65535 lose their lower bits. Their number of bits is the declared one,
    or the least of 8, 10, 12, 14 and 16 that holds all but the brightest thousandth of them, which
    becomes white: a hot pixel darkens no photo. Fractions within [0, 1] are shares of
    white. All other values are scaled by their own range.

    Args:
        values: Values of any shape.
        declared: Number of bits that the file declares; None if it declares none.
        path: Path of the file, for messages.

    Raises:
        InputError: Values that are not finite.
    """
    finite = np.isfinite(values)
    if not finite.all():
        raise InputError(
            f"{path} has {int((~finite).sum())} pixels of NaN or infinity; "
            "repair or remove the file"
        )
    low, high = values.min(initial=0), values.max(initial=0)
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        return np.rint(values * 255.0).astype(np.uint8)
    if low < 0 or high > LARGEST or (values != np.rint(values)).any():
        low, high = float(values.min()), float(values.max())
        factor = 255 / max(high - low, 1e-12)
        return np.rint((values.astype(np.float64) - low) * factor).astype(np.uint8)
    bits = next(depth for depth in DEPTHS if high < 2**depth)
    if declared is not None and bits <= declared < DEPTHS[-1]:
        bits = declared
    elif bits > DEPTHS[0]:
        most = np.percentile(values, MOST, method="higher")
        bits = next(depth for depth in DEPTHS if most < 2**depth)
    if high >= 2**bits:
        values = np.minimum(values, 2**bits - 1)
    return np.asarray(values.astype(np.int64) >> (bits - 8), np.uint8)
