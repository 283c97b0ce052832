"""ISIC's skin lesions, the challenges of 2017 (Part 1) and 2018 (Task 1): lesion against healthy skin."""

from typing import Any, ClassVar

from datamodules.tasks import LabelledImage, TaskDataModule, pairs_by_stem, require_labelled_folder

LAYOUTS = {
    "2017": (
        ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    ),
    "2018": (("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),),
}
"""Folders of photos and of masks as the archives name them; those that are there are read."""


class IsicDataModule(TaskDataModule):
    """Lesions by their published layouts; masks `STEM_segmentation.png`, 255 = lesion.

    Where both challenges are there, an image that they share is that of 2017.
    """

    codes: ClassVar[dict[int, int]] = {0: 0, 255: 1}

    def __init__(self, root: str, classes: int = 2, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = require_labelled_folder(
            self.root, "ISIC", "download and unpack the archives of challenge.isic-archive.com"
        )
        parts = [
            part for layout in LAYOUTS.values() for part in layout if (root / part[0]).is_dir()
        ]
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
