"""NIfTI files that end early, found by counting bytes: ITK silently fills missing voxels with 0."""

import gzip
import math
import struct
from pathlib import Path
from typing import BinaryIO, cast

from interseg.errors import InputError

HEADER, SECOND = 348, 540
"""Sizes of the headers of NIfTI-1 and NIfTI-2, which are their first numbers."""
CHUNK = 2**22
"""Number of bytes that are read at once."""


def is_nifti(path: Path) -> bool:
    """Tell by its name whether a file is a NIfTI file, or one of a pair."""
    return path.name.lower().endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"))


def check_whole(path: Path) -> None:
    """Raise `InputError` for a NIfTI file that ends before its voxels do.

    It may be plain, compressed or a pair. Damaged compression raises the errors of `gzip`.
    """
    header, data = parts(path)
    if header is None or data is None:
        return
    with open_data(header) as file:
        start = file.read(HEADER)
    if SECOND in first_numbers(start):
        raise InputError(f"{path} is NIfTI-2, which ITK does not read; convert it to NIfTI-1")
    needed = bytes_needed(start, header == data)
    if needed is None:
        return
    with open_data(data) as file:
        demand(path, needed, count_bytes(file, needed))


def demand(path: Path, needed: int, found: int) -> None:
    """Raise `InputError` if a file has fewer bytes than it needs."""
    if found < needed:
        raise InputError(
            f"{path} is cut short: its voxels need {needed} bytes, it has {found}; "
            "copy or download it again"
        )


def parts(path: Path) -> tuple[Path | None, Path | None]:
    """Find the header and the voxels of a NIfTI image: one file, or a pair `.hdr` and `.img`."""
    suffix = ".gz" if path.name.lower().endswith(".gz") else ""
    stem = path.with_suffix("") if suffix else path
    if stem.suffix.lower() == ".nii":
        return path, path
    pair = [stem.with_suffix(end + suffix) for end in (".hdr", ".img")]
    header, data = (file if file.is_file() else None for file in pair)
    return header, data


def open_data(path: Path) -> BinaryIO:
    """Open a file, compressed or not."""
    if path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def bytes_needed(header: bytes, joined: bool) -> int | None:
    """Compute the least number of bytes in the file of the voxels.

    Args:
        header: First bytes of the file.
        joined: Whether header and voxels are in one file.

    Returns:
        The number of bytes; None if this is not a NIfTI header.
    """
    if len(header) < HEADER or HEADER not in first_numbers(header):
        return None
    order = "<" if first_numbers(header)[0] == HEADER else ">"
    count, *sides = struct.unpack_from(f"{order}8h", header, 40)
    (depth,) = struct.unpack_from(f"{order}h", header, 72)
    (start,) = struct.unpack_from(f"{order}f", header, 108)
    dimensions = max(0, min(count, 7))
    voxels = math.prod(max(side, 1) for side in sides[:dimensions])
    before = int(start) if joined and math.isfinite(start) else 0
    return before + voxels * depth // 8


def first_numbers(header: bytes) -> list[int]:
    """Read a header's first number in both orders of bytes, the little end first."""
    if len(header) < 4:
        return []
    return [struct.unpack_from(f"{order}i", header)[0] for order in ("<", ">")]


def count_bytes(file: BinaryIO, enough: int) -> int:
    """Count the bytes of a file, up to `enough`.

    A compressed file is read to its end, where its checksum is.
    """
    total = 0
    while chunk := file.read(CHUNK):
        total += len(chunk)
        if total >= enough and not isinstance(file, gzip.GzipFile):
            break
    return total
