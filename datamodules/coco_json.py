"""Checks of COCO JSON files as people have them: a bad entry is named, the others are kept."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from interseg.errors import InputError
from interseg.images import LARGEST_SIDE
from interseg.listing import IMAGE_SUFFIXES, leads_out
from interseg.masks import unpack_runs

PARTS = ("images", "annotations", "categories")
NO_CATEGORY = -1
BEYOND = 10
"""Number of image sides by which a polygon may reach out of its image; a polygon that reaches
farther is taken for one in other units."""
CERTAIN = 32
"""Area in square pixels from which on a polygon within its image surely covers a pixel's centre;
smaller polygons are drawn to find out."""
LARGEST_IMAGE = 2**31
"""Number of pixels that run lengths of 32 bits can count."""
LARGEST = 2**62
"""Largest number of a JSON file that C code takes as an id."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a COCO file.

    Raises:
        InputError: The file does not exist or is not a COCO file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the COCO annotation file") from None
    # JSONDecodeError and UnicodeDecodeError are ValueErrors
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file ({str(error)[:120]})") from None
    keys = content.keys() if isinstance(content, dict) else set()
    missing = set(PARTS) - keys
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(sorted(missing))}; "
            "a COCO file has images, annotations and categories"
        )
    for part in PARTS:
        if not isinstance(content[part], list):
            raise InputError(
                f"{path}: {part} is no list; a COCO file has lists of images, "
                "annotations and categories"
            )
    return content


