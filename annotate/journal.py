"""The journal: a file that events are appended to, each on the disk before it counts."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from interseg.errors import InputError

Event = dict[str, Any]
"""Something that happened, as JSON."""


NOT_ASKED_FOR = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""Errors of file systems that put no folder on the disk, and of folders that may not be read."""


class Journal:
    """Events of a photo, a JSON line each, in a file that only grows.

    Only the last line can be torn by a kill or a power cut, since the next is begun when the one
    before it is on the disk; a torn one was never acknowledged and is dropped.

    Args:
        path: Path of the file; it and its folder are made by the first event.

    Raises:
        InputError: a line before the last one is damaged, which no kill does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events, self.length, self.size = read_journal(path)

    def append(self, event: Event) -> None:
        """Add an event; when this returns it is on the disk.

        Where it cannot be written (`OSError`) the file is as before; one that is gone is written
        again as a whole. Raises `InputError` where somebody else has written into it.
        """
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            found = os.fstat(file).st_size
            if found == 0:
                self.length = 0
            elif found != self.size:
                raise InputError(
                    f"{self.path} was changed by something else; start the annotator again"
                )
            missing = [event] if self.length else [*self.events, event]
            lines = b"".join(map(write_event, missing))
            try:
                os.ftruncate(file, self.length)  # what a kill left of a line
                os.lseek(file, self.length, os.SEEK_SET)
                write_all(file, lines)
                os.fsync(file)
            except OSError:
                os.ftruncate(file, self.length)
                raise
            finally:
                self.size = os.fstat(file).st_size
        finally:
            os.close(file)
        if new:
            sync_folder(self.path.parent)
        self.length += len(lines)
        self.events.append(event)


def read_journal(path: Path) -> tuple[list[Event], int, int]:
    """Read whole events, the number of bytes that they take, and that of the file.

    There are none where there is no file.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0, 0
    lines = content.split(b"\n")
    events: list[Event] = []
    length = 0
    for number, line in enumerate(lines[:-1], 1):
        event = parse_event(line)
        if event is None:
            if any(parse_event(other) is not None for other in lines[number:]):
                raise InputError(
                    f"{path}, line {number} is damaged, lines after it are not; "
                    "mend or remove the line"
                )
            break
        events.append(event)
        length += len(line) + 1
    return events, length, len(content)


def parse_event(line: bytes) -> Event | None:
    """Read a line; None for what is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("do"), str) else None


def write_event(event: Event) -> bytes:
    """Write a line."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def write_all(file: int, content: bytes) -> None:
    """Write all of it, however many calls that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(folder: Path) -> None:
    """Put a folder's list of files on the disk, where that may be asked for."""
    try:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno not in NOT_ASKED_FOR:
            raise
