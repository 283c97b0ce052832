"""What the last export wrote: the files of a photo, and those that nothing stands for any more."""

import json
from collections.abc import Iterable
from pathlib import Path

from annotate.photos import Project
from interseg.errors import InputError
from interseg.files import write_whole
from interseg.listing import plain_name

TABLES = ("annotations.json", "annotations_polygons.json", "clicks.csv")
"""Files of all photos."""


def check_free(project: Project, names: Iterable[str], exported: set[str]) -> None:
    """Raise `InputError` where an export would replace a file of somebody else.

    Args:
        project: Project that is exported.
        names: Names of the photos that are written.
        exported: Names of those in the last export.
    """
    ours = {plain_name(Path(name)) for name in exported}
    files = [
        file
        for name in names
        if plain_name(Path(name)) not in ours
        for file in files_of(project, name)
    ]
    if not record_of(project.out).is_file() and not exported and holds_others(project):
        files += [project.out / name for name in TABLES]
    check_absent(files)


def check_absent(files: Iterable[Path]) -> None:
    """Raise `InputError` if one of these files, which no export of the folder wrote, exists."""
    for file in files:
        if file.exists():
            raise InputError(
                f"{file} exists, and no export of this folder wrote it; "
                "move it away, or give another --out"
            )


def holds_others(project: Project) -> bool:
    """Tell whether tables of the folder are somebody else's; one without annotations may be."""
    try:
        content = json.loads((project.out / TABLES[0]).read_text(encoding="utf-8"))
        return bool(content["annotations"])
    except (OSError, ValueError, KeyError, TypeError):  # an export writes this one first
        return True


def record_of(out: Path) -> Path:
    """Name the file of a folder in which the photos are whose files are written."""
    return out / "journal" / "exported.json"


def read_record(out: Path) -> set[str] | None:
    """Read the names of the photos whose files are written; None if there is no record."""
    try:
        return {str(name) for name in json.loads(record_of(out).read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError):
        return None


def write_record(out: Path, names: Iterable[str]) -> None:
    """Keep the names of the photos whose files are written."""
    write_whole(record_of(out), json.dumps(sorted(names)))


def keep_exported(project: Project, names: Iterable[str], exported: set[str]) -> None:
    """Keep which photos' files are ours: those that are written now, and those that are there."""
    there = {name for name in exported if any(file.exists() for file in files_of(project, name))}
    write_record(project.out, there.union(names))


def forget(project: Project, exported: set[str]) -> None:
    """Remove what was exported of photos whose objects have all been removed since.

    Files of photos that were not `exported` before are somebody else's, and stay.
    """
    for row in project.summary():
        if row["name"] in exported and not row["objects"] and "problem" not in row:
            remove_files(project, row["name"])


def remove_files(project: Project, name: str) -> None:
    """Remove the files of a photo."""
    for file in files_of(project, name):
        file.unlink(missing_ok=True)


def read_exported(project: Project) -> set[str]:
    """Read the names of the photos whose files are of an earlier export.

    An earlier version has them in its COCO file alone.
    """
    known = read_record(project.out)
    if known is not None:
        return known
    file = project.out / "annotations.json"
    if not file.is_file():
        return set()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        # clicks are what our own annotations have
        with_objects = {row["image_id"] for row in content["annotations"] if "clicks" in row}
        return {row["file_name"] for row in content["images"] if row["id"] in with_objects}
    except (ValueError, KeyError, TypeError):  # somebody else's
        return set()


def files_of(project: Project, name: str) -> tuple[Path, Path]:
    """Name a photo's files: its mask, and its outlines for LabelMe."""
    stem = plain_name(Path(name))  # which may have a dot: with_suffix would cut it
    return project.out / "masks" / f"{stem}.png", project.out / "labelme" / f"{stem}.json"
