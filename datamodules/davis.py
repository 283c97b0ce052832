"""DAVIS (Perazzi et al. 2016): frames of videos, whose masks by an automatic method are corrected by clicks (ITIS, Table 2).

The 345 fixed frames of the interactive literature are another layout: `data/davis345.yaml`.
"""

from pathlib import Path

import numpy as np

from datamodules.base import ClickDataModule, Loading
from datamodules.instances import read_list
from datamodules.sources import ObjectSource, Sample, require_folder, sample_from_labels
from datamodules.splits import note_whole_set
from interseg.errors import InputError
from interseg.evaluation.overlap import iou
from interseg.images import image_size, read_image
from interseg.labels import read_labels

HOW = (
    "unpack DAVIS-2016-trainval-480p.zip (davischallenge.org) there, so that JPEGImages/480p, "
    "Annotations/480p and ImageSets lie in it; "
    "the masks to start from, such as OSVOS' published results, "
    "are PNGs named initial/SEQUENCE/FRAME.png"
)
LISTS = ("ImageSets/480p/{split}.txt", "ImageSets/2016/{split}.txt")
"""Of the releases of 2016 (a pair of paths a line) and of 2017 (a sequence a line)."""


class Frame:
    """A frame's photo, truth and initial mask; the object is whatever is above 0, in any channel."""

    def __init__(self, image: Path, truth: Path, initial: Path) -> None:
        self.image, self.truth, self.initial = image, truth, initial
        self.size = image_size(image).stored

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) int32 truth and (H, W) bool initial mask; raises `InputError` where they are of different sizes."""
        truth, initial = (read_labels(p, "any") > 0 for p in (self.truth, self.initial))
        if initial.shape != truth.shape:
            raise InputError(
                f"{self.initial} is {initial.shape}, the frame's truth {truth.shape}; "
                "initial masks have the frame's size"
            )
        return truth.astype(np.int32), initial


class DavisSource(ObjectSource):
    """The frames of each sequence whose initial masks are worst; frames in which the object is not seen are left out.

    Args:
        frames: of each sequence by name.
        worst: frames of a sequence to keep, None for all.
    """

    def __init__(self, frames: dict[str, list[Frame]], worst: int | None) -> None:
        super().__init__()
        self.frames: list[tuple[str, Frame]] = []
        for name, sequence in frames.items():
            ranked = sorted(
                (start, position)
                for position, f in enumerate(sequence)
                for start in [self._start(f)]
                if start is not None
            )
            self.frames += [
                (name, sequence[position])
                for _, position in sorted(ranked[:worst], key=lambda r: r[1])
            ]

    def _start(self, frame: Frame) -> float | None:
        """IoU of a frame's initial mask; None, with the problem noted, for an unreadable one, and where the object is not seen."""
        try:
            truth, initial = frame.masks()
        except InputError as error:
            self.problems.append(str(error))
            return None
        return iou(initial, truth.astype(np.uint8)) if truth.any() else None

    def __len__(self) -> int:
        return len(self.frames)

    def size(self, index: int) -> tuple[int, int]:
        return self.frames[index][1].size

    def name(self, index: int) -> str:
        sequence, frame = self.frames[index]
        return f"{sequence}/{frame.image.name}"

    def read(self, index: int) -> Sample:
        frame = self.frames[index][1]
        truth, initial = frame.masks()
        return sample_from_labels(
            read_image(frame.image, truth.shape), truth, 1, None, frame.truth
        )._replace(previous=initial)


class DavisDataModule(ClickDataModule):
    """DAVIS 2016 with initial masks, its validation videos in every split; for methods that read the previous mask.

    The paper corrects "the worst predictions from OSVOS" (its Table 2) without saying how many:
    here, by default, the one frame of each of the 20 videos whose initial mask has the least IoU.

    Args:
        root: holds `JPEGImages/480p`, `Annotations/480p` and `ImageSets`.
        initial: folder of the initial masks, in `root` or elsewhere.
        worst: frames of each video, those with the worst initial masks; null for all.
        loading: see `Loading`.
    """

    def __init__(
        self,
        root: str = "data/davis",
        initial: str = "initial",
        worst: int | None = 1,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.initial, self.worst = Path(root), initial, worst

    def source(self, split: str) -> DavisSource:
        root = require_folder(self.root, "DAVIS 2016", HOW)
        masks = require_folder(root / self.initial, "the initial masks of DAVIS", HOW)
        frames = {}
        for name in self._sequences():
            truths = sorted((root / "Annotations" / "480p" / name).glob("*.png"))
            photos = root / "JPEGImages" / "480p" / name
            frames[name] = [
                Frame(photos / f"{t.stem}.jpg", t, masks / name / t.name) for t in truths
            ]
        source = DavisSource(frames, self.worst)
        source.notes += note_whole_set(split, root)
        return source

    def _sequences(self) -> list[str]:
        paths = [self.root / pattern.format(split="val") for pattern in LISTS]
        lines = read_list(next((p for p in paths if p.exists()), paths[0]), HOW)
        return sorted({Path(line).parent.name if "/" in line else line for line in lines})
