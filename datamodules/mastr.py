"""MaSTr1325's views from a small boat: obstacles, water and sky; 4 = ignore."""

from typing import Any, ClassVar

from datamodules.labelled_images import LabelledImage, pairs_by_stem, require_labelled_folder
from datamodules.tasks import TaskDataModule


class MastrDataModule(TaskDataModule):
    """Data module of the archives' folders.

    They are `MaSTr1325_images_512x384/*.jpg` and `MaSTr1325_masks_512x384/*m.png`.
    """

    codes: ClassVar[dict[int, int]] = {0: 0, 1: 1, 2: 2}

    def __init__(self, root: str, classes: int = 3, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = require_labelled_folder(
            self.root,
            "MaSTr1325",
            "download images and masks of 512 x 384 from box.vicos.si/borja/mastr1325_dataset",
        )
        return pairs_by_stem(
            root / "MaSTr1325_images_512x384", root / "MaSTr1325_masks_512x384", "m"
        )
