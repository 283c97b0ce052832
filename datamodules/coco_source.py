"""Objects of a COCO file: polygons (keyholes included) or run lengths, no crowds."""

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

from datamodules.coco_json import check_content, read_json
from datamodules.orientation import note_photos
from datamodules.sources import ObjectSource, Sample
from interseg.errors import InputError
from interseg.images import image_header, read_image
from interseg.listing import name_some

CACHED_IMAGES = 16
"""Number of decoded images and object maps that a worker keeps: all of a small set, little of a
large one."""


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
"""COCO's names of PASCAL VOC's 20 categories, which a network trained on VOC has seen."""


@lru_cache(CACHED_IMAGES)
def decode_image(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read the image of annotations of a (height, width), and cache it, read-only."""
    image = read_image(path, size)
    image.flags.writeable = False
    return image


class CocoSource(ObjectSource):
    """The objects of one COCO file, in the order of their annotation ids.

    Args:
        annotations: JSON file.
        images: Folder to which its `file_name`s are relative.
        min_area: Area in pixels below which objects are left out.
        categories: Names of the categories whose objects are taken, "seen" for PASCAL VOC's 20,
            "unseen" for all others; None for all.
        per_category: Number of objects of each category, drawn once, each from another image (fewer
            where there are no more); None for all.
        crowds: Whether to take annotations with `iscrowd` as objects too: COCO's are crowds, but
            CVAT marks every mask so that was painted with its brush.
    """

    goes_on = True

    def __init__(
        self,
        annotations: Path,
        images: Path,
        min_area: int = 0,
        categories: Sequence[str] | str | None = None,
        per_category: int | None = None,
        crowds: bool = False,
    ) -> None:
        super().__init__()
        self.images = images
        content, self.problems = check_content(read_json(annotations))
        self.coco = index_coco(content)
        self.runs: dict[int, Any] = {}
        self.maps: dict[int, NDArray[np.uint8]] = {}
        rows = sorted(self.coco.anns.values(), key=lambda row: row["id"])
        marked = [] if crowds else [row for row in rows if row.get("iscrowd")]
        what = "crowds (iscrowd), which are no objects unless data.crowds=true says so"
        self.left_out += name_some(what, [str(row["id"]) for row in marked])
        if rows and len(marked) == len(rows):
            self.problems.append(f"{annotations}: all {len(rows)} annotations are {what}")
        single = [row for row in rows if crowds or not row.get("iscrowd")]
        self.rows: list[dict[str, Any]] = self._leave_out_absent(single)
        if min_area:
            self.rows = [row for row in self.rows if self._area(row) >= min_area]
        if categories is not None:
            wanted = self._find_categories(categories)
            self.rows = [row for row in self.rows if row["category_id"] in wanted]
        if per_category is not None:
            self.rows = draw_per_category(self.rows, per_category)
        self.notes += name_some(f"entries of {annotations} that cannot be used", self.problems)

    def _leave_out_absent(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave out the annotations of images that do not exist, and note these images."""
        absent: dict[int, Path] = {}
        for id, image in self.coco.imgs.items():
            path = self.images / image["file_name"]
            if not path.is_file():
                absent[id] = path
        counts = Counter(row["image_id"] for row in rows if row["image_id"] in absent)
        for id, count in sorted(counts.items()):
            self.problems.append(f"{absent[id]} does not exist; image {id} has {count} annotations")
        return [row for row in rows if row["image_id"] not in absent]

    def _find_categories(self, categories: Sequence[str] | str) -> set[int]:
        """Find the ids of categories; raises `InputError` for a name that is not in the file."""
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
        label = row.get("name") or self._category(row, "object")
        return f"{self.image(index)}: {label} ({row['id']})"

    def image(self, index: int) -> str:
        row = self.rows[index]
        return str(self.coco.imgs[row["image_id"]]["file_name"])

    def _category(self, row: dict[str, Any], default: str) -> str:
        category = self.coco.cats.get(row["category_id"], {})
        return str(category.get("name", default))

    def facts(self) -> dict[str, str]:
        names = Counter(self._category(row, "none") for row in self.rows)
        most_common = [f"{name} {count}" for name, count in names.most_common(8)]
        more = ", ..." if len(names) > 8 else ""
        facts = {"categories": f"{len(names)}: {', '.join(most_common)}{more}"}
        headers = []
        for name in sorted({self.image(index) for index in range(len(self))}):
            path = self.images / name
            if path.is_file():
                headers.append((name, image_header(path)))
        decided = "; ".join(note_photos(headers, upright=True))
        return facts | {"photos": decided} if decided else facts

    def read(self, index: int) -> Sample:
        row = self.rows[index]
        height, width = self.size(index)
        path = self.images / self.image(index)
        image = decode_image(path, (height, width))
        if image.shape[:2] != (height, width):
            raise InputError(
                f"{path} is {image.shape[0]} x {image.shape[1]}, "
                f"the annotations say {height} x {width}; use the images they were drawn on"
            )
        mask = self._decode(row)
        if not mask.any():
            raise InputError(
                f"{self.name(index)}: the outline covers no pixel; remove the annotation"
            )
        number, objects = self._draw_objects(row)
        others = np.where(mask | (objects == number), np.uint8(0), objects)
        return Sample(image, mask.astype(np.uint8), others)

    def _draw_objects(self, row: dict[str, Any]) -> tuple[int, NDArray[np.uint8]]:
        """Draw all objects of a row's image by number, smaller ones over larger ones.

        Returns:
            The row's own number, 0 for one after the 255 largest; and the map (H, W) of numbers.
        """
        image = row["image_id"]
        rows = sorted(self.coco.imgToAnns[image], key=lambda other: -self._area(other))
        rows = rows[:255]
        ids = [other["id"] for other in rows]
        number = ids.index(row["id"]) + 1 if row["id"] in ids else 0
        if image not in self.maps:
            if len(self.maps) >= CACHED_IMAGES:
                oldest = next(iter(self.maps))
                self.maps.pop(oldest)
            objects = np.zeros(self._decode(row).shape, np.uint8)
            for other_number, other in enumerate(rows, 1):
                objects[self._decode(other)] = other_number
            self.maps[image] = objects
        return number, self.maps[image]

    def _area(self, row: dict[str, Any]) -> float:
        """Return an object's area in pixels, counted if the file does not give it."""
        return float(row["area"]) if "area" in row else float(self._decode(row).sum())

    def _decode(self, row: dict[str, Any]) -> NDArray[np.bool_]:
        id = row["id"]
        if id not in self.runs:
            self.runs[id] = self.coco.annToRLE(row)
        return coco_mask.decode(self.runs[id]).astype(bool)


def draw_per_category(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Draw `count` objects of each category, each from another image, and keep their order.

    Each category has a generator that is seeded by its id.
    """
    categories: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        categories.setdefault(row["category_id"], []).append(row)
    chosen = set()
    for id, members in categories.items():
        images: set[int] = set()
        for place in np.random.default_rng(abs(id)).permutation(len(members)):
            member = members[place]
            if len(images) < count and member["image_id"] not in images:
                images.add(member["image_id"])
                chosen.add(member["id"])
    return [row for row in rows if row["id"] in chosen]


def index_coco(content: dict[str, Any]) -> COCO:
    """Index the content that `check_content` has kept."""
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # createIndex prints
        coco.createIndex()
    return coco
