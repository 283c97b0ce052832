"""The Semantic Boundaries Dataset (Hariharan et al. 2011) with 11,355 images."""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.downloads import SBD, expect
from datamodules.instances import InstanceMapSource, read_instances, read_list
from datamodules.sources import require_folder

RELEASE = Path("benchmark_RELEASE", "dataset")
SIZES = {"train.txt": 8498, "val.txt": 2857}
MIN_FILL = 0.08
"""Share of its bounding box that an object must fill to be trained on, as in the field's training
code."""


class SbdDataModule(ClickDataModule):
    """Data module of SBD with its own split.

    Training has the objects of `train.txt`, validation and test have all objects of `val.txt`
    (6,671). Every pixel counts: unlike VOC, SBD has no void band along outlines, and the field's
    published evaluation (RITM's loader) makes none.

    Args:
        root: Folder with `img/`, `inst/`, `train.txt` and `val.txt`, or with the archive's
            `benchmark_RELEASE/dataset/` that holds them.
        loading: See `Loading`.
    """

    def __init__(self, root: str = "data/sbd", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root = Path(root)

    def prepare_data(self) -> None:
        """Download the archive if it is missing."""
        if not (self.root / "img").is_dir():
            SBD.fetch(self.root, self.root / RELEASE, lambda: check_sbd(self.root / RELEASE))

    def source(self, split: str) -> InstanceMapSource:
        folder = self.root if (self.root / "img").is_dir() else self.root / RELEASE
        folder = require_folder(folder, SBD.what, SBD.how)
        if split == "train":
            names, min_fill = read_list(folder / "train.txt", SBD.how), MIN_FILL
        else:
            names, min_fill = read_list(folder / "val.txt", SBD.how), 0.0
        return InstanceMapSource(sbd_pairs(folder, names), read_instances, min_fill)


def sbd_pairs(folder: Path, names: list[str]) -> list[tuple[Path, Path]]:
    """List the photo and the instance file of each name."""
    return [(folder / "img" / f"{name}.jpg", folder / "inst" / f"{name}.mat") for name in names]


def check_sbd(folder: Path) -> None:
    """Raise `InputError` unless the lists have their published lengths."""
    counts = {}
    for name, size in SIZES.items():
        counts[name] = (len(read_list(folder / name, SBD.how)), size)
    expect(SBD.what, counts)
