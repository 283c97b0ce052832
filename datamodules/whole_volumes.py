"""Checks for volume files that end early or refer to other folders.

In some formats ITK silently fills missing voxels with 0.
"""

import math
import re
import zlib
from pathlib import Path
from typing import Literal

import SimpleITK
from PIL import Image

from datamodules import nifti
from datamodules.itk import quiet
from interseg.errors import InputError
from interseg.images import first_line
from interseg.listing import leads_out

RAW = {"GiplImageIO": 256, "MRCImageIO": 1024, "VTKImageIO": 0}
"""ITK's readers that accept files that end early, and the number of bytes before the voxels; VTK's
are counted. Other readers refuse such files."""
FRAMES = ("TIFFImageIO", "LSMImageIO")
DETACHED = re.compile(
    rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE
)
"""Line of a header of MetaImage or NRRD that names the file of the voxels."""
DAMAGED = "cannot be read as a volume, it is damaged or cut short"
BIG_TIFF = 43
VTK = re.compile(
    rb"^(?:(?:COLOR_)?SCALARS|VECTORS|TENSORS|LOOKUP_TABLE)\b.*\n", re.IGNORECASE | re.MULTILINE
)
"""Lines before the voxels in VTK's format."""
HEADER = 2**16
"""Number of bytes in which a header's end is searched."""


def check_whole(path: Path) -> None:
    """Raise `InputError` for a volume that ends early or refers to another folder."""
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
    # gzip's errors are OSErrors or EOFErrors
    except (OSError, EOFError, OverflowError, zlib.error) as error:
        raise InputError(
            f"{path} {DAMAGED} ({first_line(error)}); copy or download it again"
        ) from None


def check_detached(path: Path) -> None:
    """Raise `InputError` if a header names a file of voxels outside its folder."""
    name = named_voxels(path)
    if name and leads_out(name):
        raise InputError(
            f"{path} names {name!r}, which leads out of its folder; keep the voxels beside it"
        )


def named_voxels(path: Path) -> str:
    """Read the name of the file of the voxels from a header; empty where it names none."""
    if path.suffix.lower() not in (".mha", ".mhd", ".nrrd", ".nhdr"):
        return ""
    with path.open("rb") as file:
        start = file.read(HEADER)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        start = start.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    line = DETACHED.search(start)
    return line[1].decode(errors="replace") if line else ""


def check_bytes(path: Path, header: int) -> None:
    """Raise `InputError` for a file with fewer bytes than its header and its voxels need.

    Numbers written as text are not checked here.

    Args:
        path: File of the volume.
        header: Number of bytes before the voxels; 0 for VTK's, which are counted.
    """
    reader = information(path)
    components = reader.GetNumberOfComponents()
    voxel = SimpleITK.Image([1] * reader.GetDimension(), reader.GetPixelID(), components)
    voxels = math.prod(reader.GetSize())
    needed = header + voxels * components * voxel.GetSizeOfPixelComponent()
    with nifti.open_data(path) as file:
        if not header:
            start = file.read(HEADER)
            if b"ASCII" in start[:400]:
                return
            needed += max((found.end() for found in VTK.finditer(start)), default=0)
            file.seek(0)
        nifti.demand(path, needed, nifti.count_bytes(file, needed))


def check_frames(path: Path) -> None:
    """Raise `InputError` for a stack of pictures of which one is missing or not whole."""
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
    except Exception as error:  # see `interseg.images.open_image`
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
    """Find the byte at which the last of a TIFF's directories ends (TIFF 6.0, section 2).

    It may be beyond the end of a file that is cut short.
    """
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
