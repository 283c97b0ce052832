"""A folder of photos without classes as a stream of tasks, one a photo, for a person who teaches (`callbacks/person_loop.py`).

The order is the one in which photos came to be known: those that are added to the folder later
stand at its end, so that a stream that was interrupted goes on where it was.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.resuming import ResumableDataModule
from datamodules.tasks import Item, Key, TaskDataModule, collate_labelled
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.stream import OpenStream
from interseg.errors import InputError
from interseg.images import read_image
from interseg.labels import read_labels

MOST_ROUNDS = 1000
"""Of a photo, on average: Lightning asks for a loader's length, and takes no batch ahead where it
has one."""


class PhotoDataset(Dataset[Item]):
    """Photos at one size, as a stream's data set has them.

    Args:
        files: of the photos, in the stream's order.
        size: (height, width) of all views.
        truth: class masks of some photos, by the photos' names.
        table: class of each value of these masks.
    """

    def __init__(
        self,
        files: Sequence[Path],
        size: tuple[int, int],
        truth: Mapping[str, Path],
        table: NDArray[np.uint8],
    ) -> None:
        self.files, self.size, self.truth, self.table = files, size, truth, table

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> Item:
        sequence, index, task, round, rounds = key
        pixels = (
            torch.from_numpy(np.ascontiguousarray(self.image(index).transpose(2, 0, 1))).float()
            / 255
        )
        place = {
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }
        return {"id": index, "image": pixels, "mask": torch.from_numpy(self.mask(index)), **place}

    def image(self, index: int) -> NDArray[np.uint8]:
        """Read a photo (H, W, 3) at the stream's size."""
        height, width = self.size
        image = read_image(self.files[index])
        if image.shape[:2] == self.size:
            return image
        return np.asarray(
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Its true classes (H, W) where they are known, 255 elsewhere; raises `InputError` for another size than the photo's."""
        file = self.truth.get(self.files[index].name)
        if file is None:
            return np.full(self.size, IGNORE, np.uint8)
        labels, photo = read_labels(file), read_image(self.files[index])
        if labels.shape != photo.shape[:2]:
            raise InputError(
                f"{file} has {labels.shape} pixels, its photo {photo.shape[:2]}; "
                "a mask is drawn on its photo"
            )
        mask = self.table[np.clip(labels, 0, 65535)]
        height, width = self.size
        return np.asarray(
            cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
        )


class OpenTasks(Protocol):
    """A stream whose tasks have as many rounds as they need."""

    files: Sequence[Path]
    """One a task."""
    task: int
    round: int
    """That come next."""


class PersonBatches(Sampler[list[Key]]):
    """Keys of rounds, each made when it is asked for: whether a photo is done is known when its round is over.

    Args:
        stream: knows what comes next.
        at_end: waits, where there is no next photo; when it returns, the sequence is over.
    """

    def __init__(self, stream: OpenTasks, at_end: Callable[[], None]) -> None:
        self.stream, self.at_end = stream, at_end

    def __len__(self) -> int:
        return MOST_ROUNDS * len(self.stream.files)

    def __iter__(self) -> Iterator[list[Key]]:
        while self.stream.task < len(self.stream.files):
            yield [
                (
                    0,
                    self.stream.task,
                    self.stream.task,
                    self.stream.round,
                    MOST_ROUNDS * MOST_ROUNDS,
                )
            ]
        self.at_end()


class PhotoStream(ResumableDataModule, OpenStream):
    """Photos of a folder as the tasks of one sequence.

    Args:
        source: the data module that the method was pretrained with: its size, classes and hold-out
            images hold.
        files: of the photos, in the order of the tasks.
        truth: class masks of some photos, by the photos' names.
        before: tasks that the method had learned before.
        at_end: see `PersonBatches`.
    """

    def __init__(
        self,
        source: TaskDataModule,
        files: Sequence[Path],
        truth: Mapping[str, Path] | None = None,
        before: int = 0,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        table = np.full(65536, IGNORE, np.uint8)
        for value, label in (
            {c: c for c in range(source.classes)} if source.codes is None else source.codes
        ).items():
            table[value] = label
        self.source, self.files, self.before, self.at_end = source, files, before, at_end
        self.classes = source.classes
        self.length = len(files)
        self.holdout = source.holdout
        self.stage = "tasks"
        self.photos = PhotoDataset(files, source.size, truth or {}, table)
        self.task, self.round = 0, 0

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next photo after a photo's last one."""
        self.task, self.round = (self.task + 1, 0) if last else (self.task, self.round + 1)

    def images_of(self, sequence: int) -> list[int]:
        """All photos, in order."""
        return list(range(len(self.files)))

    def batch_of(self, indices: Sequence[int]) -> TaskBatch:
        """Photos as one batch."""
        return collate_labelled([self.photos[0, index, index, 0, 1] for index in indices])

    def holdout_batch(self, count: int, start: int = 0) -> TaskBatch:
        """Images that were pretrained on."""
        return self.source.holdout_batch(count, start)

    def train_dataloader(self) -> DataLoader[Item]:
        return DataLoader(
            self.photos, batch_sampler=PersonBatches(self, self.at_end), collate_fn=collate_labelled
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the next round is; for checkpoints."""
        return {"task": self.task, "round": self.round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there."""
        self.task, self.round = state_dict["task"], state_dict["round"]
