"""A folder of photos without classes as a stream of tasks, one per photo, for a person who teaches.

The person's side is `callbacks/person_loop.py`. The photos are in the order in which they were
found: those that are added to the folder later come at its end, so that an interrupted stream can
be resumed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.labelled_images import Item, Key, collate_labelled
from datamodules.resuming import ResumableDataModule
from datamodules.tasks import TaskDataModule
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.protocol import StreamProtocol
from interseg.continual.stream import OpenTasks
from interseg.errors import InputError
from interseg.images import read_image
from interseg.labels import read_labels

MOST_ROUNDS = 1000
"""Number of rounds of a photo on average, at most: Lightning asks for a loader's length, without
which it would take a batch ahead."""


class PhotoDataset(Dataset[Item]):
    """Photos at one size, with the items of a task stream.

    Args:
        files: Files of the photos, in the stream's order.
        size: (height, width) of all views.
        truth: Class masks of some photos, by the photos' names.
        table: Class of each value (65536,) of these masks.
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
        image = np.ascontiguousarray(self.image(index).transpose(2, 0, 1))
        return {
            "id": index,
            "image": torch.from_numpy(image).float() / 255,
            "mask": torch.from_numpy(self.mask(index)),
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }

    def image(self, index: int) -> NDArray[np.uint8]:
        """Read a photo (H, W, 3) at the stream's size."""
        height, width = self.size
        image = read_image(self.files[index])
        if image.shape[:2] == self.size:
            return image
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.uint8)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Read a photo's true classes (H, W) at the stream's size; 255 if they are unknown.

        Raises:
            InputError: The mask has another size than its photo.
        """
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
        resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(resized, np.uint8)


class OpenRounds(Protocol):
    """A stream whose tasks have as many rounds as they need."""

    files: Sequence[Path]
    """Files of the tasks, one each."""
    task: int
    """Number of the next round's task."""
    round: int
    """Number of the next round in its task."""


class PersonBatches(Sampler[list[Key]]):
    """Keys of rounds, each made when it is asked for.

    Only when a round is over is it known whether its photo is done.

    Args:
        stream: Stream that knows the next round.
        at_end: Function that waits for more photos; when it returns, the sequence is over.
    """

    def __init__(self, stream: OpenRounds, at_end: Callable[[], None]) -> None:
        self.stream, self.at_end = stream, at_end

    def __len__(self) -> int:
        return MOST_ROUNDS * len(self.stream.files)

    def __iter__(self) -> Iterator[list[Key]]:
        stream = self.stream
        endless = MOST_ROUNDS * MOST_ROUNDS
        while stream.task < len(stream.files):
            yield [(0, stream.task, stream.task, stream.round, endless)]
        self.at_end()


class PhotoStream(ResumableDataModule, OpenTasks):
    """Photos of a folder as the tasks of one sequence.

    Args:
        source: Data module that the method was pretrained with; its size, classes and images of the
            pretraining are used.
        files: Files of the photos, in the order of the tasks.
        truth: Class masks of some photos, by the photos' names.
        before: Number of tasks that the method had learned before.
        at_end: See `PersonBatches`.
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
        if source.codes is None:
            table[: source.classes] = np.arange(source.classes)
        else:
            for value, label in source.codes.items():
                table[value] = label
        self.source, self.files, self.before, self.at_end = source, files, before, at_end
        self.classes, self.length = source.classes, len(files)
        self.pretraining_images = source.pretraining_images
        self.protocol = StreamProtocol("sequence")
        self.photos = PhotoDataset(files, source.size, truth or {}, table)
        self.task, self.round = 0, 0

    def advance(self, last: bool) -> None:
        """Go to the next round, or to the next photo after a photo's last round."""
        self.task, self.round = (self.task + 1, 0) if last else (self.task, self.round + 1)

    def images_of(self, sequence: int) -> list[int]:
        """Return the numbers of all photos, in order."""
        return list(range(len(self.files)))

    def batch_of(self, indices: Sequence[int]) -> TaskBatch:
        """Make one batch of photos."""
        return collate_labelled([self.photos[0, index, index, 0, 1] for index in indices])

    def pretraining_batch(self, count: int, start: int = 0) -> TaskBatch:
        """Return images that were pretrained on as one batch."""
        return self.source.pretraining_batch(count, start)

    def train_dataloader(self) -> DataLoader[Item]:
        batches = PersonBatches(self, self.at_end)
        return DataLoader(self.photos, batch_sampler=batches, collate_fn=collate_labelled)

    def state_dict(self) -> dict[str, Any]:
        """Return the place of the next round, for checkpoints."""
        return {"task": self.task, "round": self.round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the place of a checkpoint."""
        self.task, self.round = state_dict["task"], state_dict["round"]
