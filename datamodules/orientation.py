"""EXIF orientations of photos whose masks were drawn on them: one rule for a whole set."""

from collections.abc import Iterable

from interseg.images import Header, Size
from interseg.listing import name_some


def check_fit(size: Size, mask: tuple[int, int]) -> str | None:
    """Describe why a mask of (height, width) does not fit a photo; None if it does."""
    if mask in (size.stored, size.upright):
        return None
    turned = f" (EXIF orientation {size.orientation})" if size.orientation != 1 else ""
    return (
        f"is {mask[0]} x {mask[1]}, its image {size.height} x {size.width}{turned}; "
        "a mask has its image's size"
    )


def decide_upright(fitted: Iterable[tuple[Size, tuple[int, int]]]) -> bool:
    """Decide whether a set's photos are turned if their masks fit both ways.

    They are, unless masks of other photos of the set were drawn on the stored pixels.

    Args:
        fitted: Size of each photo, and (height, width) of its mask.
    """
    return all(size.turns(mask) for size, mask in fitted)


def note_photos(photos: Iterable[tuple[str, Header]], upright: bool) -> list[str]:
    """Describe the decisions about photos.

    Args:
        photos: Name and header of each photo.
        upright: Whether photos whose masks fit both ways are turned.
    """
    photos = list(photos)
    how = "as stored, since masks of others are drawn so"
    if upright:
        how = "upright, as viewers show them"
    both = [name for name, header in photos if header.size.ambiguous]
    deep = [name for name, header in photos if header.deep]
    turned = name_some(
        f"photos whose EXIF orientation fits their masks both ways, read {how}", both
    )
    scaled = "photos of more than 8 bits, scaled by the bits that each declares or needs"
    return [*turned, *name_some(scaled, deep)]
