"""What the last export wrote: the files of a photo, and those that nothing stands for any more."""

import json
from pathlib import Path

from annotate.photos import Project
from interseg.listing import plain_name


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
    """Read the names of the photos with objects in the last export, of its COCO file."""
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
