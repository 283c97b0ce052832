"""The objects of a folder of images and a folder of masks, recognised file by file."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.mask_kinds import (
    EMPTY,
    HALF,
    KINDS,
    WHY,
    Found,
    count_large_parts,
    is_smeared,
    is_soft,
    kind_of,
    labels_of,
    name_of,
    object_ids,
    parts_of,
    settle,
    values_of,
)
from datamodules.orientation import check_fit, decide_upright, note_photos
from datamodules.pairing import pair_folders
from datamodules.sources import ObjectSource, Sample, sample_from_labels
from interseg.errors import InputError
from interseg.images import Header, image_header, read_image
from interseg.labels import colour_id, read_labels
from interseg.listing import name_some

COLOURS = {
    "auto": "drawn",
    "trimap": "shown",
    "soft": "shown",
    "colours": "ids",
    "binary": "any",
    "parts": "any",
}
"""Way in which `read_labels` reads the colours of a kind's masks; other kinds refuse colours."""
LOSSY = (".jpg", ".jpeg")
SEVERAL = 2
"""Number of large parts that one object may have: what stands before it cuts it in two."""


class Listed(NamedTuple):
    """Facts about an image and its mask that are known before the image is decoded."""

    header: Header
    shape: tuple[int, int]
    """(height, width) of the mask."""
    mask: Found


