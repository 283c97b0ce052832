"""Where objects come from: the small interface that every reader fills, and what readers share."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE
from interseg.errors import InputError


class Sample(NamedTuple):
    """One object in its whole image."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    mask: NDArray[np.uint8]
    """(H, W) 1 object, 0 background, 255 ignore."""
    others: NDArray[np.uint8]
    """(H, W) the other objects of the image as 1, 2, ...; 0 where there is none."""
    previous: NDArray[np.bool_] | None = None
    """(H, W) a mask to start from, in sets whose masks are to be corrected."""


class ObjectSource(ABC):
    """A numbered list of objects; the number is the object's id and depends on the data alone."""

    goes_on: bool = False
    """Whether training goes on without what is a problem: entries of a published list, not files
    that their owner can mend."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """What could not be read while the source was listed, a line each."""
        self.left_out: list[str] = []
        """Files that are none of the source's, a line a kind."""
        self.notes: list[str] = []
        """What was decided about files that could be read in two ways, a line each."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of the object's image, without decoding it."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what a person calls the object: file and object number or name."""

    def image(self, index: int) -> str:
        """Name the object's image."""
        return self.name(index)

    def facts(self) -> dict[str, str]:
        """Say what is worth knowing of how the source was understood, beside its size."""
        return {}

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Decode one object; raises `InputError` naming the file where it cannot."""


def sample_from_labels(
    image: NDArray[np.uint8], labels: NDArray[np.int32], object: int, ignore: int | None, path: Path
) -> Sample:
    """Make a sample of one object of a label map.

    Args:
        image: (H, W, 3).
        labels: (H, W) with 0 for background and an id per object.
        object: the id of the object.
        ignore: the label of pixels that do not count; None for none.
        path: of the mask, for messages.
    """
    if labels.shape != image.shape[:2]:
        raise InputError(
            f"{path} is {labels.shape[0]} x {labels.shape[1]}, "
            f"its image {image.shape[0]} x {image.shape[1]}; a mask has its image's size"
        )
    if not (labels == object).any():
        raise InputError(
            f"{path} has no pixel of object {object}; remove the mask or draw the object"
        )
    mask = (labels == object).astype(np.uint8)
    others = np.where(labels == object, 0, labels)
    if ignore is not None:
        mask[labels == ignore] = IGNORE
        others[labels == ignore] = 0
    numbers = np.unique(others, return_inverse=True)[1].reshape(others.shape)
    return Sample(
        image, mask, numbers.clip(0, 255).astype(np.uint8)
    )  # the 255th and later ones count as one


def check_counts(least: int = 1, **counts: int | None) -> None:
    """Check arguments that count something, None for all of it; raises `InputError` that names one below the least."""
    for name, count in counts.items():
        if count is not None and count < least:
            raise InputError(f"{name} is {count}; give {least} or more")


NO_DOWNLOAD = (
    "--config data/samples.yaml needs no download, --config data/folder.yaml reads your own images"
)
"""Which configs do without a data set of objects."""


def require_folder(path: Path, what: str, how: str, instead: str = NO_DOWNLOAD) -> Path:
    """Return the folder, or an `InputError` that names it, says how to get it and what to take instead."""
    if not path.is_dir():
        raise InputError(
            f"{what} is expected in {path.absolute()}, which does not exist: "
            f"{how}. Give another place by data.root=PATH; {instead}"
        )
    return path
