"""PASCAL VOC 2012 (Everingham et al.), alone or with SBD, as ITIS' training list has it."""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.downloads import SBD, VOC, expect
from datamodules.instances import InstanceMapSource, read_instances, read_list
from datamodules.sbd import RELEASE, check_sbd, sbd_pairs
from datamodules.sources import require_folder

DEVKIT = Path("VOCdevkit", "VOC2012")
SIZES = {"train": 1464, "val": 1449}


class PascalDataModule(ClickDataModule):
    """Data module of ITIS' data.

    Training has VOC's training images and those of SBD that VOC has no instances of (1,464 + 9,118
    images), evaluation has VOC's validation images (1,449 with 3,427 objects). Instance maps are
    read as palette indices; pixels of 255 (void) are ignored.

    Args:
        root: Folder with `VOCdevkit/VOC2012` and, for SBD's part, `benchmark_RELEASE/dataset`.
        with_sbd: Whether to train on SBD's images too, on all objects with an area.
        loading: See `Loading`.
    """

    def __init__(
        self, root: str = "data/pascal", with_sbd: bool = True, loading: Loading | None = None
    ) -> None:
        super().__init__(loading)
        self.root, self.with_sbd = Path(root), with_sbd

    def prepare_data(self) -> None:
        """Download the archives that are missing."""
        VOC.fetch(self.root, self.root / DEVKIT, self._check_voc)
        if self.with_sbd:
            SBD.fetch(self.root, self.root / RELEASE, lambda: check_sbd(self.root / RELEASE))

    def _check_voc(self) -> None:
        counts = {}
        for split, size in SIZES.items():
            counts[f"{split}.txt"] = (len(self._names(split)), size)
        expect(VOC.what, counts)

    def _names(self, split: str) -> list[str]:
        lists = self.root / DEVKIT / "ImageSets" / "Segmentation"
        return read_list(lists / f"{split}.txt", VOC.how)

    def source(self, split: str) -> InstanceMapSource:
        voc = require_folder(self.root / DEVKIT, VOC.what, VOC.how)
        pairs = [
            (voc / "JPEGImages" / f"{name}.jpg", voc / "SegmentationObject" / f"{name}.png")
            for name in self._names("train" if split == "train" else "val")
        ]
        if split == "train" and self.with_sbd:
            sbd = require_folder(self.root / RELEASE, SBD.what, SBD.how)
            labelled = set(self._names("trainval"))
            for part in ("train", "val"):
                names = read_list(sbd / f"{part}.txt", SBD.how)
                pairs += sbd_pairs(sbd, [name for name in names if name not in labelled])
        return InstanceMapSource(pairs, read_instances)
