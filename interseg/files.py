"""Files that appear complete or not at all, even if a process is killed while it writes them."""

import csv
import io
import os
import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` at the end.

    Readers see the old file or the new one, never a part.
    """
    # jobs and threads may write the same file: the name has machine, process and thread
    own = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    part = path.with_name(f".{path.name}.{own}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears complete or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV table that appears complete or not at all.

    Of each row the values of `columns` are written; missing ones are empty.
    """
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, table.getvalue())
