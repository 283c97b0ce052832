"""Volume files that end early or lead elsewhere: ITK fills what is missing with zeros in some formats and says nothing."""

import re
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK
from PIL import Image

from datamodules import nifti
from datamodules.itk import quiet
from interseg.errors import InputError
from interseg.images import first_line
from interseg.listing import leads_out

RAW = {"GiplImageIO": 256, "MRCImageIO": 1024, "VTKImageIO": 0}
"""ITK's readers that do not mind a file's end, and the bytes before the voxels; VTK's are counted.
Others refuse what ends early."""
FRAMES = ("TIFFImageIO", "LSMImageIO")
DETACHED = re.compile(
    rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE
)
"""How headers of MetaImage and NRRD name the file of their voxels."""
DAMAGED = "cannot be read as a volume, it is damaged or cut short"
BIG_TIFF = 43
VTK = re.compile(
    rb"^(?:(?:COLOR_)?SCALARS|VECTORS|TENSORS|LOOKUP_TABLE)\b.*\n", re.IGNORECASE | re.MULTILINE
)
"""The lines before the voxels in VTK's format."""
HEADER = 2**16
"""Bytes in which a header's end is looked for."""


def check_whole(path: Path) -> None:
    """Raise `InputError` for a volume whose bytes end before its voxels do, or whose header leads out of its folder."""
    try:
        check_detached(path)
        if nifti.is_nifti(path):
            nifti.check_whole(path)
            return
        kind = SimpleITK.ImageFileReader().GetImageIOFromFileName(str(path))
        if kind in RAW:
            check_bytes(path, RAW[kind])
        if kind in FRAMES:
            check_frames(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (
        OSError,
        EOFError,
        OverflowError,
        zlib.error,
    ) as error:  # gzip's errors are OSErrors or EOFErrors
        raise InputError(
            f"{path} {DAMAGED} ({first_line(error)}); copy or download it again"
        ) from None


def check_detached(path: Path) -> None:
    """Raise `InputError` where a header names voxels outside its folder."""
    if path.suffix.lower() not in (".mha", ".mhd", ".nrrd", ".nhdr"):
        return
    with path.open("rb") as file:
        start = file.read(HEADER)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        start = start.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    for name in DETACHED.findall(start)[:1]:
        if leads_out(name.decode(errors="replace")):
            raise InputError(
                f"{path} names {name.decode(errors='replace')!r}, which leads out of its folder; "
                "keep the voxels beside it"
            )


def check_bytes(path: Path, header: int) -> None:
    """Raise `InputError` for a file of fewer bytes than its header and its voxels; numbers written as text are left to ITK."""
    reader = information(path)
    size = SimpleITK.Image(
        [1] * reader.GetDimension(), reader.GetPixelID(), reader.GetNumberOfComponents()
    ).GetSizeOfPixelComponent()
    needed = (
        header
        + int(np.prod(reader.GetSize(), dtype=object)) * reader.GetNumberOfComponents() * size
    )
    with nifti.open_data(path) as file:
        if not header:
            start = file.read(HEADER)
            if b"ASCII" in start[:400]:
                return
            needed += max((found.end() for found in VTK.finditer(start)), default=0)
            file.seek(0)
        nifti.demand(path, needed, nifti.count_bytes(file, needed))


def check_frames(path: Path) -> None:
    """Raise `InputError` for a stack of pictures whose list ends outside the file, or one of which is not whole."""
    size = path.stat().st_size
    if directories_end(path) > size:
        raise InputError(
            f"{path} is cut short: it names pictures behind its end; copy or download it again"
        )
    reader = information(path)
    depth = reader.GetSize()[2] if reader.GetDimension() > 2 else 1
    try:
        with Image.open(path) as file:
            for number in range(depth):
                file.seek(number)
                file.load()
    except Exception as error:  # see `interseg.images.opened`
        raise InputError(
            f"{path} {DAMAGED} ({first_line(error)}); copy or download it again"
        ) from None


def information(path: Path) -> SimpleITK.ImageFileReader:
    """Read a volume's header."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    with quiet():
        reader.ReadImageInformation()
    return reader


def directories_end(path: Path) -> int:
    """Find where the last of a TIFF's directories of pictures ends, be it outside the file (TIFF 6.0, section 2)."""
    ends: dict[int, int] = {}
    with path.open("rb") as file:
        start = file.read(16)
        order: Literal["little", "big"] = "little" if start[:2] == b"II" else "big"
        wide = int.from_bytes(start[2:4], order) == BIG_TIFF
        counter, entry, pointer = (8, 20, 8) if wide else (2, 12, 4)
        offset = int.from_bytes(start[8:16] if wide else start[4:8], order)
        while offset and offset not in ends:
            file.seek(offset)
            entries = int.from_bytes(file.read(counter), order)
            ends[offset] = offset + counter + entry * entries + pointer
            file.seek(ends[offset] - pointer)
            offset = int.from_bytes(file.read(pointer), order)
    return max(ends.values(), default=0)
