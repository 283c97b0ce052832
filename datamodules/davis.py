"""DAVIS (Perazzi et al. 2016): video frames with masks of an automatic method to correct by clicks.

This is the experiment of ITIS, Table 2. The 345 fixed frames of the interactive literature have
another layout: `data/davis345.yaml`.
"""

from collections.abc import Iterable, Iterator
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
"""Files of the lists in the releases of 2016 (a pair of paths a line) and 2017 (a sequence a
line)."""


class Frame:
    """A frame's photo, truth and initial mask; pixels above 0 in any channel are the object."""

    def __init__(self, image: Path, truth: Path, initial: Path) -> None:
        self.image, self.truth, self.initial = image, truth, initial
        self.size = image_size(image).stored

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the truth (H, W) int32 and the initial mask (H, W) bool.

        Raises:
            InputError: A file is unreadable, or they have different sizes.
        """
        truth = read_labels(self.truth, "any") > 0
        initial = read_labels(self.initial, "any") > 0
        if initial.shape != truth.shape:
            raise InputError(
                f"{self.initial} is {initial.shape}, the frame's truth {truth.shape}; "
                "initial masks have the frame's size"
            )
        return truth.astype(np.int32), initial


def open_frames(files: Iterable[tuple[Path, Path, Path]], problems: list[str]) -> Iterator[Frame]:
    """Open the frames whose photo is readable, and note the others."""
    for paths in files:
        try:
            yield Frame(*paths)
        except InputError as error:
            problems.append(str(error))


class DavisSource(ObjectSource):
    """The frames of each sequence with the worst initial masks.

    Frames in which the object is not seen are left out.

    Args:
        frames: Frames of each sequence by name.
        worst: Number of frames of a sequence to keep; None for all.
    """

    def __init__(self, frames: dict[str, list[Frame]], worst: int | None) -> None:
        super().__init__()
        self.frames: list[tuple[str, Frame]] = []
        for name, sequence in frames.items():
            starts = {}
            for position, frame in enumerate(sequence):
                start = self._measure_start(frame)
                if start is not None:
                    starts[position] = start
            ranked = sorted(starts, key=lambda position: (starts[position], position))
            self.frames += [(name, sequence[position]) for position in sorted(ranked[:worst])]

    def _measure_start(self, frame: Frame) -> float | None:
        """Compute the IoU of a frame's initial mask.

        None for an unreadable one, which is noted as a problem, and where the object is not seen.
        """
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
        image = read_image(frame.image, truth.shape)
        sample = sample_from_labels(image, truth, 1, None, frame.truth)
        return sample._replace(previous=initial)


class DavisDataModule(ClickDataModule):
    """Data module of DAVIS 2016 with initial masks, for methods that read the previous mask.

    Every split has the validation videos. The paper corrects "the worst predictions from OSVOS"
    (its Table 2) without saying how many: by default, this takes the one frame of each of the 20
    videos whose initial mask has the lowest IoU.

    Args:
        root: Folder with `JPEGImages/480p`, `Annotations/480p` and `ImageSets`.
        initial: Folder of the initial masks, in `root` or elsewhere.
        worst: Number of frames of each video, those with the worst initial masks; null for all.
        loading: See `Loading`.
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
        frames: dict[str, list[Frame]] = {}
        problems: list[str] = []
        for name in self._sequences():
            truths = sorted((root / "Annotations" / "480p" / name).glob("[!.]*.png"))
            photos = root / "JPEGImages" / "480p" / name
            files = [
                (photos / f"{truth.stem}.jpg", truth, masks / name / truth.name) for truth in truths
            ]
            frames[name] = list(open_frames(files, problems))
        source = DavisSource(frames, self.worst)
        source.problems += problems
        source.notes += note_whole_set(split, root)
        return source

    def _sequences(self) -> list[str]:
        paths = [self.root / pattern.format(split="val") for pattern in LISTS]
        found = [path for path in paths if path.exists()]
        names = set()
        for line in read_list(found[0] if found else paths[0], HOW):
            names.add(Path(line).parent.name if "/" in line else line)
        return sorted(names)
