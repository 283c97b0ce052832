"""PhC-C2DH-U373 of the Cell Tracking Challenge (Ulman et al. 2017): cells under a microscope."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading
from datamodules.instances import InstanceMapSource
from datamodules.sources import require_folder
from interseg.errors import InputError
from interseg.labels import read_labels
from interseg.listing import image_files

HOW = (
    "unpack PhC-C2DH-U373.zip (celltrackingchallenge.net, training data) there, so that 01/, "
    "01_GT/SEG/, 02/ and 02_GT/SEG/ lie in it"
)
KINDS = {"gold": "GT", "silver": "ST"}
"""Names of the challenge's annotations: drawn by people on some frames, or by computers on all."""
SEQUENCES = {"train": "01", "val": "02", "test": "02"}


class PhcU373DataModule(ClickDataModule):
    """Data module of the cells of the first video for training, of the second for evaluation.

    The layout is the challenge's: frames `01/t000.tif`, instance maps `01_GT/SEG/man_seg000.tif`.
    Frames without a map are left out. The challenge publishes no split of the training videos: this
    one is ours.

    Args:
        root: Folder of the unpacked archive.
        annotation: Kind of annotations, "gold" (`_GT`) or "silver" (`_ST`).
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str = "data/PhC-C2DH-U373",
        annotation: str = "gold",
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        if annotation not in KINDS:
            raise InputError(f"annotation is {annotation!r}; give {' or '.join(KINDS)}")
        self.root, self.annotation = Path(root), annotation

    def source(self, split: str) -> InstanceMapSource:
        root = require_folder(self.root, "PhC-C2DH-U373", HOW)
        sequence = SEQUENCES[split]
        annotated = f"{sequence}_{KINDS[self.annotation]}"
        frames = image_files(require_folder(root / sequence, "a video of PhC-C2DH-U373", HOW))
        folder = require_folder(root / annotated / "SEG", "its instance maps", HOW)
        maps = {}
        for path in sorted(folder.glob("man_seg*.tif")):
            maps[f"t{path.stem.removeprefix('man_seg')}"] = path
        if missing := sorted(maps.keys() - frames.keys()):
            raise InputError(
                f"{root / sequence} lacks {missing[0]}.tif, of which there is a map; {HOW}"
            )
        pairs = [(frames[name], maps[name]) for name in sorted(maps)]
        return InstanceMapSource(pairs, read_cells)


def read_cells(path: Path) -> NDArray[np.int32]:
    """Read the cells (H, W) of an instance map as 1, 2, ... in the order of their labels.

    Labels are the numbers of tracks and may be 255, which is void in other sets.
    """
    values = read_labels(path)
    present = np.unique(values[values > 0])
    return np.where(values > 0, np.searchsorted(present, values) + 1, 0).astype(np.int32)
