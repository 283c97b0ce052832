"""Pairs of images and masks, by the names that people and tools give them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from interseg.errors import InputError
from interseg.listing import LABEL_SUFFIXES, list_images, name_some

SUFFIX = re.compile(r"[_-](mask|masks|label|labels|seg|segmentation|gt)$", re.IGNORECASE)
"""Endings that tools append to the name of an image's mask."""


class Pairs(NamedTuple):
    """The images and masks of two folders."""

    files: dict[str, tuple[Path, Path]]
    """Image and mask by the image's name, sorted."""
    without_mask: list[Path]
    left_out: list[str]
    """Files that belong to no pair, a line a kind."""


def pair_folders(images: Path, masks: Path, nested: bool = False) -> Pairs:
    """Pair the images and masks of two folders by name.

    A mask has its image's name; if there is none, `a_mask.png` belongs to `a.jpg`; if there is none
    either, case is ignored.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        nested: Whether to look into folders below both.

    Raises:
        InputError: An image has two masks, or there is no pair at all.
    """
    photos = list_images(images, nested=nested)
    labels = list_images(masks, LABEL_SUFFIXES, nested)
    owners = owners_of(list(photos.files), labels.files)
    if photos.files and not owners:
        raise InputError(
            f"no file of {masks} has the stem of an image in {images}; "
            "masks are named like their images"
        )
    files = {name: (photos.files[name], labels.files[owners[name]]) for name in sorted(owners)}
    taken = set(owners.values())
    others = [path.name for name, path in labels.files.items() if name not in taken]
    alone = name_some(f"masks in {masks.name}/ without an image", others)
    without = [path for name, path in photos.files.items() if name not in owners]
    left_out = []
    for folder, listing in ((images, photos), (masks, labels)):
        below = f"folders in {folder.name}/, which data.nested=true reads"
        left_out += [*listing.left_out, *name_some(below, listing.folders)]
    return Pairs(files, without, [*left_out, *alone])


def owners_of(photos: list[str], masks: Mapping[str, Path]) -> dict[str, str]:
    """Find the name of the mask of each image that has one.

    Args:
        photos: Names of the images.
        masks: Masks by name.

    Raises:
        InputError: Two masks fit an image equally well.
    """
    owners: dict[str, str] = {}
    rules: list[Callable[[str], str]] = [
        str,
        without_suffix,
        str.casefold,
        lambda name: without_suffix(name).casefold(),
    ]
    for number, rule in enumerate(rules):
        known: dict[str, list[str]] = {}
        for name in masks:
            known.setdefault(rule(name), []).append(name)
        taken = set(owners.values())
        for photo in photos:
            key = photo.casefold() if number >= 2 else photo
            found = [name for name in known.get(key, []) if name not in taken]
            if photo in owners or not found:
                continue
            if len(found) > 1:
                pair = " and ".join(masks[name].name for name in found[:2])
                raise InputError(
                    f"{pair} may both be the mask of {photo}; keep one in {masks[found[0]].parent}"
                )
            owners[photo] = found[0]
    return owners


def without_suffix(name: str) -> str:
    """Remove the ending that tools append to a mask's name."""
    return SUFFIX.sub("", name)
