"""Mask files: ids of a photo's objects as PNG, objects of many photos as COCO JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from interseg.errors import InputError
from interseg.files import whole, write_whole

LARGEST_BYTE = 254
"""Last id of an 8-bit file, in which 255 is ignored (datamodules/folder_source.py)."""


def draw_ids(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint16]:
    """Draw masks (H, W) as ids 1, 2, ...; later ones over earlier ones.

    The last of 255 is 256, since readers ignore 255 where it is the largest id.
    """
    ids = np.zeros(masks[0].shape, np.uint16)
    for number, mask in enumerate(masks, 1):
        ids[mask] = number + (number == len(masks) == LARGEST_BYTE + 1)
    return ids


def write_ids(path: Path, ids: NDArray[np.integer]) -> None:
    """Write ids (H, W) as a grey PNG of 8 bits, or of 16 bits for more than 254 ids."""
    if ids.max(initial=0) > np.iinfo(np.uint16).max:
        raise InputError(f"{path}: {ids.max()} objects are more than a PNG's 65535")
    pixels = ids.astype(np.uint8 if ids.max(initial=0) <= LARGEST_BYTE else np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        Image.fromarray(pixels).save(part, format="PNG")


def unpack_runs(text: str) -> list[int]:
    """Unpack COCO's compressed run lengths.

    A character holds five bits, the lowest first, and a sixth where more follow. From the fourth
    length on, the number is the difference to the length before the last one (pycocotools,
    `maskApi.c`).

    Raises:
        ValueError: The text is not of this format.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError(f"character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("it ends within a number")
    return lengths


class CocoWriter:
    """A writer of COCO files, which collects annotations object by object.

    Args:
        categories: Names of the first categories, which keep their ids 1, 2, ... whatever objects
            there are; others follow as they come.
    """

    def __init__(self, categories: Iterable[str] = ()) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = {name: number for number, name in enumerate(categories, 1)}

    def add_image(self, name: str, size: tuple[int, int]) -> int:
        """Add a photo of (height, width); returns its id."""
        id = len(self.images) + 1
        self.images.append({"id": id, "file_name": name, "height": size[0], "width": size[1]})
        return id

    def add(self, image: int, mask: NDArray[np.bool_], category: str, **more: Any) -> None:
        """Add an object of a photo: its mask (H, W), its category's name, and further keys."""
        runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        number = self.categories.setdefault(category, len(self.categories) + 1)
        row = {
            "id": len(self.annotations) + 1,
            "image_id": image,
            "category_id": number,
            "segmentation": {"size": list(runs["size"]), "counts": runs["counts"].decode()},
            "area": int(coco_mask.area(runs)),
            "bbox": [float(value) for value in coco_mask.toBbox(runs)],
            "iscrowd": 0,
        }
        self.annotations.append(row | more)

    def write(self, path: Path) -> None:
        """Write the file."""
        categories = [{"id": number, "name": name} for name, number in self.categories.items()]
        content = {"images": self.images, "annotations": self.annotations, "categories": categories}
        write_whole(path, json.dumps(content))
