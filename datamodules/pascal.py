"""PASCAL VOC 2012 (Everingham et al.): instances of the segmentation challenge, and ITIS' training list with SBD's beside them."""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.downloads import SBD, VOC, expect
from datamodules.instances import InstanceMapSource, read_instances, read_list
from datamodules.sbd import RELEASE, check_sbd, sbd_pairs
from datamodules.sources import require_folder

DEVKIT = Path("VOCdevkit", "VOC2012")
SIZES = {"train": 1464, "val": 1449}


class PascalDataModule(ClickDataModule):
    """ITIS' data: VOC's training images and SBD's instances where VOC has none; VOC's validation images for evaluation.

    That is 1,464 + 9,118 images to train on, and 1,449 images with 3,427 objects to test on.
    Instance maps are read as palette indices; pixels of 255 (void) are ignored.

    Args:
        root: holds `VOCdevkit/VOC2012` and, for SBD's part, `benchmark_RELEASE/dataset`.
        with_sbd: train on SBD's images too, on all objects with an area.
        loading: see `Loading`.
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
        expect(
            VOC.what,
            {f"{split}.txt": (len(self._names(split)), size) for split, size in SIZES.items()},
        )

    def _names(self, split: str) -> list[str]:
        return read_list(
            self.root / DEVKIT / "ImageSets" / "Segmentation" / f"{split}.txt", VOC.how
        )

    def source(self, split: str) -> InstanceMapSource:
        voc = require_folder(self.root / DEVKIT, VOC.what, VOC.how)
        pairs = [
            (voc / "JPEGImages" / f"{name}.jpg", voc / "SegmentationObject" / f"{name}.png")
            for name in self._names("train" if split == "train" else "val")
        ]
        if split == "train" and self.with_sbd:
            sbd = require_folder(self.root / RELEASE, SBD.what, SBD.how)
            labelled = set(self._names("trainval"))
            pairs += sbd_pairs(
                sbd,
                [
                    n
                    for part in ("train", "val")
                    for n in read_list(sbd / f"{part}.txt", SBD.how)
                    if n not in labelled
                ],
            )
        return InstanceMapSource(pairs, read_instances)
