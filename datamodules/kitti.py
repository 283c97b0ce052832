"""KITTI cars (Geiger et al.; ITIS, section 4.7): instances of street scenes in KITTI's own instance layout."""

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
"""Cityscapes' class id of cars, which KITTI's instance maps use: a pixel is 256 * class +
instance."""
HOW = (
    "unpack data_semantics.zip (cvlibs.net/datasets/kitti, semantic instance segmentation) there, "
    "so that training/image_2 and training/"
    "instance lie in it"
)


class KittiDataModule(ClickDataModule):
    """The cars of KITTI's instance segmentation benchmark, all of them in every split; made for evaluation.

    The paper segments 741 cars outlined by Chen et al. (2014), whose files are not published with
    the benchmark; where they are at hand as id maps, `data/folder.yaml` reads them.

    Args:
        root: holds `training/image_2` and `training/instance`.
        loading: see `Loading`.
    """

    def __init__(self, root: str = "data/kitti", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root = Path(root)

    def source(self, split: str) -> InstanceMapSource:
        root = require_folder(self.root, "KITTI's instance segmentation set", HOW)
        photos, maps = (
            image_files(require_folder(root / "training" / name, "a part of KITTI", HOW))
            for name in ("image_2", "instance")
        )
        missing = sorted(photos.keys() ^ maps.keys())
        if missing:
            raise InputError(
                f"{missing[0]} is in one of training/image_2 and training/instance of {root} only; "
                f"{HOW}"
            )
        source = InstanceMapSource(
            [(photos[stem], maps[stem]) for stem in sorted(photos)], read_cars
        )
        source.notes += note_whole_set(split, root)
        return source


def read_cars(path: Path) -> NDArray[np.int32]:
    """(H, W) cars as 1, 2, ... in the order of their instance numbers, 0 elsewhere; pixels of class 26 without an instance are void."""
    values = read_labels(path)
    numbers = np.where(values // 256 == CAR, values % 256, 0)
    present = np.unique(numbers[numbers > 0])
    cars = np.where(numbers > 0, np.searchsorted(present, numbers) + 1, 0)
    return np.where((values // 256 == CAR) & (numbers == 0), IGNORE, cars).astype(np.int32)
