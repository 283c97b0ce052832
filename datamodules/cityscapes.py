"""Cityscapes' street scenes by its eight categories."""

from pathlib import Path
from typing import Any, ClassVar

from datamodules.labelled_images import LabelledImage, require_labelled_folder
from datamodules.tasks import TaskDataModule
from interseg.errors import InputError

CATEGORIES = {
    "void": (*range(7), 65535),
    "flat": range(7, 11),
    "construction": range(11, 17),
    "object": range(17, 21),
    "nature": (21, 22),
    "sky": (23,),
    "human": (24, 25),
    "vehicle": range(26, 34),
}
"""Label ids of each category (cityscapesScripts, helpers/labels.py)."""


class CityscapesDataModule(TaskDataModule):
    """Data module of Cityscapes' photos, train and val together.

    The layout is `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and
    `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`.
    """

    codes: ClassVar[dict[int, int]] = {
        id: number for number, ids in enumerate(CATEGORIES.values()) for id in ids
    }

    def __init__(self, root: str, classes: int = 8, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = require_labelled_folder(
            self.root, "Cityscapes", "download leftImg8bit and gtFine of cityscapes-dataset.com"
        )
        photos = require_labelled_folder(
            root / "leftImg8bit", "Cityscapes", "unpack leftImg8bit_trainvaltest there"
        )
        found: list[Path] = []
        for split in ("train", "val"):
            found += photos.glob(f"{split}/*/[!.]*_leftImg8bit.png")
        pairs = []
        for photo in sorted(found):
            name = photo.name.replace("_leftImg8bit", "_gtFine_labelIds")
            mask = root / "gtFine" / photo.parent.relative_to(photos) / name
            if not mask.exists():
                raise InputError(f"{photo} has no {mask}; unpack gtFine_trainvaltest there")
            pairs.append(LabelledImage(photo, mask))
        return pairs
