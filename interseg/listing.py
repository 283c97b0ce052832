"""The files of a folder by name: what counts as an image, and what is left out."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from interseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
LABEL_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
SHOWN = 3
"""Files that a line names."""


class Listing(NamedTuple):
    """The images of a folder by their names without suffix, and what was left out, a line a kind."""

    files: dict[str, Path]
    left_out: list[str]


def list_images(
    folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES, nested: bool = False
) -> Listing:
    """List the images of a folder, sorted by name; raises `InputError` where two share a name.

    Hidden files (macOS' `._a.jpg`) are skipped. Names are in one Unicode normal form, and
    `a.jpg.png` is named like `a.jpg`.

    Args:
        folder: to look into.
        suffixes: that count, in any case.
        nested: look into folders below it too; their names are part of the images'.
    """
    files: dict[str, Path] = {}
    others, folders = [], []
    for path in sorted(folder.rglob("*") if nested else folder.iterdir()):
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts):
            continue
        if path.is_dir():
            folders.append(inner.as_posix())
            continue
        if path.suffix.lower() not in suffixes:
            others.append(inner.as_posix())
            continue
        name = plain_name(inner)
        if name in files:
            raise InputError(
                f"{files[name].name} and {path.name} in {folder} share a stem; masks are matched by stem, keep one"
            )
        files[name] = path
    left_out = counted(f"files in {folder.name}/ that are no images by their suffix", others)
    if not nested:
        left_out += counted(f"folders in {folder.name}/, which data.nested=true reads", folders)
    return Listing(files, left_out)


def plain_name(path: Path) -> str:
    """Give a file's name without its suffix, nor an image's before that, in Unicode's composed form."""
    stem = path.with_suffix("")
    if stem.suffix.lower() in IMAGE_SUFFIXES:
        stem = stem.with_suffix("")
    return unicodedata.normalize("NFC", stem.as_posix())


def image_files(folder: Path) -> dict[str, Path]:
    """List the images of a folder by stem, sorted; raises `InputError` where two share a stem."""
    return list_images(folder).files


def counted(what: str, names: Iterable[str]) -> list[str]:
    """Make a line of names of a kind and their number; none where there are none."""
    names = list(names)
    return (
        [f"{what}: {len(names)} ({', '.join(names[:SHOWN])}{', ...' * (len(names) > SHOWN)})"]
        if names
        else []
    )


def inside(folder: Path, name: str, source: Path | str) -> Path:
    """Join a folder and a name that a file gives.

    Args:
        folder: that holds all files of a data set.
        name: of one, relative to it.
        source: file that gives the name, for messages.

    Raises:
        InputError: the name is absolute or leads out of the folder.
    """
    if leads_out(name):
        raise InputError(
            f"{source} names {name!r}, which leads out of {folder}; give names below it"
        )
    return folder / name


def leads_out(name: str) -> bool:
    """Tell whether a name, in the notation of any system, is absolute or goes up."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or parts[0].endswith(":") or "\0" in name
