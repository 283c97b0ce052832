"""A folder of photos without classes as a stream of tasks, one per photo, for a person who teaches.

The person's side is `callbacks/person_loop.py`. The photos are in the order in which they were
found: those that are added to the folder later come at its end, so that an interrupted stream can
be resumed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from datamodules.labelled_images import Item, Key, collate_labelled
from datamodules.person_stream import PersonBatches, PersonStream
from datamodules.tasks import TaskDataModule
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.protocol import StreamProtocol
from interseg.continual.stream import OpenTasks
from interseg.errors import InputError
from interseg.images import read_image
from interseg.labels import read_labels


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


class PhotoStream(PersonStream, OpenTasks):
    """Photos of a folder as the tasks of one sequence.

    Args:
        source: Data module that the method was pretrained with; its size, classes and images of the
            pretraining are used.
        files: Files of the photos, in the order of the tasks.
        truth: Class masks of some photos, by the photos' names.
        before: Number of tasks that the method had learned before.
        at_end: See `PersonStream`.
    """

    def __init__(
        self,
        source: TaskDataModule,
        files: Sequence[Path],
        truth: Mapping[str, Path] | None = None,
        before: int = 0,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(files, at_end)
        table = np.full(65536, IGNORE, np.uint8)
        if source.codes is None:
            table[: source.classes] = np.arange(source.classes)
        else:
            for value, label in source.codes.items():
                table[value] = label
        self.source, self.before = source, before
        self.classes, self.length = source.classes, len(files)
        self.pretraining_images = source.pretraining_images
        self.protocol = StreamProtocol("sequence")
        self.photos = PhotoDataset(files, source.size, truth or {}, table)

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
        batches = PersonBatches(self)
        return DataLoader(self.photos, batch_sampler=batches, collate_fn=collate_labelled)
