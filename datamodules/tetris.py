"""TETRIS (Moskalenko et al. 2024): large photos of people and things, for measuring robustness."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading, Subset
from datamodules.folder import FolderSource
from datamodules.instances import read_list
from datamodules.sources import ObjectSource, Sample, check_counts, require_folder
from datamodules.splits import note_whole_set

HOW = "put the set's images/ and masks/ there; the masks are PNGs, a colour an object"


class ReducedSource(ObjectSource):
    """A source whose photos are reduced to a long side, as the published evaluation of TETRIS does.

    Args:
        source: of the objects.
        long_side: most pixels along a photo's long side.
    """

    def __init__(self, source: ObjectSource, long_side: int) -> None:
        super().__init__()
        self.parent, self.long_side = source, long_side
        self.problems, self.left_out, self.notes = source.problems, source.left_out, source.notes

    def __len__(self) -> int:
        return len(self.parent)

    def size(self, index: int) -> tuple[int, int]:
        """Round the short side half up, as the published code does."""
        height, width = self.parent.size(index)
        long, short = max(height, width), min(height, width)
        reduced = min(long, self.long_side), int(short / long * min(long, self.long_side) + 0.5)
        return reduced if height > width else reduced[::-1]

    def name(self, index: int) -> str:
        return self.parent.name(index)

    def image(self, index: int) -> str:
        return self.parent.image(index)

    def facts(self) -> dict[str, str]:
        return self.parent.facts()

    def read(self, index: int) -> Sample:
        sample, (height, width) = self.parent.read(index), self.size(index)
        if sample.mask.shape == (height, width):
            return sample
        image: NDArray[np.uint8] = cv2.resize(
            sample.image, (width, height), interpolation=cv2.INTER_LINEAR
        )  # type: ignore[assignment]
        mask = cv2.resize(
            (sample.mask == 1).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
        )
        others: NDArray[np.uint8] = cv2.resize(
            sample.others, (width, height), interpolation=cv2.INTER_NEAREST
        )  # type: ignore[assignment]
        return Sample(
            image, np.asarray(mask, np.uint8), np.where(mask > 0, 0, others).astype(np.uint8)
        )


class TetrisDataModule(ClickDataModule):
    """TETRIS, all of it in every split; made for evaluation.

    Layout and reduction are those of the published evaluation (RClicks, `tetris.py`): `images/`,
    `masks/` with an id an object in three channels, a long side of 2,048 pixels at most.

    Args:
        root: holds `images/` and `masks/`.
        names: file in `root` that lists the photos' stems to take, such as RClicks' TETRIS_val.txt;
            null for all.
        long_side: most pixels along a photo's long side; null for photos as they are.
        loading: see `Loading`.
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
        folders = [
            require_folder(root / name, "a part of TETRIS", HOW) for name in ("images", "masks")
        ]
        whole = FolderSource(folders[0], folders[1], "colours")
        whole.notes += note_whole_set(split, root)
        source: ObjectSource = whole
        if self.listed is not None:
            known = set(listed_stems(root / self.listed))
            source = Subset(
                whole, [i for i, (stem, *_) in enumerate(whole.entries) if stem in known]
            )
        return source if self.long_side is None else ReducedSource(source, self.long_side)


def listed_stems(path: Path) -> list[str]:
    """Read the stems of a list, a line each: some have spaces."""
    if not path.exists():
        return read_list(path, HOW)  # raises
    return [
        line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()
    ]
