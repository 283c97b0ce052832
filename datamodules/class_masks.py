"""Checks of a person's own class masks before training."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.mask_kinds import values_of
from datamodules.orientation import check_fit, decide_upright, note_photos
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.images import image_header
from interseg.labels import read_labels


def check_classes(pairs: Sequence[tuple[Path, Path]], classes: int) -> tuple[bool, list[str]]:
    """Check every image's header and every mask.

    Args:
        pairs: Image and mask.
        classes: Number of classes.

    Returns:
        Whether photos are turned by an EXIF orientation that fits their masks both ways; and the
        decisions, a line each.

    Raises:
        InputError: A file is unreadable, a mask has another size than its image, a value is neither
            a class nor 255, or the set has one class alone.
    """
    seen: set[int] = set()
    fitted = []
    for image, mask in pairs:
        labels, header = read_labels(mask), image_header(image)
        shape = (int(labels.shape[0]), int(labels.shape[1]))
        values = values_of(labels)
        reason = check_fit(header.size, shape) or check_values(values, classes)
        if reason is not None:
            raise InputError(f"{mask} {reason}")
        fitted.append((image.name, header, shape))
        seen.update(values)
    seen -= {IGNORE}
    if pairs and len(seen) < 2:
        only = f"class {min(seen)}" if seen else "ignored pixels"
        how = (
            "an object drawn as 255 is ignored: draw it as 1"
            if classes == 2
            else "number the classes from 0"
        )
        raise InputError(f"the masks in {pairs[0][1].parent} hold {only} alone; {how}")
    upright = decide_upright((header.size, shape) for _, header, shape in fitted)
    return upright, note_photos([(name, header) for name, header, _ in fitted], upright)


def check_values(values: frozenset[int], classes: int) -> str | None:
    """Describe the first value of a mask that is not a class; None where all are classes."""
    strange = sorted(values - {*range(classes), IGNORE})
    if not strange:
        return None
    return (
        f"has the value {strange[0]}; classes are 0 to {classes - 1} (data.classes={classes}), "
        "255 is ignored"
    )
