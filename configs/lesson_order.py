"""`lesson.json` of a folder of lessons: what they are of, and the order of what is taught."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interseg.errors import InputError
from interseg.files import write_whole


def read_lesson(file: Path) -> dict[str, Any]:
    """Read what lessons are of; nothing where there is no file, `InputError` for a damaged one."""
    try:
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {key: known[key] for key in ("checkpoint", "overrides", "photos")} | known
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError):
        raise InputError(
            f"{file} is damaged; remove it if nothing was taught yet, else put a copy of it back, "
            "or give another --out"
        ) from None


def order_in(
    out: Path, checkpoint: str, overrides: list[str], files: Mapping[str, Path]
) -> list[str]:
    """Keep and give the names of photos in the order of teaching; new ones come last.

    Lessons in which nobody has taught anything yet may begin again otherwise, and a photo that was
    not met may go. Raises `InputError` where another one is gone, or `out` holds lessons of another
    checkpoint.
    """
    kept = out / "lesson.json"
    begun: dict[str, Any] = {"checkpoint": checkpoint, "overrides": overrides, "photos": []}
    known = read_lesson(kept) or begun
    if (known["checkpoint"], known["overrides"]) != (checkpoint, overrides):
        journals = list((out / "journal").glob("*.jsonl"))
        learned = (out / "checkpoints" / "last.ckpt").is_file()
        if learned or any(map(was_taught, journals)):
            raise InputError(
                f"{out} holds lessons of another checkpoint, or with other key=value; "
                "give another --out"
            )
        for file in (out / "checkpoints" / "start.ckpt", *journals):
            file.unlink(missing_ok=True)
        known = begun
    met = {name for name in known["photos"] if (out / "journal" / f"{name}.jsonl").is_file()}
    known["photos"] = [name for name in known["photos"] if name in files or name in met]
    gone = [name for name in known["photos"] if name not in files]
    if gone:
        raise InputError(
            f"{gone[0]} was there when the lessons in {out} began; put it back (a volume: name it "
            "by --volume too), or give another --out"
        )
    known["photos"] += sorted(name for name in files if name not in known["photos"])
    out.mkdir(parents=True, exist_ok=True)
    write_whole(kept, json.dumps(known, indent=1))
    names: list[str] = known["photos"]
    return names


def was_taught(journal: Path) -> bool:
    """Tell whether a photo's or volume's journal has more than that it was met."""
    for line in journal.read_bytes().splitlines():
        try:
            happened = json.loads(line)["do"]
        except (ValueError, KeyError, TypeError):  # torn by a kill
            continue
        if happened not in ("begin", "met"):
            return True
    return False
