"""Scripted clicks: the clicks on each object of each photo, read from a CSV or JSON file."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from interseg.clicks.layout import KINDS, REGION, Click
from interseg.errors import InputError

LARGEST = 2**31
"""Largest number that a click may hold, beyond every photo's sides."""
COLUMNS = ("image", "object", "y", "x", "label", "kind", "category")
"""Columns of a CSV file, one row a click; `object`, `label`, `kind` and `category` are optional."""


class ScriptedObject(NamedTuple):
    """An object's clicks, in order."""

    image: str
    """Name of the photo's file."""
    object: str
    """Name of the object, unique in its photo."""
    clicks: list[Click]
    category: str = "object"


class Script(NamedTuple):
    """A file's objects in the order of their first clicks, and its problems, one line each."""

    objects: list[ScriptedObject]
    problems: list[str]


def read_script(path: Path, name_photo: Callable[[str], str] = str) -> Script:
    """Read a file of clicks.

    An object with a bad row is skipped, and a problem names the row. A CSV file has one row a
    click: `image,object,y,x,label,kind,category`. A JSON file has a list of objects: `{"image":
    "a.jpg", "object": 1, "clicks": [[y, x, label], ...], "category": "cat"}`, where a click may
    also be `{"y": 3, "x": 4, "label": 1, "kind": "boundary"}`.

    Args:
        path: The file.
        name_photo: Function that gives a photo's one name, whichever way a row names it.

    Raises:
        InputError: A missing file, another format or missing columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as clicks ({error}); give a CSV or JSON file"
        ) from None
    if path.suffix.lower() == ".json":
        return gather(json_rows(path, text), name_photo)
    if path.suffix.lower() == ".csv":
        return gather(csv_rows(path, text), name_photo)
    raise InputError(
        f"{path} is not a file of clicks; give a .csv with {','.join(COLUMNS[:5])} or a .json"
    )


class Row(NamedTuple):
    """Clicks of one object, before they are checked."""

    where: str
    """Place in the file, for messages."""
    values: dict[str, Any]
    """`image`, `object`, `category`."""
    clicks: list[Any]


def csv_rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the rows of a CSV file; raises `InputError` for missing columns."""
    table = csv.DictReader(io.StringIO(text))
    missing = {"image", "y", "x"} - set(table.fieldnames or [])
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(sorted(missing))}; a row is {','.join(COLUMNS)}"
        )
    for row in table:
        given = {k: v for k, v in row.items() if k is not None and v not in (None, "")}
        yield Row(f"{path}, line {table.line_num}", given, [given])


def json_rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the objects of a JSON file; raises `InputError` if it holds no list of them."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not a JSON file ({error})") from None
    if not isinstance(content, list):
        raise InputError(
            f"{path} holds {type(content).__name__}; a file of clicks is a list of objects"
        )
    for number, item in enumerate(content, 1):
        values = item if isinstance(item, dict) else {}
        clicks = values.get("clicks")
        if not isinstance(clicks, list):
            clicks = [None]
        given = {key: value for key, value in values.items() if value not in (None, "")}
        yield Row(f"{path}, object {number}", given, clicks)


def gather(rows: Iterator[Row], name_photo: Callable[[str], str]) -> Script:
    """Join the clicks of each object."""
    objects: dict[tuple[str, str], ScriptedObject] = {}
    problems: list[str] = []
    spoiled: set[tuple[str, str]] = set()
    for row in rows:
        image = str(row.values.get("image", ""))
        key = (name_photo(image) if image else "", str(row.values.get("object", "1")))
        category = str(row.values.get("category", "object"))
        found = objects.setdefault(key, ScriptedObject(*key, [], category))
        try:
            if not key[0]:
                raise ValueError("it names no image")
            found.clicks.extend(as_click(given) for given in row.clicks)
        except (ValueError, TypeError, KeyError) as error:
            problems.append(f"{row.where}: {error}; its object is left out")
            spoiled.add(key)
    sound = [found for key, found in objects.items() if key not in spoiled]
    problems += [f"{o.image}, object {o.object}: it has no clicks" for o in sound if not o.clicks]
    return Script([found for found in sound if found.clicks], problems)


def as_click(given: Any) -> Click:
    """Read a click from `[y, x, label]` or a mapping of `y`, `x`, `label` and `kind`.

    Raises:
        ValueError: Anything else.
    """
    if isinstance(given, list) and len(given) in (2, 3):
        given = dict(zip(("y", "x", "label"), given, strict=False))
    if not isinstance(given, dict) or not {"y", "x"} <= given.keys():
        raise ValueError(f"{given!r} is not a click; give y, x and label")
    kind = str(given.get("kind", KINDS[REGION]))
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; use {' or '.join(KINDS)}")
    y, x, label = (whole_number(key, given.get(key, 1)) for key in ("y", "x", "label"))
    return Click(y, x, label, KINDS.index(kind))


def whole_number(key: str, value: Any) -> int:
    """Read a whole number; raises `ValueError` naming the key."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not number.is_integer() or abs(number) > LARGEST:
        raise ValueError(f"{key} is {value!r}; give a whole number, in pixels")
    return int(number)
