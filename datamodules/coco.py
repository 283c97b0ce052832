"""COCO JSON: polygons (keyholes included) or run lengths, one object an annotation; crowds are left out."""

import contextlib
import io
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from datamodules.base import ClickDataModule, Loading
from datamodules.sources import ObjectSource, Sample, existing_folder, read_image
from interseg.errors import InputError

CACHED_IMAGES = 16
"""Decoded images and object maps that a worker keeps: all of a small set, little of a large one."""


@lru_cache(CACHED_IMAGES)
def decoded_image(path: Path) -> NDArray[np.uint8]:
    """`read_image`, kept; nobody writes into it."""
    image = read_image(path)
    image.flags.writeable = False
    return image


class CocoSource(ObjectSource):
    """The objects of one COCO file, in the order of their annotation ids.

    Args:
        annotations: the JSON file.
        images: the folder that its `file_name`s are relative to.
        min_area: leave out objects with fewer pixels.
    """

    def __init__(self, annotations: Path, images: Path, min_area: int = 0) -> None:
        super().__init__()
        self.images = images
        self.coco = read_coco(annotations)
        self.runs: dict[int, Any] = {}
        self.maps: dict[int, NDArray[np.uint8]] = {}
        rows = sorted(self.coco.anns.values(), key=lambda row: row["id"])
        self.rows: list[dict[str, Any]] = [r for r in rows if not r.get("iscrowd") and r.get("area", min_area) >= min_area]

    def __len__(self) -> int:
        return len(self.rows)

    def size(self, index: int) -> tuple[int, int]:
        image = self.coco.imgs[self.rows[index]["image_id"]]
        return image["height"], image["width"]

    def name(self, index: int) -> str:
        row = self.rows[index]
        label = row.get("name") or self.coco.cats.get(row.get("category_id"), {}).get("name", "object")
        return f"{self.coco.imgs[row['image_id']]['file_name']}: {label} ({row['id']})"

    def read(self, index: int) -> Sample:
        row = self.rows[index]
        path = self.images / self.coco.imgs[row["image_id"]]["file_name"]
        image = decoded_image(path)
        if image.shape[:2] != self.size(index):
            height, width = self.size(index)
            raise InputError(
                f"{path} is {image.shape[0]} x {image.shape[1]}, the annotations say {height} x {width}; use the images they were drawn on"
            )
        mask = self._decode(row)
        if not mask.any():
            raise InputError(f"{self.name(index)}: the outline covers no pixel; remove the annotation")
        number, objects = self._objects(row)
        return Sample(image, mask.astype(np.uint8), np.where(mask | (objects == number), np.uint8(0), objects))

    def _objects(self, row: dict[str, Any]) -> tuple[int, NDArray[np.uint8]]:
        """A row's number in its image (255 at most), and all objects of the image by number, smaller ones over larger ones."""
        rows = sorted(self.coco.imgToAnns[row["image_id"]], key=lambda r: -r.get("area", 0))[:255]
        number = next((n for n, other in enumerate(rows, 1) if other["id"] == row["id"]), 0)
        if row["image_id"] not in self.maps:
            if len(self.maps) >= CACHED_IMAGES:
                self.maps.pop(next(iter(self.maps)))
            objects = np.zeros(self._decode(row).shape, np.uint8)
            for n, other in enumerate(rows, 1):
                objects[self._decode(other)] = n
            self.maps[row["image_id"]] = objects
        return number, self.maps[row["image_id"]]

    def _decode(self, row: dict[str, Any]) -> NDArray[np.bool_]:
        if row["id"] not in self.runs:
            self.runs[row["id"]] = self.coco.annToRLE(row)
        return coco_mask.decode(self.runs[row["id"]]).astype(bool)


def read_coco(path: Path) -> COCO:
    """A COCO file, indexed; raises `InputError` for what is none."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the COCO annotation file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no JSON file ({error})") from None
    missing = {"images", "annotations", "categories"} - set(content if isinstance(content, dict) else ())
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}; a COCO file has images, annotations and categories")
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # createIndex prints
        coco.createIndex()
    return coco


class CocoDataModule(ClickDataModule):
    """A COCO data set: one annotation file a split.

    Args:
        root: the data set's folder; the other paths are relative to it.
        images: folder of the images; "{split}" in it is replaced.
        annotations: annotation file; "{split}" in it is replaced.
        splits: names of the files' splits for train, val and test, where they differ.
        min_area: leave out objects with fewer pixels.
        loading: see `Loading`.
    """

    def __init__(
        self,
        root: str,
        images: str = "images",
        annotations: str = "annotations/{split}.json",
        splits: dict[str, str] | None = None,
        min_area: int = 0,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.images, self.annotations = Path(root), images, annotations
        self.splits, self.min_area = splits or {}, min_area

    def source(self, split: str) -> CocoSource:
        root = existing_folder(self.root, "a COCO data set", "download it or point to yours")
        name = self.splits.get(split, split)
        return CocoSource(root / self.annotations.format(split=name), root / self.images.format(split=name), self.min_area)