class FolderSource(ObjectSource):
    """Every object of every mask in a folder.

    A mask is `binary` (all pixels above 0 are the one object), `ids` (a number per object; 255,
    where it is the largest, is ignored), `trimap` (0, 128 = ignore, 255 = object),
    `soft` (above half is the object), `colours` (a colour per object) or `parts` (each connected
    part of the pixels above 0 is an object). `auto` decides file by file (`kind_of`), between all
    but the last two; a mask that does not fit the others is named and left out.

    Args:
        images: Folder of the images.
        masks: Folder of the masks, named like their images; `a_mask.png` and `a.jpg.png` are masks
            of `a.jpg` too.
        kind: Kind of the masks: "auto", "binary", "ids", "trimap", "soft", "colours" or
            "parts".
        background: Colour of the background as #rrggbb, for "colours".
        nested: Whether to look into folders below both.
        partly: Whether photos without a mask, and masks without an object, are left out; in a set
            that has one for every photo they are problems.
    """

    def __init__(
        self,
        images: Path,
        masks: Path,
        kind: str = "auto",
        background: str = "#000000",
        nested: bool = False,
        partly: bool = False,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"masks are {kind!r}; use one of {', '.join(KINDS)}")
        self.kind, self.background = kind, parse_colour(background)
        self.pairs, without, self.left_out = pair_folders(images, masks, nested)
        if partly:
            unlabelled = f"photos in {images.name}/ without a mask in {masks.name}/"
            self.left_out += name_some(unlabelled, [path.name for path in without])
        else:
            self.problems += [f"{path} has no mask in {masks}" for path in without]
        listed = {}
        for stem in self.pairs:
            found = self._look_at(stem)
            if found is not None:
                listed[stem] = found
        self.kinds = self._settle({stem: pair.mask for stem, pair in listed.items()})
        """Kind of each mask."""
        kept = {stem: pair for stem, pair in listed.items() if stem in self.kinds}
        self._check_background([pair.mask.values for pair in kept.values()])
        self.entries: list[tuple[str, int, tuple[int, int]]] = []
        """Name, id and (height, width) of each object."""
        empty = [stem for stem, pair in kept.items() if partly and self._is_empty(pair.mask)]
        names = [self.pairs[stem][1].name for stem in empty]
        self.left_out += name_some(f"masks in {masks.name}/ without an object", names)
        kept = {stem: pair for stem, pair in kept.items() if stem not in empty}
        for stem, pair in kept.items():
            ids = self._find_objects(stem, pair.mask.values)
            self.entries += [(stem, id, pair.shape) for id in ids]
        self.upright = decide_upright((pair.header.size, pair.shape) for pair in kept.values())
        """Whether photos are turned by an EXIF orientation that fits their masks both ways."""
        if kind == "auto":
            soft = [stem for stem, found in self.kinds.items() if found == "soft"]
            self.notes += name_some(
                "masks with soft edges, cut at half (data.kind=ids reads their values as ids)",
                [self.pairs[stem][1].name for stem in soft],
            )
            several = [stem for stem, pair in kept.items() if pair.mask.parts > SEVERAL]
            self.notes += name_some(
                "binary masks of several parts, each mask taken as one object (data.kind=parts: an "
                "object a part)",
                [self.pairs[stem][1].name for stem in several],
            )
        headers = [(self.pairs[stem][0].name, pair.header) for stem, pair in kept.items()]
        self.notes += note_photos(headers, self.upright)

    def _look_at(self, stem: str) -> Listed | None:
        """Look at a pair; None for an unreadable one, which is noted as a problem."""
        image, mask = self.pairs[stem]
        try:
            header = image_header(image)
            labels = self._read_mask(mask)
        except InputError as error:
            self.problems.append(str(error))
            return None
        shape = (int(labels.shape[0]), int(labels.shape[1]))
        values = values_of(labels)
        lossy = mask.suffix.lower() in LOSSY
        reason = check_fit(header.size, shape)
        if reason is None and self.kind == "colours" and is_smeared(labels, lossy):
            reason = (
                f"has {len(values)} colours, most without areas of their own; "
                "save it as PNG without anti-aliasing"
            )
        if reason is not None:
            self.problems.append(f"{mask} {reason}")
            return None
        kind = kind_of(labels, lossy) if self.kind == "auto" else self.kind
        parts = count_large_parts(labels) if (self.kind, kind) == ("auto", "binary") else 1
        return Listed(header, shape, Found(values, kind, parts))

    def _settle(self, found: dict[str, Found]) -> dict[str, str]:
        """Settle each mask's kind, and note the masks that do not fit the others."""
        if self.kind != "auto":
            return dict.fromkeys(found, self.kind)
        kinds, odd = settle(found)
        self.problems += [f"{self.pairs[stem][1]} {reason}" for stem, reason in odd.items()]
        return {stem: "binary" if kind == EMPTY else kind for stem, kind in kinds.items()}

    def _check_background(self, values: list[frozenset[int]]) -> None:
        """Raise `InputError` if no mask in colours has the colour of the background."""
        if self.kind != "colours" or not values:
            return
        if any(self.background in found for found in values):
            return
        common = sorted(frozenset.intersection(*values))
        names = ", ".join(f"#{id:06x}" for id in common[:3])
        known = f"all have {names}" if common else "they share no colour"
        raise InputError(
            f"no mask has the background #{self.background:06x}, {known}; "
            "give data.background='#rrggbb'"
        )

    def _is_empty(self, mask: Found) -> bool:
        """Tell whether a mask has one value, that of the background."""
        return mask.values <= {self.background if self.kind == "colours" else 0}

    def _find_objects(self, stem: str, values: frozenset[int]) -> list[int]:
        ids = object_ids(values, self.kinds[stem], self.background)
        if not ids:
            _, mask = self.pairs[stem]
            first = sorted(values)[:8]
            self.problems.append(
                f"{mask} has no object (values {first}); draw one or remove the mask"
            )
        return ids

    def _read_mask(self, path: Path) -> NDArray[np.int32]:
        labels = read_labels(path, COLOURS.get(self.kind, "refuse"))
        if self.kind != "parts":
            return labels
        soft = path.suffix.lower() in LOSSY or is_soft(labels, lossy=False)
        return parts_of(labels, HALF if soft else 0)

    def __len__(self) -> int:
        return len(self.entries)

    def size(self, index: int) -> tuple[int, int]:
        return self.entries[index][2]

    def name(self, index: int) -> str:
        stem, id, _ = self.entries[index]
        return f"{self.image(index)}: {name_of(id, self.kinds[stem])}"

    def image(self, index: int) -> str:
        stem = self.entries[index][0]
        return Path(stem).with_name(self.pairs[stem][0].name).as_posix()

    def facts(self) -> dict[str, str]:
        if self.kind != "auto":
            return {"masks": f"{self.kind}, as data.kind says"}
        kinds = {stem: self.kinds[stem] for stem, *_ in self.entries}
        counts = Counter(kinds.values()).most_common()
        return {"masks": "; ".join(f"{kind} ({count}): {WHY[kind]}" for kind, count in counts)}

    def read(self, index: int) -> Sample:
        stem, id, shape = self.entries[index]
        image, mask = self.pairs[stem]
        labels, ignore = labels_of(self._read_mask(mask), self.kinds[stem], self.background)
        photo = read_image(image, shape, self.upright)
        return sample_from_labels(photo, labels, id, ignore, mask)


def parse_colour(text: str) -> int:
    """Read #rrggbb as a colour's id; raises `InputError` for anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", str(text)):
        raise InputError(f"background is {text!r}; write a colour as #rrggbb")
    red, green, blue = text[1:3], text[3:5], text[5:7]
    return int(colour_id(np.array([int(part, 16) for part in (red, green, blue)])))
