"""How photos and the masks that were drawn on them lie to each other: EXIF orientations, one rule for a whole set."""

from collections.abc import Iterable

from interseg.images import Header, Size
from interseg.listing import counted


def check_fit(size: Size, mask: tuple[int, int]) -> str | None:
    """Tell why a mask of (height, width) does not fit a photo; None where it does."""
    if mask in (size.stored, size.upright):
        return None
    turned = f" (EXIF orientation {size.orientation})" if size.orientation != 1 else ""
    return (
        f"is {mask[0]} x {mask[1]}, its image {size.height} x {size.width}{turned}; "
        "a mask has its image's size"
    )


def decide_upright(fitted: Iterable[tuple[Size, tuple[int, int]]]) -> bool:
    """Decide for a set whether photos are turned whose masks fit both ways: unless masks of others were drawn on stored pixels.

    Args:
        fitted: size of each photo, and (height, width) of its mask.
    """
    return all(size.turns(mask) for size, mask in fitted)


def note_photos(photos: Iterable[tuple[str, Header]], upright: bool) -> list[str]:
    """Note what was decided about photos by their names and headers."""
    photos = list(photos)
    how = (
        "upright, as viewers show them"
        if upright
        else "as stored, since masks of others are drawn so"
    )
    both = [name for name, header in photos if header.size.ambiguous]
    deep = [name for name, header in photos if header.deep]
    return [
        *counted(f"photos whose EXIF orientation fits their masks both ways, read {how}", both),
        *counted(
            "photos of more than 8 bits, scaled by the bits that each declares or needs", deep
        ),
    ]
