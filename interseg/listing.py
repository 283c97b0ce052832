"""The files of a folder by name: images, and files that are left out."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from interseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
LABEL_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
SHOWN = 3
"""Number of files that a line names."""


class Listing(NamedTuple):
    """The images of a folder by name without suffix, and what was left out."""

    files: dict[str, Path]
    left_out: list[str]
    """Other files, a line a kind."""
    folders: list[str]
    """Folders below that were not read."""


def list_images(
    folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES, nested: bool = False
) -> Listing:
    """List the images of a folder, sorted by name.

    Hidden files (macOS' `._a.jpg`) are skipped, and names that are not UTF-8 are left out. Names
    are in one Unicode normal form, and `a.jpg.png` has the name of `a.jpg`.

    Args:
        folder: Folder to list.
        suffixes: Suffixes of images, in upper or lower case.
        nested: Whether to list the folders below too; their names are part of the images'.

    Raises:
        InputError: Two images with one name.
    """
    files: dict[str, Path] = {}
    others, folders, garbled = [], [], []
    for path in sorted(walk(folder) if nested else folder.iterdir()):
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts):
            continue
        if not is_unicode(inner.as_posix()):
            garbled.append(ascii(inner.as_posix()))
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
                f"{files[name].name} and {path.name} in {folder} share a stem; "
                "masks are matched by stem, keep one"
            )
        files[name] = path
    left_out = name_some(f"files in {folder.name}/ that are no images by their suffix", others)
    left_out += name_some(f"names in {folder.name}/ that are not UTF-8; rename them", garbled)
    return Listing(files, left_out, [] if nested else folders)


def walk(folder: Path) -> Iterator[Path]:
    """List all that lies in a folder and below, but what is hidden.

    Links to folders are followed (`Path.rglob` follows none), each folder once: one that lies here
    itself under its own name, and none that holds this one.
    """
    seen: set[Path] = set()
    starts, real = [folder], folder.resolve()
    while starts:
        for place, folders, files in os.walk(starts.pop(0), onerror=refuse_unreadable):
            here = Path(place)
            if here.resolve() in seen:
                folders.clear()
                continue
            seen.add(here.resolve())
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            linked = [here / name for name in folders if (here / name).is_symlink()]
            starts += [link for link in linked if not real.is_relative_to(link.resolve())]
            visible = [name for name in files if not name.startswith(".")]
            yield from (here / name for name in (*folders, *visible))


def refuse_unreadable(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed, but pass over one that may not be read."""
    if not isinstance(error, PermissionError):
        raise error


def list_photos(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """List the photos of a person's folder.

    Returns:
        Photos by their files' names, sorted, and a line on each kind of files that is left out,
        among them links that lead out of the folder.

    Raises:
        InputError: There is no folder, or no photo in it.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the photos' by --images")
    listing, root = list_images(folder), folder.resolve()
    notes = [*listing.left_out, *name_some(f"folders in {folder.name}/", listing.folders)]
    files = {}
    for path in listing.files.values():
        if path.resolve().is_relative_to(root):
            files[path.name] = path
        else:
            notes.append(f"{path} leads out of {folder}")
    if not files:
        raise InputError(f"{folder} holds no photos; give a folder of .jpg, .png, ... by --images")
    return files, notes


def is_unicode(name: str) -> bool:
    """Tell whether a file's name is UTF-8, as tables and pages are that write it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_name(path: Path) -> str:
    """Return a file's name without suffix, and without an image suffix before it, in NFC."""
    stem = path.with_suffix("")
    if stem.suffix.lower() in IMAGE_SUFFIXES:
        stem = stem.with_suffix("")
    return unicodedata.normalize("NFC", stem.as_posix())


def image_files(folder: Path) -> dict[str, Path]:
    """List the images of a folder by stem, sorted; raises `InputError` if two share a stem."""
    return list_images(folder).files


def name_some(what: str, names: Iterable[str]) -> list[str]:
    """Make a line with the number of names of a kind and the first of them; [] without names."""
    names = list(names)
    if not names:
        return []
    first = ", ".join(names[:SHOWN])
    rest = ", ..." if len(names) > SHOWN else ""
    return [f"{what}: {len(names)} ({first}{rest})"]


def inside(folder: Path, name: str, source: Path | str) -> Path:
    """Join a folder and a name from a file.

    Args:
        folder: Folder with all files of a data set.
        name: Name of a file, relative to the folder.
        source: File that holds the name, for messages.

    Raises:
        InputError: The name is absolute or leads out of the folder.
    """
    if leads_out(name):
        raise InputError(
            f"{source} names {name!r}, which leads out of {folder}; give names below it"
        )
    return folder / name


def leads_out(name: str) -> bool:
    """Test whether a name, in the notation of any system, is absolute or goes up."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or parts[0].endswith(":") or "\0" in name
