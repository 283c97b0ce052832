"""The Semantic Boundaries Dataset (Hariharan et al. 2011): 8,498 training and 2,857 validation images with instances."""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.downloads import SBD, expect
from datamodules.instances import InstanceMapSource, read_instances, read_list
from datamodules.sources import require_folder

RELEASE = Path("benchmark_RELEASE", "dataset")
SIZES = {"train.txt": 8498, "val.txt": 2857}
MIN_FILL = 0.08
"""Training leaves out objects that fill less of their bounding box, as the field's training code
does."""


class SbdDataModule(ClickDataModule):
    """SBD with its own split: all objects of `val.txt` for validation and test (6,671), those of `train.txt` for training.

    Every pixel counts: SBD has no void band along outlines, as VOC has, and the field's published
    evaluation (RITM's loader) makes none.

    Args:
        root: holds `img/`, `inst/`, `train.txt` and `val.txt`, or the archive's
            `benchmark_RELEASE/dataset/` with them.
        loading: see `Loading`.
    """

    def __init__(self, root: str = "data/sbd", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root = Path(root)

    def prepare_data(self) -> None:
        """Download the archive where it is missing."""
        if not (self.root / "img").is_dir():
            SBD.fetch(self.root, self.root / RELEASE, lambda: check_sbd(self.root / RELEASE))

    def source(self, split: str) -> InstanceMapSource:
        folder = self.root if (self.root / "img").is_dir() else self.root / RELEASE
        folder = require_folder(folder, SBD.what, SBD.how)
        names = read_list(folder / ("train.txt" if split == "train" else "val.txt"), SBD.how)
        return InstanceMapSource(
            sbd_pairs(folder, names), read_instances, MIN_FILL if split == "train" else 0.0
        )


def sbd_pairs(folder: Path, names: list[str]) -> list[tuple[Path, Path]]:
    """Photo and instance file of each name."""
    return [(folder / "img" / f"{name}.jpg", folder / "inst" / f"{name}.mat") for name in names]


def check_sbd(folder: Path) -> None:
    """Raise `InputError` unless the lists have their published lengths."""
    expect(
        SBD.what,
        {name: (len(read_list(folder / name, SBD.how)), size) for name, size in SIZES.items()},
    )
