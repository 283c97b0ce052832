"""Sources of objects: the small interface of every reader, and helpers that readers share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interseg.clicks.layout import IGNORE
from interseg.errors import InputError

TABLE = 2**16
"""Label below which values are numbered by a table."""


class Sample(NamedTuple):
    """One object in its whole image."""

    image: NDArray[np.uint8]
    """Photo (H, W, 3), RGB."""
    mask: NDArray[np.uint8]
    """Truth (H, W): 1 object, 0 background, 255 ignore."""
    others: NDArray[np.uint8]
    """The other objects (H, W) of the image as 1, 2, ...; 0 elsewhere."""
    previous: NDArray[np.bool_] | None = None
    """Mask (H, W) to start from, in sets whose masks are to be corrected."""


class ObjectSource(ABC):
    """A numbered list of objects; the number is the object's id and depends on the data alone."""

    goes_on: bool = False
    """Whether training goes on in spite of problems: it does if they are entries of a published
    list, not files that their owner can repair."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """Files that could not be read while the source was listed, a line each."""
        self.left_out: list[str] = []
        """Files that do not belong to the source, a line a kind."""
        self.notes: list[str] = []
        """Decisions about files that could be read in two ways, a line each."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Return the (height, width) of the object's image, without decoding it."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Name the object for a person: its file, and its number or name there."""

    def image(self, index: int) -> str:
        """Name the object's image."""
        return self.name(index)

    def facts(self) -> dict[str, str]:
        """Describe how the source's files were understood, by title."""
        return {}

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Decode one object; raises `InputError` that names an unreadable file."""


def sample_from_labels(
    image: NDArray[np.uint8], labels: NDArray[np.int32], object: int, ignore: int | None, path: Path
) -> Sample:
    """Make a sample of one object of a label map.

    Args:
        image: Photo (H, W, 3).
        labels: Label map (H, W) with 0 for background and an id per object.
        object: Id of the object.
        ignore: Label of pixels that do not count; None for none.
        path: File of the mask, for messages.

    Raises:
        InputError: The sizes differ, or the object has no pixel.
    """
    if labels.shape != image.shape[:2]:
        raise InputError(
            f"{path} is {labels.shape[0]} x {labels.shape[1]}, "
            f"its image {image.shape[0]} x {image.shape[1]}; a mask has its image's size"
        )
    is_object = labels == object
    if not is_object.any():
        raise InputError(
            f"{path} has no pixel of object {object}; remove the mask or draw the object"
        )
    mask = is_object.astype(np.uint8)
    others = np.where(is_object, 0, labels)
    if ignore is not None:
        mask[labels == ignore] = IGNORE
        others[labels == ignore] = 0
    return Sample(image, mask, number_values(others))


def number_values(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Number the values of labels (H, W) in their order, from 0; the 255th stands for later ones.

    A table is several times as fast as sorting the pixels.
    """
    if labels.max() < TABLE:
        numbers = np.cumsum(np.bincount(labels.ravel()) > 0) - 1
        return numbers.clip(0, 255).astype(np.uint8)[labels]
    _, inverse = np.unique(labels, return_inverse=True)
    return inverse.reshape(labels.shape).clip(0, 255).astype(np.uint8)


def check_counts(least: int = 1, **counts: int | None) -> None:
    """Check arguments that are numbers of something, None for all.

    Args:
        least: Smallest allowed number.
        counts: Arguments by name.

    Raises:
        InputError: An argument is below the least; the message names it.
    """
    for name, count in counts.items():
        if count is not None and count < least:
            raise InputError(f"{name} is {count}; give {least} or more")


NO_DOWNLOAD = (
    "--config data/samples.yaml needs no download, --config data/folder.yaml reads your own images"
)
"""Hint at the configs that need no data set of objects."""


def require_folder(path: Path, what: str, how: str, instead: str = NO_DOWNLOAD) -> Path:
    """Return a folder that must exist.

    Args:
        path: Folder.
        what: Name of its content, for the message.
        how: Instruction to get it.
        instead: Hint at a config that does not need it.

    Raises:
        InputError: The folder does not exist.
    """
    if not path.is_dir():
        raise InputError(
            f"{what} is expected in {path.absolute()}, which does not exist: "
            f"{how}. Give another place by data.root=PATH; {instead}"
        )
    return path


class Subset(ObjectSource):
    """Some objects of a source, with ids of their own from 0."""

    def __init__(self, source: ObjectSource, indices: list[int]) -> None:
        super().__init__()
        self.parent, self.indices = source, indices
        self.problems, self.left_out, self.notes = source.problems, source.left_out, source.notes
        self.goes_on = source.goes_on

    def __len__(self) -> int:
        return len(self.indices)

    def size(self, index: int) -> tuple[int, int]:
        return self.parent.size(self.indices[index])

    def name(self, index: int) -> str:
        return self.parent.name(self.indices[index])

    def image(self, index: int) -> str:
        return self.parent.image(self.indices[index])

    def facts(self) -> dict[str, str]:
        return self.parent.facts()

    def read(self, index: int) -> Sample:
        return self.parent.read(self.indices[index])


def drop_repeats(lines: Iterable[str]) -> list[str]:
    """List lines without repetition, since splits may share a source."""
    return list(dict.fromkeys(lines))
