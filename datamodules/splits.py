"""Splits of one set of objects by image, so that no image is in both training and evaluation."""

from collections.abc import Hashable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from interseg.errors import InputError

Image = TypeVar("Image", bound=Hashable)


def check_shares(split: Any) -> list[float] | None:
    """Check the shares of `data.split`; raises `InputError` unless two or three sum to 1."""
    if split is None:
        return None
    is_list = isinstance(split, Sequence) and not isinstance(split, str)
    shares = list(split) if is_list else []
    are_shares = len(shares) in (2, 3) and all(is_share(share) for share in shares)
    if not are_shares or not np.isclose(sum(shares), 1):
        raise InputError(
            f"split is {split!r}; give two or three shares that sum to 1, e.g. data.split=[0.8,0.2]"
        )
    return shares


def check_by(by: str) -> str:
    """Check what a split is drawn by; raises `InputError` unless it is "names" or "numbers"."""
    if by not in ("names", "numbers"):
        raise InputError(f"split_by is {by!r}; use names, or numbers as in runs of before")
    return by


def is_share(value: Any) -> bool:
    """Tell whether a value is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def part_of(
    images: Sequence[Image], shares: Sequence[float], split: str, seed: int, by: str = "names"
) -> list[int]:
    """List the objects of a split, which are those of its images, drawn by the seed.

    By names, an image's place in the draw depends on its name and the seed alone: of a set that
    grows, few images change sides. By numbers, it depends on all, as in runs of earlier versions.

    Args:
        images: Image of each object.
        shares: Shares of the images for training and test, or for training, validation and test.
        split: "train", "val" or "test"; with two shares the last two are the same.
        seed: Seed of the draw.
        by: "names" or "numbers".

    Raises:
        InputError: The split has no image.
    """
    if by == "numbers":
        known = sorted(set(images), key=str)
        order = [known[i] for i in np.random.default_rng(seed).permutation(len(known))]
    else:
        order = sorted(set(images), key=lambda image: sha256(f"{seed} {image}".encode()).digest())
    ends = [0, *np.rint(np.cumsum(shares) * len(order)).astype(int).tolist()]
    number = {"train": 0, "val": 1, "test": len(shares) - 1}[split]
    chosen = set(order[ends[number] : ends[number + 1]])
    if not chosen:
        raise InputError(
            f"data.split={list(shares)} of {len(order)} images leaves none for {split}; "
            "give other shares, or more images"
        )
    return [index for index, image in enumerate(images) if image in chosen]


SAME_OBJECTS = "training and evaluation see the same objects"


def note_same_objects(where: str) -> str:
    """Note that a set is both trained and evaluated on."""
    return f"{SAME_OBJECTS}: {where}; data.split=[0.8,0.2] parts them by image"


def is_same_objects_note(note: str) -> bool:
    """Tell whether a note is that of a set that is both trained and evaluated on."""
    return note.startswith(SAME_OBJECTS)


def note_whole_set(split: str, root: Path) -> list[str]:
    """Note that a set made for evaluation, with the same objects in every split, is trained on."""
    if split != "train":
        return []
    return [f"{SAME_OBJECTS}: {root} is a set for evaluation, all of it in every split"]
