"""Image files: photos and label maps, read in stored pixels, and the images of a folder."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from interseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of any image file, in stored pixels: masks are drawn on these, so that an EXIF rotation is left alone."""
    pixels = _decode(path, "an image")
    if pixels.dtype != np.uint8:  # 16-bit grey
        pixels = np.clip(pixels // 256, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels)


def read_labels(path: Path) -> NDArray[np.int32]:
    """(H, W) int32 label map: palette indices of a palette image, grey values of a grey one, any channel > 0 of a colour one."""
    labels = _decode(path, "a mask")
    if labels.ndim == 3:
        return np.asarray(labels[..., :3].any(-1)).astype(np.int32)
    return labels.astype(np.int32)


def _decode(path: Path, kind: str) -> NDArray[Any]:
    """An image's pixels: RGB for "an image" that is not 16-bit grey, else the stored values (palette indices, grey, channels)."""
    try:
        with Image.open(path) as file:
            return np.array(file.convert("RGB") if kind == "an image" and not file.mode.startswith("I") else file)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # Pillow raises all of these for damaged files
        raise InputError(f"{path} cannot be read as {kind} ({error}); replace or remove the file") from None


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from an image's header; raises `InputError` for what is no image."""
    try:
        with Image.open(path) as file:
            return file.height, file.width
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (UnidentifiedImageError, OSError):
        raise InputError(f"{path} cannot be read as an image; replace or remove the file") from None


def image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, sorted; raises `InputError` where two share a stem."""
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES):
        if path.stem in files:
            raise InputError(f"{files[path.stem].name} and {path.name} in {folder} share a stem; masks are matched by stem, keep one")
        files[path.stem] = path
    return files
