"""Image files: photos as a person sees them, or one clear error that names the file.

All readers of the project use this module and `interseg.labels`, so that each kind of file is read
or refused in the same way everywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from interseg.depth import to_bytes
from interseg.errors import InputError

TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""
FLIPS = {
    2: (False, True),
    3: (True, True),
    4: (True, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}
"""Whether an EXIF orientation flips rows and columns, after height and width were swapped (EXIF
2.3, section 4.6.4)."""
LARGEST_SIDE = 2**24
"""Largest side in pixels: augmentation holds coordinates as float32, which is exact up to here."""
LARGEST_OPENED = 60_000_000
"""Most pixels of a photo that a person may open: a click keeps some bytes for each of them."""
ANIMATED = ("GIF", "PNG", "TIFF", "WEBP")
"""Formats whose further frames are separate images; in MPO, which phones write, they are
previews."""


class Size(NamedTuple):
    """The size of a photo's stored pixels, and its EXIF orientation (1: none)."""

    height: int
    width: int
    orientation: int = 1

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width of the stored pixels."""
        return (self.height, self.width)

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width in a viewer."""
        if self.orientation in TURNED:
            return (self.width, self.height)
        return (self.height, self.width)

    @property
    def ambiguous(self) -> bool:
        """Whether there is an orientation that does not change the size.

        A mask then fits the photo with and without it.
        """
        return self.orientation != 1 and self.stored == self.upright

    def turns(self, mask: tuple[int, int] | None, upright: bool = True) -> bool:
        """Test whether the orientation is applied, given a mask's (height, width).

        `upright` decides if the mask fits with and without it, or in neither case.
        """
        if mask is None or self.ambiguous or mask not in (self.stored, self.upright):
            return upright
        return self.upright == mask


class Header(NamedTuple):
    """The header of a photo's file, read before its pixels are decoded."""

    size: Size
    deep: bool
    """Whether a channel has more than 8 bits."""


def read_image(
    path: Path, size: tuple[int, int] | None = None, upright: bool = True
) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 RGB.

    An EXIF orientation is applied, as in viewers and annotation tools; with the size of a mask, it
    is applied if the photo then fits the mask. Alpha is dropped. Channels of more than 8 bits are
    scaled (`interseg.depth`).

    Args:
        path: Path of the file.
        size: (height, width) of the photo's mask or annotations; None for a photo without them.
        upright: Whether to apply an orientation if the mask fits with and without it.

    Raises:
        InputError: A missing file, not an image, several images in one file, or more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` allows.
    """
    with open_image(path, "an image") as file:
        found = header_of(file, path)
        pixels, bits = decode(file, path, found.deep), declared_bits(file)
    if found.size.turns(size, upright):
        pixels = turn(pixels, found.size.orientation)
    if found.deep:
        pixels = to_bytes(pixels, bits, path)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    return np.ascontiguousarray(pixels)


def photo_of(image: Any) -> NDArray[np.uint8]:
    """Read a photo from a path, or return pixels (H, W, 3) uint8 RGB unchanged.

    Raises:
        InputError: Anything else.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(
            f"the image is {pixels.shape} of {pixels.dtype}; give a path, or (H, W, 3) uint8 RGB"
        )
    return pixels


def decode(file: Image.Image, path: Path, deep: bool) -> NDArray[Any]:
    """Decode RGB (H, W, 3), or grey values (H, W) of more than 8 bits."""
    if file.mode.startswith("I") or file.mode == "F":
        return np.array(file)
    rgb = np.array(file.convert("RGB"))  # raises an error if the file is incomplete
    if not deep:
        return rgb
    # by OpenCV, since Pillow drops the lower 8 bits of colours
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise InputError(
            f"{path} has colours of 16 bits that cannot be decoded; save it with 8 bits a channel"
        )
    return np.array(pixels[..., 2::-1] if pixels.ndim == 3 else pixels)


def is_deep_colour(file: Image.Image) -> bool:
    """Test whether an open file has several channels of 16 bits."""
    if file.format not in ("PNG", "TIFF") or file.mode.startswith("I"):
        return False
    tiles = getattr(file, "tile", [])
    return any(";16" in str(tile[3]) for tile in tiles)


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W, ...) upright."""
    rows, columns = FLIPS.get(orientation, (False, False))
    if orientation in TURNED:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]


def declared_bits(file: Image.Image) -> int | None:
    """Read the number of bits of a value that a TIFF declares; None if it declares none.

    It is declared by MaxSampleValue or BitsPerSample.
    """
    tags = getattr(file, "tag_v2", {})
    largest, bits = tags.get(281), tags.get(258)
    if largest:
        return int(max(largest) if isinstance(largest, tuple) else largest).bit_length()
    if not bits:
        return None
    return int(max(bits) if isinstance(bits, tuple) else bits)


def image_size(path: Path) -> Size:
    """Read a photo's size from its header; raises `InputError` if it is not an image."""
    return image_header(path).size


def image_header(path: Path) -> Header:
    """Read a photo's header; raises `InputError` if it is not an image."""
    with open_image(path, "an image") as file:
        return header_of(file, path)


def header_of(file: Image.Image, path: Path) -> Header:
    """Read the header of an open photo, without decoding its pixels.

    Pillow itself turns TIFFs upright.
    """
    silent = file.format == "TIFF"
    if file.format == "PNG":
        silent = "exif" not in file.info and not has_late_exif(path)
    deep = file.mode.startswith("I") or file.mode == "F" or is_deep_colour(file)
    orientation = 1 if silent else file.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation not in range(1, 9):
        orientation = 1
    return Header(Size(file.height, file.width, orientation), deep)


def has_late_exif(path: Path) -> bool:
    """Test whether a PNG has EXIF behind its pixels, by reading its chunks (PNG, section 5.3).

    Pillow would decode the pixels for that.
    """
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            if head[4:] == b"eXIf":
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


@contextmanager
def open_image(path: Path, kind: str) -> Iterator[Image.Image]:
    """Open an image file of one frame; every problem of the file is an `InputError`."""
    try:
        # given a path, Pillow maps uncompressed pixels, and scrambles those of a turned TIFF
        with path.open("rb") as stream, Image.open(stream) as file:
            if max(file.size) > LARGEST_SIDE:
                raise InputError(
                    f"{path} is {file.height} x {file.width} pixels; "
                    f"sides of at most {LARGEST_SIDE} are read"
                )
            check_frames(file, path)
            yield file
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large ({first_line(error)}); reduce or cut it") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path} cannot be read as {kind} (it is in no known format); "
            "replace or remove the file"
        ) from None
    except MemoryError:
        raise InputError(f"{path} is too large for this machine's memory; reduce it") from None
    except Exception as error:  # OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
        if isinstance(error, OSError) and error.errno:  # the machine's trouble, not the file's
            raise InputError(
                f"{path} cannot be read ({error.strerror}); mend that and give the command again"
            ) from None
        raise InputError(
            f"{path} cannot be read as {kind} ({first_line(error)}); replace or remove the file"
        ) from None


def check_frames(file: Image.Image, path: Path) -> None:
    """Raise `InputError` for an animation or a stack.

    A second frame of another size is a preview.
    """
    count = getattr(file, "n_frames", 1) if file.format in ANIMATED else 1
    if count == 1:
        return
    size = file.size
    file.seek(1)
    if file.size == size:
        raise InputError(f"{path} has {count} frames; save each as a file of its own")
    file.seek(0)


def first_line(error: BaseException) -> str:
    """Return an error's first line, or its class if it has no text."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:120]
