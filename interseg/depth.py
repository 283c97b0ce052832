"""Values of more than 8 bits: which is black, which is white."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interseg.errors import InputError

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the sensors whose values files of 16 bits hold."""
LARGEST = 65535


def to_bytes(values: NDArray[Any], declared: int | None, path: Path) -> NDArray[np.uint8]:
    """Scale values to 0 to 255.

    Whole numbers from 0 to 65535 lose their lower bits: of the declared ones, or of the fewest of
    8, 10, 12, 14 and 16 that hold them. Fractions within [0, 1] are shares of white. Anything else
    is scaled by the file's own range.

    Args:
        values: of any shape.
        declared: bits that the file says it uses; None where it says nothing.
        path: of the file, for messages.

    Raises:
        InputError: values that are not finite.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"{path} has {int((~np.isfinite(values)).sum())} pixels of NaN or infinity; repair or remove the file"
        )
    low, high = values.min(initial=0), values.max(initial=0)
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        return np.rint(values * 255.0).astype(np.uint8)
    if low < 0 or high > LARGEST or (values != np.rint(values)).any():
        low, high = float(values.min()), float(values.max())
        return np.rint((values.astype(np.float64) - low) * (255 / max(high - low, 1e-12))).astype(
            np.uint8
        )
    bits = next(depth for depth in DEPTHS if high < 2**depth)
    if declared is not None and bits <= declared < DEPTHS[-1]:
        bits = declared
    return np.asarray(values.astype(np.int64) >> (bits - 8), np.uint8)
