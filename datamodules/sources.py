"""Where objects come from: the small interface that every reader fills, and the reading that readers share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from interseg.clicks.layout import IGNORE
from interseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


class Sample(NamedTuple):
    """One object in its whole image."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: NDArray[np.uint8]
    """(H, W) 1 object, 0 background, 255 ignore."""
    others: NDArray[np.uint8]
    """(H, W) the other objects of the image as 1, 2, ...; 0 where there is none."""
    previous: NDArray[np.bool_] | None = None
    """(H, W) a mask to start from, in sets whose masks are to be corrected."""


class ObjectSource(ABC):
    """A numbered list of objects; the number is the object's id and depends on the data alone."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """Files that could not be read while the source was listed, a line each."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of the object's image, without decoding it."""

    @abstractmethod
    def name(self, index: int) -> str:
        """What a person calls the object: file and object number or name."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Decode one object; raises `InputError` naming the file where it cannot."""


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


def sample_from_labels(image: NDArray[np.uint8], labels: NDArray[np.int32], object: int, ignore: int | None, path: Path) -> Sample:
    """A sample of one object of a label map.

    Args:
        image: (H, W, 3).
        labels: (H, W) with 0 for background and an id per object.
        object: the id of the object.
        ignore: the label of pixels that do not count; None for none.
        path: of the mask, for messages.
    """
    if labels.shape != image.shape[:2]:
        raise InputError(
            f"{path} is {labels.shape[0]} x {labels.shape[1]}, its image {image.shape[0]} x {image.shape[1]}; a mask has its image's size"
        )
    if not (labels == object).any():
        raise InputError(f"{path} has no pixel of object {object}; remove the mask or draw the object")
    mask = (labels == object).astype(np.uint8)
    others = np.where(labels == object, 0, labels)
    if ignore is not None:
        mask[labels == ignore] = IGNORE
        others[labels == ignore] = 0
    return Sample(image, mask, np.unique(others, return_inverse=True)[1].reshape(others.shape).astype(np.uint8))


NO_DOWNLOAD = "--config data/samples.yaml needs no download, --config data/folder.yaml reads your own images"
"""Which configs do without a data set of objects."""


def existing_folder(path: Path, what: str, how: str, instead: str = NO_DOWNLOAD) -> Path:
    """The folder, or an `InputError` that names it, says how to get it and what to take instead."""
    if not path.is_dir():
        raise InputError(
            f"{what} is expected in {path.absolute()}, which does not exist: {how}. Give another place by data.root=PATH; {instead}"
        )
    return path


def image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, sorted; raises `InputError` where two share a stem."""
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES):
        if path.stem in files:
            raise InputError(f"{files[path.stem].name} and {path.name} in {folder} share a stem; masks are matched by stem, keep one")
        files[path.stem] = path
    return files
