"""Folders of the annotator: photos that it may open, and its own folder for output."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from annotate.journal import sync_folder
from interseg.errors import InputError
from interseg.listing import list_photos


def photos_in(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """List the photos of a folder as `list_photos` does, by the keys that requests use."""
    photos, notes = list_photos(folder)
    return {key_of(name): path for name, path in photos.items()}, notes


def key_of(name: str) -> str:
    """Return the name that requests use for a photo: no file's name is part of an address."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def name_place(*paths: Path) -> str:
    """Return the name by which a page knows the folders that it is of."""
    places = "\n".join(str(path.resolve()) for path in paths)
    return key_of(places)


@contextmanager
def claim_folder(out: Path) -> Iterator[None]:
    """Claim a folder while something is written into it; raises as `lock_folder`.

    Where that fails nothing is left of a new folder.
    """
    file = lock_folder(out)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it holds something
            if [path.name for path in out.rglob("*")] == ["journal", ".lock"]:
                shutil.rmtree(out)
        raise
    finally:
        os.close(file)


def lock_folder(out: Path) -> int:
    """Claim a folder for this process, which loses it when it ends, however it ends.

    Returns the open file that holds the claim. Raises `InputError` where another process has it, or
    where the file system lets nobody claim.
    """
    import fcntl  # of POSIX systems alone

    (out / "journal").mkdir(parents=True, exist_ok=True)
    for folder in (out, out.absolute().parent):
        sync_folder(folder)  # a new folder is in a list that is on the disk
    file = os.open(out / "journal" / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise InputError(
            f"another annotator works in {out}; open its page, or give another --out"
        ) from None
    except OSError as error:
        os.close(file)
        raise InputError(
            f"{out} cannot be claimed for one annotator ({error.strerror}); "
            "give an --out on a file system that has locks"
        ) from None
    return file
