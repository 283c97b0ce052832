"""Files that are seen whole or not at all, whoever looks and whatever is killed while they are written."""

import csv
import io
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Open a file beside the place of another, which is moved there at the end: whoever looks sees the old one or the new one."""
    part = path.with_name(
        f".{path.name}.{platform.node()}.{os.getpid()}"
    )  # jobs that share a folder write the same
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text so."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV table so: of each row what the columns name, empty where it has nothing."""
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, table.getvalue())
