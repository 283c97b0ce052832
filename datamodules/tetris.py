"""TETRIS (Moskalenko et al. 2024): large photos of people and things, for measuring robustness."""

from pathlib import Path

import cv2
import numpy as np

from datamodules.base import ClickDataModule, Loading
from datamodules.folder_source import FolderSource
from datamodules.instances import read_list
from datamodules.sources import ObjectSource, Sample, Subset, check_counts, require_folder
from datamodules.splits import note_whole_set
from interseg.errors import InputError
from interseg.listing import name_some

HOW = "put the set's images/ and masks/ there; the masks are PNGs, a colour an object"


class ReducedSource(ObjectSource):
    """A source whose photos are reduced to a long side, as in the published evaluation of TETRIS.

    Args:
        source: Source of the objects.
        long_side: Number of pixels along a photo's long side, at most.
    """

    def __init__(self, source: ObjectSource, long_side: int) -> None:
        super().__init__()
        self.parent, self.long_side = source, long_side
        self.problems, self.left_out, self.notes = source.problems, source.left_out, source.notes

    def __len__(self) -> int:
        return len(self.parent)

    def size(self, index: int) -> tuple[int, int]:
        """Return the reduced size; the short side is rounded half up, as in the published code."""
        height, width = self.parent.size(index)
        long, short = max(height, width), min(height, width)
        reduced_long = min(long, self.long_side)
        reduced_short = int(short / long * reduced_long + 0.5)
        if height > width:
            return reduced_long, reduced_short
        return reduced_short, reduced_long

    def name(self, index: int) -> str:
        return self.parent.name(index)

    def image(self, index: int) -> str:
        return self.parent.image(index)

    def facts(self) -> dict[str, str]:
        return self.parent.facts()

    def read(self, index: int) -> Sample:
        sample = self.parent.read(index)
        height, width = self.size(index)
        if sample.mask.shape == (height, width):
            return sample
        target = (sample.mask == 1).astype(np.uint8)
        image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(target, (width, height), interpolation=cv2.INTER_LINEAR)
        others = cv2.resize(sample.others, (width, height), interpolation=cv2.INTER_NEAREST)
        others = np.where(mask > 0, 0, others)
        if not mask.any():
            raise InputError(
                f"{self.name(index)} vanishes where its photo is reduced to {width} x {height}; "
                "raise data.long_side, or remove the object"
            )
        return Sample(
            np.asarray(image, np.uint8), np.asarray(mask, np.uint8), others.astype(np.uint8)
        )


class TetrisDataModule(ClickDataModule):
    """Data module of TETRIS, made for evaluation: every split is the whole set.

    Layout and reduction are those of the published evaluation (RClicks, `tetris.py`): `images/`,
    `masks/` with an id per object in three channels, a long side of 2,048 pixels at most.

    Args:
        root: Folder with `images/` and `masks/`.
        names: File in `root` that lists the stems of the photos to take, such as RClicks'
            TETRIS_val.txt; null for all.
        long_side: Number of pixels along a photo's long side, at most; null for whole photos.
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str = "data/tetris",
        names: str | None = None,
        long_side: int | None = 2048,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        check_counts(long_side=long_side)
        self.root, self.listed, self.long_side = Path(root), names, long_side

    def source(self, split: str) -> ObjectSource:
        root = require_folder(self.root, "TETRIS", HOW)
        images = require_folder(root / "images", "a part of TETRIS", HOW)
        masks = require_folder(root / "masks", "a part of TETRIS", HOW)
        whole = FolderSource(images, masks, "colours")
        whole.notes += note_whole_set(split, root)
        source: ObjectSource = whole
        if self.listed is not None:
            known = listed_stems(root / self.listed)
            stems = [stem for stem, *_ in whole.entries]
            absent = [stem for stem in known if stem not in stems]
            whole.problems += name_some(f"photos of {self.listed} without an object", absent)
            source = Subset(whole, [index for index, stem in enumerate(stems) if stem in known])
        return source if self.long_side is None else ReducedSource(source, self.long_side)


def listed_stems(path: Path) -> list[str]:
    """Read the stems of a list, a line each; some contain spaces."""
    if not path.exists():
        return read_list(path, HOW)  # raises
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]
