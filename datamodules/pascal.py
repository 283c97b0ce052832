"""PASCAL VOC 2012 and the Semantic Boundaries Dataset: the training list of ITIS and the validation objects of VOC."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from datamodules.base import ClickDataModule, Loading
from datamodules.sources import ObjectSource, Sample, existing_folder, read_image, read_labels, sample_from_labels
from interseg.clicks import IGNORE
from interseg.errors import InputError

HOW = (
    "unpack VOCtrainval_11-May-2012.tar (host.robots.ox.ac.uk/pascal/VOC/voc2012) and benchmark.tgz of the Semantic "
    "Boundaries Dataset into it, so that VOCdevkit/VOC2012/ and benchmark_RELEASE/dataset/ lie side by side"
)


class InstanceMapSource(ObjectSource):
    """Objects of images with an instance map each; 0 is background, 255 is void.

    Args:
        pairs: image and instance map (palette PNG, or SBD's .mat) of each image.
    """

    def __init__(self, pairs: list[tuple[Path, Path]]) -> None:
        super().__init__()
        self.objects: list[tuple[Path, Path, int, tuple[int, int]]] = []
        for image, instances in pairs:
            labels = read_instances(instances)
            ids = np.unique(labels)
            self.objects += [(image, instances, int(id), (labels.shape[0], labels.shape[1])) for id in ids if id not in (0, IGNORE)]

    def __len__(self) -> int:
        return len(self.objects)

    def size(self, index: int) -> tuple[int, int]:
        return self.objects[index][3]

    def name(self, index: int) -> str:
        image, _, id, _ = self.objects[index]
        return f"{image.name}: object {id}"

    def read(self, index: int) -> Sample:
        image, instances, id, _ = self.objects[index]
        return sample_from_labels(read_image(image), read_instances(instances), id, IGNORE, instances)


def read_instances(path: Path) -> NDArray[np.int32]:
    """(H, W) instance ids: palette indices of a PNG (never its colours), `GTinst.Segmentation` of SBD's .mat."""
    if path.suffix != ".mat":
        return read_labels(path)
    try:
        return loadmat(path)["GTinst"][0][0][0].astype(np.int32)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an instance file of SBD ({error}); unpack the archive again") from None


class PascalDataModule(ClickDataModule):
    """ITIS' data: trained on VOC's 1,464 training images and SBD's instances where VOC has none, tested on VOC's 1,449.

    Args:
        root: holds `VOCdevkit/VOC2012` and `benchmark_RELEASE/dataset`.
        loading: see `Loading`.
    """

    def __init__(self, root: str = "data/pascal", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root = Path(root)

    def source(self, split: str) -> InstanceMapSource:
        root = existing_folder(self.root, "PASCAL VOC 2012 with SBD", HOW)
        voc = existing_folder(root / "VOCdevkit" / "VOC2012", "PASCAL VOC 2012", HOW)
        pairs = [
            (voc / "JPEGImages" / f"{name}.jpg", voc / "SegmentationObject" / f"{name}.png")
            for name in read_list(voc / "ImageSets" / "Segmentation" / ("train.txt" if split == "train" else "val.txt"))
        ]
        if split == "train":
            sbd = existing_folder(root / "benchmark_RELEASE" / "dataset", "SBD", HOW)
            labelled = set(read_list(voc / "ImageSets" / "Segmentation" / "trainval.txt"))
            names = [n for part in ("train.txt", "val.txt") for n in read_list(sbd / part) if n not in labelled]
            pairs += [(sbd / "img" / f"{name}.jpg", sbd / "inst" / f"{name}.mat") for name in names]
        return InstanceMapSource(pairs)


def read_list(path: Path) -> list[str]:
    """The names in a list file, a line each."""
    if not path.exists():
        raise InputError(f"{path} does not exist: {HOW}")
    return path.read_text().split()
