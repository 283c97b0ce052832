"""KITTI cars (Geiger et al.; ITIS, section 4.7): street scenes in KITTI's own instance layout."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading
from datamodules.instances import InstanceMapSource
from datamodules.sources import require_folder
from datamodules.splits import note_whole_set
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.labels import read_labels
from interseg.listing import image_files

CAR = 26
"""Cityscapes' class id of cars, which KITTI's instance maps use: a pixel's value is 256 * class +
instance."""
HOW = (
    "unpack data_semantics.zip (cvlibs.net/datasets/kitti, semantic instance segmentation) there, "
    "so that training/image_2 and training/"
    "instance lie in it"
)


class KittiDataModule(ClickDataModule):
    """Data module of the cars of KITTI's instance segmentation benchmark.

    It is made for evaluation: every split is the whole set. The paper segments 741 cars outlined by
    Chen et al. (2014), whose files are not published with the benchmark; `data/folder.yaml` reads
    them if you have them as id maps.

    Args:
        root: Folder with `training/image_2` and `training/instance`.
        loading: See `Loading`.
    """

    def __init__(self, root: str = "data/kitti", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root = Path(root)

    def source(self, split: str) -> InstanceMapSource:
        root = require_folder(self.root, "KITTI's instance segmentation set", HOW)
        training, part = root / "training", "a part of KITTI"
        photos = image_files(require_folder(training / "image_2", part, HOW))
        maps = image_files(require_folder(training / "instance", part, HOW))
        missing = sorted(photos.keys() ^ maps.keys())
        if missing:
            raise InputError(
                f"{missing[0]} is in one of training/image_2 and training/instance of {root} only; "
                f"{HOW}"
            )
        pairs = [(photos[stem], maps[stem]) for stem in sorted(photos)]
        source = InstanceMapSource(pairs, read_cars)
        source.notes += note_whole_set(split, root)
        return source


def read_cars(path: Path) -> NDArray[np.int32]:
    """Read the cars (H, W) of an instance map as 1, 2, ... in the order of their numbers.

    Other pixels are 0, pixels of class 26 without an instance are void.
    """
    values = read_labels(path)
    is_car = values // 256 == CAR
    numbers = np.where(is_car, values % 256, 0)
    present = np.unique(numbers[numbers > 0])
    cars = np.where(numbers > 0, np.searchsorted(present, numbers) + 1, 0)
    cars[is_car & (numbers == 0)] = IGNORE
    return cars.astype(np.int32)
