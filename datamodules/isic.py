"""ISIC's skin lesions of the challenges of 2017 (Part 1) and 2018 (Task 1)."""

from typing import Any, ClassVar

from datamodules.labelled_images import LabelledImage, pairs_by_stem, require_labelled_folder
from datamodules.tasks import TaskDataModule

LAYOUTS = {
    "2017": (
        ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    ),
    "2018": (("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),),
}
"""Folders of photos and of masks as the archives name them; all that exist are read."""


class IsicDataModule(TaskDataModule):
    """Data module of ISIC's photos with two classes, healthy skin and lesion.

    Masks are `STEM_segmentation.png`, 255 = lesion. If both challenges are present, an image of
    both is taken from 2017.
    """

    codes: ClassVar[dict[int, int]] = {0: 0, 255: 1}

    def __init__(self, root: str, classes: int = 2, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = require_labelled_folder(
            self.root, "ISIC", "download and unpack the archives of challenge.isic-archive.com"
        )
        parts: list[tuple[str, str]] = []
        for layout in LAYOUTS.values():
            parts += [(images, masks) for images, masks in layout if (root / images).is_dir()]
        if not parts:
            require_labelled_folder(
                root / LAYOUTS["2018"][0][0],
                "ISIC",
                "unpack an archive of 2017 or 2018 there, keeping its folders' names",
            )
        first: dict[str, LabelledImage] = {}
        for images, masks in parts:
            for pair in pairs_by_stem(root / images, root / masks, "_segmentation", ".jpg"):
                first.setdefault(pair.image.stem, pair)
        return list(first.values())
