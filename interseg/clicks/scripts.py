"""Scripted clicks: which objects of which photos are clicked where, from a CSV or JSON file."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from interseg.clicks.layout import KINDS, REGION, Click
from interseg.errors import InputError

COLUMNS = ("image", "object", "y", "x", "label", "kind", "category")
"""Of a CSV file, a row a click; `object`, `label`, `kind` and `category` may be left out."""


class ScriptedObject(NamedTuple):
    """An object's clicks, in order."""

    image: str
    """Name of the photo's file."""
    object: str
    """What the object is called among those of its photo."""
    clicks: list[Click]
    category: str = "object"


class Script(NamedTuple):
    """The objects of a file in the order of their first clicks, and what is wrong with it, a line each."""

    objects: list[ScriptedObject]
    problems: list[str]


def read_script(path: Path) -> Script:
    """Read a file of clicks; an object with a bad row is left out, and the row named.

    A CSV file has a row a click: `image,object,y,x,label,kind,category`. A JSON file has a list of
    objects: `{"image": "a.jpg", "object": 1, "clicks": [[y, x, label], ...], "category": "cat"}`,
    where a click may also be `{"y": 3, "x": 4, "label": 1, "kind": "boundary"}`.

    Raises:
        InputError: no such file, another format, none of the columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as clicks ({error}); give a CSV or JSON file"
        ) from None
    if path.suffix.lower() == ".json":
        return gather(json_rows(path, text))
    if path.suffix.lower() == ".csv":
        return gather(csv_rows(path, text))
    raise InputError(
        f"{path} is no file of clicks; give a .csv with {','.join(COLUMNS[:5])} or a .json"
    )


class Row(NamedTuple):
    """Some clicks of an object, as they stand in a file."""

    where: str
    values: dict[str, Any]
    """`image`, `object`, `category`."""
    clicks: list[Any]


def csv_rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the rows of a CSV file; raises `InputError` for one without the columns."""
    table = csv.DictReader(io.StringIO(text))
    missing = {"image", "y", "x"} - set(table.fieldnames or [])
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(sorted(missing))}; a row is {','.join(COLUMNS)}"
        )
    for row in table:
        given = {
            key: value for key, value in row.items() if key is not None and value not in (None, "")
        }
        yield Row(f"{path}, line {table.line_num}", given, [given])


def json_rows(path: Path, text: str) -> Iterator[Row]:
    """Yield the objects of a JSON file; raises `InputError` for what is no list of them."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON file ({error})") from None
    if not isinstance(content, list):
        raise InputError(
            f"{path} holds {type(content).__name__}; a file of clicks is a list of objects"
        )
    for number, item in enumerate(content, 1):
        values = item if isinstance(item, dict) else {}
        clicks = values.get("clicks")
        yield Row(
            f"{path}, object {number}", values, clicks if isinstance(clicks, list) else [None]
        )


def gather(rows: Iterator[Row]) -> Script:
    """Put the clicks of each object together."""
    objects: dict[tuple[str, str], ScriptedObject] = {}
    problems: list[str] = []
    spoiled: set[tuple[str, str]] = set()
    for row in rows:
        key = (str(row.values.get("image", "")), str(row.values.get("object", "1")))
        found = objects.setdefault(
            key, ScriptedObject(*key, [], str(row.values.get("category", "object")))
        )
        try:
            if not key[0]:
                raise ValueError("it names no image")
            found.clicks.extend(as_click(given) for given in row.clicks)
        except (ValueError, TypeError, KeyError) as error:
            problems.append(f"{row.where}: {error}; its object is left out")
            spoiled.add(key)
    empty = [key for key, found in objects.items() if not found.clicks and key not in spoiled]
    problems += [f"{image}, object {name}: it has no clicks" for image, name in empty]
    return Script(
        [found for key, found in objects.items() if key not in spoiled and found.clicks], problems
    )


def as_click(given: Any) -> Click:
    """Read a click from `[y, x, label]` or a mapping of `y`, `x`, `label`, `kind`; raises `ValueError` for anything else."""
    if isinstance(given, list) and len(given) in (2, 3):
        given = dict(zip(("y", "x", "label"), given, strict=False))
    if not isinstance(given, dict) or not {"y", "x"} <= given.keys():
        raise ValueError(f"{given!r} is no click; give y, x and label")
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
    if not number.is_integer():
        raise ValueError(f"{key} is {value!r}; give a whole number")
    return int(number)
