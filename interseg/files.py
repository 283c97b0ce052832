"""Files that appear complete or not at all, even if a process is killed while it writes them."""

import csv
import hashlib
import io
import os
import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PART = ".part"
"""End of the names of temporary files, which a killed process leaves behind."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` at the end.

    Readers see the old file or the new one, never a part.
    """
    # jobs and threads may write the same file; the name stays short enough for any file system
    own = f"{path.name}.{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    digest = hashlib.blake2b(own.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    part = path.with_name(f".{path.name[:32]}.{digest}{PART}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears complete or not at all, after a power cut too."""
    with whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV table that appears complete or not at all.

    Of each row the values of `columns` are written; missing ones are empty.
    """
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, table.getvalue())
