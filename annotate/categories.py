"""Names of the classes that objects have, kept beside the journals: ids in exports never change."""

import json
from collections.abc import Iterable
from pathlib import Path

from interseg.files import write_whole


def file_of(out: Path) -> Path:
    """Name the file: a class a line, in the order of their ids 1, 2, ..."""
    return out / "classes.txt"


def known_categories(out: Path) -> list[str]:
    """Read the classes of a folder; none where nothing was named or exported yet.

    A folder of an earlier version has them in its last export alone.
    """
    file = file_of(out)
    if not file.is_file():
        return exported_categories(out / "annotations.json")
    lines = file.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(name for line in lines if (name := line.strip())))


def exported_categories(file: Path) -> list[str]:
    """Read the classes of an export of ours, by id; none of another file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if any("clicks" not in row for row in content["annotations"]):
            return []
        rows = sorted(content["categories"], key=lambda row: row["id"])
        return [str(row["name"]) for row in rows] if content["annotations"] else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def keep_categories(out: Path, names: Iterable[str]) -> list[str]:
    """Add classes behind those that a folder has; give all."""
    known = known_categories(out)
    every = list(dict.fromkeys([*known, *names]))
    if every != known:
        write_whole(file_of(out), "".join(f"{name}\n" for name in every))
    return every
