"""COCO JSON: polygons (keyholes included) or run lengths, one object an annotation; crowds are left out."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from datamodules.base import ClickDataModule, Loading, Subset, drop_repeats
from datamodules.coco_json import check_content, read_json
from datamodules.orientation import note_photos
from datamodules.sources import ObjectSource, Sample, require_folder
from datamodules.splits import check_shares, note_same_objects, part_of
from interseg.errors import InputError
from interseg.images import image_header, read_image
from interseg.listing import counted

CACHED_IMAGES = 16
"""Decoded images and object maps that a worker keeps: all of a small set, little of a large one."""


PASCAL = (
    *(
        "person",
        "bird",
        "cat",
        "cow",
        "dog",
        "horse",
        "sheep",
        "airplane",
        "bicycle",
        "boat",
        "bus",
        "car",
        "motorcycle",
        "train",
    ),
    *("bottle", "chair", "dining table", "potted plant", "couch", "tv"),
)
"""COCO's names of PASCAL VOC's 20 categories: those that a network trained on VOC has seen."""


@lru_cache(CACHED_IMAGES)
def decode_image(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read an image that goes with annotations of a size, and keep it; nobody writes into it."""
    image = read_image(path, size)
    image.flags.writeable = False
    return image


class CocoSource(ObjectSource):
    """The objects of one COCO file, in the order of their annotation ids.

    Args:
        annotations: the JSON file.
        images: the folder that its `file_name`s are relative to.
        min_area: leave out objects with fewer pixels.
        categories: names of the categories whose objects are taken, "seen" for PASCAL VOC's 20,
            "unseen" for all others; None for all.
        per_category: so many objects of each category, drawn once, each from another image (fewer
            where there are no more).
    """

    goes_on = True

    def __init__(
        self,
        annotations: Path,
        images: Path,
        min_area: int = 0,
        categories: Sequence[str] | str | None = None,
        per_category: int | None = None,
    ) -> None:
        super().__init__()
        self.images = images
        content, self.problems = check_content(read_json(annotations))
        absent = {
            image["id"]
            for image in content["images"]
            if not (images / image["file_name"]).is_file()
        }
        self.coco = index_coco(content)
        self.runs: dict[int, Any] = {}
        self.maps: dict[int, NDArray[np.uint8]] = {}
        rows = sorted(self.coco.anns.values(), key=lambda row: row["id"])
        single = [row for row in rows if not row.get("iscrowd")]
        if rows and not single:
            self.problems.append(
                f"{annotations}: all {len(rows)} annotations are crowds, which are no objects"
            )
        for id, count in sorted(
            Counter(row["image_id"] for row in single if row["image_id"] in absent).items()
        ):
            self.problems.append(
                f"{images / self.coco.imgs[id]['file_name']} does not exist; "
                f"image {id} has {count} annotations"
            )
        single = [row for row in single if row["image_id"] not in absent]
        self.rows: list[dict[str, Any]] = [
            row for row in single if not min_area or self._area(row) >= min_area
        ]
        if categories is not None:
            wanted = self._wanted(categories)
            self.rows = [row for row in self.rows if row["category_id"] in wanted]
        if per_category is not None:
            self.rows = draw_per_category(self.rows, per_category)
        self.left_out += counted(
            "crowds, which are no objects", [str(row["id"]) for row in rows if row.get("iscrowd")]
        )
        self.notes += counted(f"entries of {annotations} that cannot be used", self.problems)

    def _wanted(self, categories: Sequence[str] | str) -> set[int]:
        """Ids of categories; raises `InputError` for a name that the file does not know."""
        ids = {category["name"]: category["id"] for category in self.coco.cats.values()}
        if categories in ("seen", "unseen"):
            return {id for name, id in ids.items() if (name in PASCAL) == (categories == "seen")}
        names = [categories] if isinstance(categories, str) else categories
        for name in names:
            if name not in ids:
                raise InputError(
                    f"categories has {name!r}; use seen, unseen or names of the file: "
                    f"{', '.join(sorted(ids))}"
                )
        return {ids[name] for name in names}

    def __len__(self) -> int:
        return len(self.rows)

    def size(self, index: int) -> tuple[int, int]:
        image = self.coco.imgs[self.rows[index]["image_id"]]
        return image["height"], image["width"]

    def name(self, index: int) -> str:
        row = self.rows[index]
        label = row.get("name") or self.coco.cats.get(row["category_id"], {}).get("name", "object")
        return f"{self.coco.imgs[row['image_id']]['file_name']}: {label} ({row['id']})"

    def image(self, index: int) -> str:
        return str(self.coco.imgs[self.rows[index]["image_id"]]["file_name"])

    def facts(self) -> dict[str, str]:
        names = Counter(
            self.coco.cats.get(row["category_id"], {}).get("name", "none") for row in self.rows
        )
        listed = ", ".join(f"{name} {count}" for name, count in names.most_common(8))
        photos = sorted({self.image(index) for index in range(len(self))})
        headers = [
            (name, image_header(self.images / name))
            for name in photos
            if (self.images / name).is_file()
        ]
        decided = "; ".join(note_photos(headers, upright=True))
        return {"categories": f"{len(names)}: {listed}{', ...' * (len(names) > 8)}"} | (
            {"photos": decided} if decided else {}
        )

    def read(self, index: int) -> Sample:
        row = self.rows[index]
        path = self.images / self.coco.imgs[row["image_id"]]["file_name"]
        image = decode_image(path, self.size(index))
        if image.shape[:2] != self.size(index):
            height, width = self.size(index)
            raise InputError(
                f"{path} is {image.shape[0]} x {image.shape[1]}, "
                f"the annotations say {height} x {width}; use the images they were drawn on"
            )
        mask = self._decode(row)
        if not mask.any():
            raise InputError(
                f"{self.name(index)}: the outline covers no pixel; remove the annotation"
            )
        number, objects = self._objects(row)
        return Sample(
            image, mask.astype(np.uint8), np.where(mask | (objects == number), np.uint8(0), objects)
        )

    def _objects(self, row: dict[str, Any]) -> tuple[int, NDArray[np.uint8]]:
        """Draw a row's number in its image (255 at most), and all objects of the image by number, smaller ones over larger ones."""
        rows = sorted(self.coco.imgToAnns[row["image_id"]], key=lambda other: -self._area(other))[
            :255
        ]
        number = next((n for n, other in enumerate(rows, 1) if other["id"] == row["id"]), 0)
        if row["image_id"] not in self.maps:
            if len(self.maps) >= CACHED_IMAGES:
                self.maps.pop(next(iter(self.maps)))
            objects = np.zeros(self._decode(row).shape, np.uint8)
            for n, other in enumerate(rows, 1):
                objects[self._decode(other)] = n
            self.maps[row["image_id"]] = objects
        return number, self.maps[row["image_id"]]

    def _area(self, row: dict[str, Any]) -> float:
        """Give an object's pixels, counted where nobody has measured them."""
        return float(row["area"]) if "area" in row else float(self._decode(row).sum())

    def _decode(self, row: dict[str, Any]) -> NDArray[np.bool_]:
        if row["id"] not in self.runs:
            self.runs[row["id"]] = self.coco.annToRLE(row)
        return coco_mask.decode(self.runs[row["id"]]).astype(bool)


