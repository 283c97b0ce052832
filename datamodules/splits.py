"""One set of objects for training and evaluation, parted by image so that no image is in both."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from interseg.errors import InputError

Image = TypeVar("Image", bound=Hashable)


def check_shares(split: Any) -> list[float] | None:
    """Check the shares of `data.split`; raises `InputError` for what are no two or three that sum to 1."""
    if split is None:
        return None
    shares = list(split) if isinstance(split, Sequence) and not isinstance(split, str) else []
    numbers = all(
        isinstance(share, int | float) and not isinstance(share, bool) and share > 0
        for share in shares
    )
    if len(shares) not in (2, 3) or not numbers or not np.isclose(sum(shares), 1):
        raise InputError(
            f"split is {split!r}; give two or three shares that sum to 1, e.g. data.split=[0.8,0.2]"
        )
    return shares


def part_of(images: Sequence[Image], shares: Sequence[float], split: str, seed: int) -> list[int]:
    """List the objects of a split: those of its images, drawn by the seed.

    Args:
        images: of each object.
        shares: of the images for training and test, or for training, validation and test.
        split: "train", "val" or "test"; of two shares both are the second.
        seed: of the draw.
    """
    known = sorted(set(images), key=str)
    order = np.random.default_rng(seed).permutation(len(known))
    ends = [0, *np.rint(np.cumsum(shares) * len(known)).astype(int).tolist()]
    number = {"train": 0, "val": 1, "test": len(shares) - 1}[split]
    chosen = {known[i] for i in order[ends[number] : ends[number + 1]]}
    return [index for index, image in enumerate(images) if image in chosen]


SAME_OBJECTS = "training and evaluation see the same objects"


def note_same_objects(where: str) -> str:
    """Say that a set is learned from and evaluated on."""
    return f"{SAME_OBJECTS}: {where}; data.split=[0.8,0.2] parts them by image"


def is_same_objects_note(note: str) -> bool:
    """Tell whether a note says that a set is learned from and evaluated on."""
    return note.startswith(SAME_OBJECTS)


def note_whole_set(split: str, root: Path) -> list[str]:
    """Note that a set made for evaluation, the same in every split, is learned from; nothing where it is evaluated on."""
    if split != "train":
        return []
    return [f"{SAME_OBJECTS}: {root} is a set for evaluation, all of it in every split"]
