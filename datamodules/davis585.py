"""DAVIS-585 (Chen et al. 2022, FocalClick): objects with flawed masks to correct by clicks."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading
from datamodules.sources import ObjectSource, Sample, require_folder, sample_from_labels
from datamodules.splits import note_whole_set
from interseg.errors import InputError
from interseg.images import image_size, read_image
from interseg.labels import read_labels

HOW = (
    "unpack DAVIS585.zip (FocalClick's page) there, so that a folder a video lies in it: "
    "bear/00009.jpg, bear/object1_00009.png, ..."
)
INITIAL = ("sp", "stm")
"""Kinds of initial masks: of superpixels, and of a video method."""
HALF = 128
"""Value above which a pixel belongs to the object, in truth and initial masks."""


class Files(NamedTuple):
    """An object's photo, its mask, and the mask to start from."""

    image: Path
    mask: Path
    initial: Path | None


class Davis585Source(ObjectSource):
    """The objects of all videos' folders.

    An object is `OBJECT_FRAME.png` with `FRAME.jpg` and `init_KIND_OBJECT_FRAME.png`.

    Args:
        root: Folder of the videos' folders.
        initial: Kind of initial masks, "sp" or "stm"; None for no initial mask.
    """

    def __init__(self, root: Path, initial: str | None) -> None:
        super().__init__()
        self.entries: list[Files] = []
        self.sizes: list[tuple[int, int]] = []
        for mask in sorted(root.glob("*/*.png")):
            if mask.name.startswith((".", "init_")):
                continue
            _, _, frame = mask.stem.rpartition("_")
            image = mask.with_name(f"{frame}.jpg")
            start = mask.with_name(f"init_{initial}_{mask.name}") if initial else None
            needed = [image] if start is None else [image, start]
            missing = [path for path in needed if not path.exists()]
            if missing:
                self.problems.append(
                    f"{missing[0]} does not exist, which {mask.name} needs; "
                    "unpack the archive again"
                )
                continue
            try:
                self.sizes.append(image_size(image).stored)
            except InputError as error:
                self.problems.append(str(error))
                continue
            self.entries.append(Files(image, mask, start))
        if not self.entries and not self.problems:
            raise InputError(f"{root} has no video's folder with masks; {HOW}")

    def __len__(self) -> int:
        return len(self.entries)

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]

    def name(self, index: int) -> str:
        mask = self.entries[index].mask
        return f"{mask.parent.name}/{mask.name}"

    def image(self, index: int) -> str:
        image = self.entries[index].image
        return f"{image.parent.name}/{image.name}"

    def read(self, index: int) -> Sample:
        files = self.entries[index]
        truth = above_half(files.mask)
        image = read_image(files.image, truth.shape)
        sample = sample_from_labels(image, truth.astype(np.int32), 1, None, files.mask)
        if files.initial is None:
            return sample
        start = above_half(files.initial)
        if start.shape != truth.shape:
            raise InputError(
                f"{files.initial} is {start.shape}, the object's mask {truth.shape}; "
                "unpack the archive again"
            )
        return sample._replace(previous=start)


def above_half(path: Path) -> NDArray[np.bool_]:
    """Read a mask (H, W): above 128 in a grey file, all that is not black in a coloured one."""
    values = read_labels(path, "any")
    threshold = HALF if values.max() > 1 else 0
    return values > threshold


class Davis585DataModule(ClickDataModule):
    """Data module of DAVIS-585, made for evaluation: every split is the whole set.

    Sessions start from the initial masks, so use a method that reads the previous mask. The layout
    is the published loader's (ClickSEG, `davis585.py`).

    Args:
        root: Folder with a folder per video.
        initial: Kind of initial masks: "sp" (superpixels: the published D585-SP), "stm" (a video
            method), or null (D585-ZERO).
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str = "data/davis585",
        initial: str | None = "sp",
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        if initial is not None and initial not in INITIAL:
            raise InputError(
                f"initial is {initial!r}; give {' or '.join(INITIAL)}, "
                "or null to start from nothing"
            )
        self.root, self.initial = Path(root), initial

    def source(self, split: str) -> Davis585Source:
        root = require_folder(self.root, "DAVIS-585", HOW)
        source = Davis585Source(root, self.initial)
        source.notes += note_whole_set(split, root)
        return source