def check_content(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Keep the good entries of a COCO file, and name the others.

    Crowds are kept, since readers leave them out themselves. A missing or null area is dropped: it
    is unknown. A missing or null category becomes `NO_CATEGORY`.

    Returns:
        The content with its good entries, and the problems, a line each.
    """
    problems: list[str] = []
    listed = [with_file_name(image) for image in content["images"]]
    images = {image["id"]: image for image in keep_good(listed, "image", check_image, problems)}
    categories = list(keep_good(content["categories"], "category", check_category, problems))

    def check(row: Any) -> str | None:
        return check_annotation(row, images)

    annotations = []
    for row in keep_good(content["annotations"], "annotation", check, problems):
        annotation = dict(row)
        if not is_number(row.get("area")):
            annotation.pop("area", None)
        if row.get("category_id") is None:
            annotation["category_id"] = NO_CATEGORY
        annotations.append(annotation)
    kept = {"images": list(images.values()), "annotations": annotations, "categories": categories}
    return kept, problems


def with_file_name(row: Any) -> Any:
    """Add the `file_name` to an image of LVIS, which has an address instead.

    The name is the end of the address, such as `train2017/000000391895.jpg`. LVIS 0.5 has names of
    COCO 2014 with addresses of 2017.
    """
    address = row.get("coco_url") if isinstance(row, dict) else None
    if not isinstance(address, str):
        return row
    folder_and_name = address.split("/")[-2:]
    name = row.get("file_name", "")
    is_file = folder_and_name[-1].lower().endswith(IMAGE_SUFFIXES)
    of_2014 = is_file and str(name).startswith("COCO_") and name != folder_and_name[-1]
    if "file_name" in row and not of_2014:
        return row
    return row | {"file_name": "/".join(folder_and_name)}


def keep_good(
    rows: list[Any], kind: str, check: Callable[[dict[str, Any]], str | None], problems: list[str]
) -> list[dict[str, Any]]:
    """Return the rows that pass a check and whose ids are new, and note the others.

    Args:
        rows: Entries of the file.
        kind: Name of an entry in messages.
        check: Function that describes what is wrong with a row; None for a good one.
        problems: List to which a line is added for each bad row.
    """
    kept = []
    seen: set[int] = set()
    for number, row in enumerate(rows, 1):
        reason = check(row) if isinstance(row, dict) else f"is {type(row).__name__}, no mapping"
        if reason is None and row["id"] in seen:
            reason = f"has the id {row['id']} of another {kind}"
        if reason is not None:
            problems.append(f"{kind} {name_of(row, number)} {reason}")
            continue
        seen.add(row["id"])
        kept.append(row)
    return kept


def name_of(row: Any, number: int) -> str:
    """Return an entry's id, or its place in the list if it has none."""
    id = row.get("id") if isinstance(row, dict) else None
    return str(id) if is_id(id) else f"number {number}"


def check_image(row: dict[str, Any]) -> str | None:
    """Describe what is wrong with an image; None for a good one."""
    if not is_id(row.get("id")):
        return f"has id {row.get('id')!r}; ids are whole numbers"
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        return f"has file_name {name!r}"
    if leads_out(name):
        return f"has file_name {name!r}, which leads out of the folder of images"
    for key in ("height", "width"):
        if not is_id(row.get(key)) or not 1 <= row[key] <= LARGEST_SIDE:
            return f"has {key} {row.get(key)!r}; give the pixels of the image file"
    if row["height"] * row["width"] > LARGEST_IMAGE:
        return (
            f"has {row['height']} x {row['width']} pixels; "
            f"run lengths count at most {LARGEST_IMAGE}"
        )
    return None


def check_category(row: dict[str, Any]) -> str | None:
    """Describe what is wrong with a category; None for a good one."""
    if not is_id(row.get("id")) or not isinstance(row.get("name"), str):
        return f"has id {row.get('id')!r} and name {row.get('name')!r}"
    return None


def check_annotation(row: dict[str, Any], images: dict[int, dict[str, Any]]) -> str | None:
    """Describe what is wrong with an annotation; None for a good one."""
    if not is_id(row.get("id")):
        return f"has id {row.get('id')!r}; ids are whole numbers"
    image = row.get("image_id")
    if not is_id(image) or image not in images:
        return f"is of image {image!r}, which is not among the good images"
    if row.get("category_id") is not None and not is_id(row["category_id"]):
        return f"has category_id {row['category_id']!r}"
    shape = row.get("segmentation")
    if not shape:
        return "has no segmentation"
    size = (images[image]["height"], images[image]["width"])
    if isinstance(shape, dict):
        return check_runs(shape, size)
    return check_polygons(shape, size)


def check_polygons(polygons: Any, size: tuple[int, int]) -> str | None:
    """Describe what is wrong with polygons in an image of (height, width); None for good ones."""
    if not isinstance(polygons, list):
        return f"has a segmentation of {type(polygons).__name__}; give polygons or run lengths"
    reach = BEYOND * max(size)
    for polygon in polygons:
        if not isinstance(polygon, list) or not all(is_number(value) for value in polygon):
            return (
                "has a polygon that is no list of numbers; "
                "a polygon is [x, y, x, y, ...], not a list of points"
            )
        if len(polygon) < 6 or len(polygon) % 2:
            return (
                f"has a polygon of {len(polygon)} numbers; "
                "it takes x and y of three points at least"
            )
        if max(polygon) > reach or min(polygon) < -reach:
            return (
                f"has a polygon from {min(polygon):g} to {max(polygon):g} in an image of {size[0]} "
                f"x {size[1]} pixels"
            )
    if any(is_certain(polygon, size) for polygon in polygons):
        return None
    runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    return None if coco_mask.area(runs) else "has polygons that cover no pixel"


def is_certain(polygon: list[float], size: tuple[int, int]) -> bool:
    """Tell by its area and box that a polygon covers a pixel of an image, without drawing it.

    Args:
        polygon: Coordinates x, y, x, y, ... in pixels.
        size: (height, width) of the image.

    Returns:
        True if the polygon surely covers a pixel; False if it must be drawn to find out.
    """
    x, y = polygon[::2], polygon[1::2]
    height, width = size
    if min(x) < 0 or min(y) < 0 or max(x) > width or max(y) > height:
        return False
    next_x, next_y = [*x[1:], x[0]], [*y[1:], y[0]]
    sides = zip(x, y, next_x, next_y, strict=True)
    twice = sum(x0 * y1 - y0 * x1 for x0, y0, x1, y1 in sides)
    return abs(twice) > 2 * CERTAIN


def check_runs(runs: dict[str, Any], size: tuple[int, int]) -> str | None:
    """Describe what is wrong with run lengths of an image (height, width); None for good ones."""
    if runs.get("size") != list(size):
        return f"has run lengths of size {runs.get('size')}, its image is {list(size)}"
    counts = runs.get("counts")
    try:
        lengths = unpack_runs(counts) if isinstance(counts, str) else counts
    except ValueError as error:
        return f"has run lengths that cannot be read ({error})"
    if not isinstance(lengths, list):
        return "has run lengths that are not a list"
    if not all(is_id(length) and length >= 0 for length in lengths):
        return "has run lengths that are not numbers of pixels"
    if sum(lengths) != size[0] * size[1]:
        return f"has run lengths of {sum(lengths)} pixels, its image has {size[0] * size[1]}"
    if not any(lengths[1::2]):
        return "has run lengths that cover no pixel"
    return None


def is_id(value: Any) -> bool:
    """Tell whether a value is a whole number that C takes."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number that C takes."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= LARGEST and math.isfinite(value)
