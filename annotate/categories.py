"""Classes of objects: their names, kept beside the journals so that ids in exports never change."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from annotate.events import CLASSES
from annotate.state import State
from interseg.errors import InputError
from interseg.files import write_whole


def file_of(out: Path) -> Path:
    """Name the file: a class a line, in the order of their ids 1, 2, ..."""
    return out / "classes.txt"


def known_categories(out: Path) -> list[str]:
    """Read the classes of a folder; none where nothing was named or exported yet.

    A folder of an earlier version has them in its last export alone, and so has one whose file a
    power cut has emptied.
    """
    return listed_categories(file_of(out)) or exported_categories(out / "annotations.json")


def listed_categories(file: Path) -> list[str]:
    """Read the classes of a file, each once; none where there is no file."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(name for line in lines if (name := line.strip())))


def exported_categories(file: Path) -> list[str]:
    """Read the classes of an export of ours, by id; none of another file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if any("clicks" not in row for row in content["annotations"]):
            return []
        rows = sorted(content["categories"], key=lambda row: row["id"])
        return [str(row["name"]) for row in rows] if content["annotations"] else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def keep_categories(out: Path, names: Iterable[str]) -> list[str]:
    """Add classes behind those that a folder has; give all."""
    known = known_categories(out)
    every = list(dict.fromkeys([*known, *names]))
    if every != listed_categories(file_of(out)):
        write_whole(file_of(out), "".join(f"{name}\n" for name in every))
    return every


def name_classes(given: Sequence[str] | None, outputs: int, known: Sequence[str] = ()) -> list[str]:
    """Name the classes of objects, or a network's labels above 0.

    Args:
        given: Names that a person gave; those of before by default, else "object".
        outputs: Number of logits a pixel.
        known: Names of before, of objects.

    Raises:
        InputError: More or fewer names than the network has labels, or one that is in use.
    """
    if outputs == 1:
        if CLASSES in (given or ()):
            raise InputError(
                f"--classes has the name {CLASSES!r}, which answers of networks of classes have; "
                "give another one"
            )
        return list(given or known or ["object"])
    if given is not None and len(given) != outputs - 1:
        raise InputError(
            f"--classes has {len(given)} names, the network knows {outputs - 1} classes "
            "beside background; name them all"
        )
    return list(given or (f"class {label}" for label in range(1, outputs)))


def check_network(name: str, state: State, outputs: int) -> None:
    """Check that a photo was annotated with a network of as many kinds of outputs.

    What is kept of a network of classes means nothing to one of objects, nor the other way round.

    Args:
        name: Name of the photo.
        state: State that its journal has.
        outputs: Number of logits a pixel of the network, 1 of objects.

    Raises:
        InputError: A network of the other kind answered it.
    """
    of_classes = state.accepted or any(thing.category == CLASSES for thing in state.things.values())
    if (of_classes or state.things) and bool(of_classes) != (outputs > 1):
        there, here = ("classes", "objects") if of_classes else ("objects", "classes")
        raise InputError(
            f"{name} was annotated with a network of {there}, and this is one of {here}; "
            "give such a one, or another --out"
        )
