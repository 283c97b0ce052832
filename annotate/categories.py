"""Names of the classes that objects have, kept beside the journals: ids in exports never change."""

from collections.abc import Iterable
from pathlib import Path

from interseg.files import write_whole


def file_of(out: Path) -> Path:
    """Name the file: a class a line, in the order of their ids 1, 2, ..."""
    return out / "classes.txt"


def known_categories(out: Path) -> list[str]:
    """Read the classes of a folder; none where nothing was named or exported yet."""
    file = file_of(out)
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(name for line in lines if (name := line.strip())))


def keep_categories(out: Path, names: Iterable[str]) -> list[str]:
    """Add classes behind those that a folder has; give all."""
    known = known_categories(out)
    every = list(dict.fromkeys([*known, *names]))
    if every != known:
        write_whole(file_of(out), "".join(f"{name}\n" for name in every))
    return every