def draw_per_category(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """`count` objects of each category, each from another image, drawn by a generator of the category's id; in their old order."""
    categories: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        categories.setdefault(row["category_id"], []).append(row)
    chosen = set()
    for id, members in categories.items():
        images: set[int] = set()
        for i in np.random.default_rng(abs(id)).permutation(len(members)):
            if len(images) < count and members[i]["image_id"] not in images:
                images.add(members[i]["image_id"])
                chosen.add(members[i]["id"])
    return [row for row in rows if row["id"] in chosen]


def index_coco(content: dict[str, Any]) -> COCO:
    """Index what `check_content` has kept."""
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # createIndex prints
        coco.createIndex()
    return coco


class CocoDataModule(ClickDataModule):
    """A COCO data set, or LVIS: one annotation file a split.

    Args:
        root: the data set's folder; the other paths are relative to it.
        images: folder of the images; "{split}" in it is replaced.
        annotations: annotation file; "{split}" in it is replaced.
        splits: names of the files' splits for train, val and test, where they differ.
        min_area: leave out objects with fewer pixels.
        categories: see `CocoSource`.
        per_category: see `CocoSource`.
        split: shares of the images for training and test, or for training, validation and test, of
            one file for all; see `FolderDataModule`.
        loading: see `Loading`.
    """

    def __init__(
        self,
        root: str,
        images: str = "images",
        annotations: str = "annotations/{split}.json",
        splits: dict[str, str] | None = None,
        min_area: int = 0,
        categories: Sequence[str] | str | None = None,
        per_category: int | None = None,
        split: Sequence[float] | None = None,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.images, self.annotations = Path(root), images, annotations
        self.splits, self.min_area = splits or {}, min_area
        self.categories = categories
        self.per_category = per_category
        self.shares = check_shares(split)
        self._opened: dict[Path, CocoSource] = {}

    def source(self, split: str) -> ObjectSource:
        root = require_folder(self.root, "a COCO data set", "download it or point to yours")
        name = self.splits.get(split, split)
        annotations, images = (
            root / path.format(split=name) for path in (self.annotations, self.images)
        )
        require_folder(
            images,
            "the images of a COCO data set",
            "give their folder by data.images=, relative to data.root",
        )
        shared = (
            len(
                {
                    self.annotations.format(split=self.splits.get(part, part))
                    for part in ("train", "test")
                }
            )
            == 1
        )
        if self.shares is not None and not shared:
            raise InputError(
                f"each split has a file of its own, {annotations}, "
                f"and data.split is {self.shares}; leave data.split out"
            )
        if annotations not in self._opened:
            self._opened[annotations] = CocoSource(
                annotations, images, self.min_area, self.categories, self.per_category
            )
        whole = self._opened[annotations]
        if self.shares is not None:
            return Subset(
                whole,
                part_of(
                    [row["image_id"] for row in whole.rows], self.shares, split, self.loading.seed
                ),
            )
        if shared:
            whole.notes = drop_repeats(
                [*whole.notes, note_same_objects(f"{annotations} is the file of all splits")]
            )
        return whole
