"""Task streams: images with classes at every pixel.

Some images are pretrained on, others are drawn into seeded sequences of tasks of one image each.

Batches are `interseg.batches.TaskBatch`.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import albumentations
import numpy as np
from torch.utils.data import DataLoader, Sampler

from datamodules.base import Loading
from datamodules.class_masks import check_classes
from datamodules.labelled_images import (
    Item,
    Key,
    LabelledDataset,
    LabelledImage,
    PretrainingImages,
    collate_labelled,
    require_labelled_folder,
)
from datamodules.pairing import pair_folders
from datamodules.resuming import EpochBatches, EpochSampler, ResumableDataModule, ignore_job_signals
from datamodules.sources import check_counts
from interseg.batches import TaskBatch
from interseg.continual.protocol import StreamProtocol
from interseg.continual.stream import TaskStream
from interseg.errors import InputError


class PretrainingSampler(EpochSampler):
    """A shuffled epoch as keys of `LabelledDataset`."""

    def __iter__(self) -> Iterator[Any]:
        return ((epoch, index, -1, -1, -1) for epoch, index in super().__iter__())


class SequenceBatches(Sampler[list[Key]]):
    """Batches of task sequences, one sequence per epoch, the same on every rank.

    Every task's image comes in a row, once for each of its rounds.

    Args:
        sequence: Images of a sequence by its number, in order.
        protocol: Sequences that the epochs play, and rounds of a task.
        epoch: Epoch that is played next; Lightning announces others by `set_epoch`.
        batch: Number of its batch that comes next.
    """

    def __init__(
        self,
        sequence: Callable[[int], Sequence[int]],
        protocol: StreamProtocol,
        epoch: int = 0,
        batch: int = 0,
    ) -> None:
        self.sequence, self.protocol = sequence, protocol
        self.epoch, self.resumed = epoch, (epoch, batch)
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        """Play this epoch next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.sequence(0)) * self.protocol.rounds

    def __iter__(self) -> Iterator[list[Key]]:
        number, rounds = self.protocol.number(self.epoch), self.protocol.rounds
        keys = [
            [(number, index, task, round, rounds)]
            for task, index in enumerate(self.sequence(number))
            for round in range(rounds)
        ]
        return islice(iter(keys), self.resumed[1] if self.resumed[0] == self.epoch else 0, None)


class TaskDataModule(ResumableDataModule, TaskStream):
    """Base of the data modules that stream tasks; a subclass names its files in `files()`.

    Args:
        root: Folder of the data set.
        classes: Number of classes.
        size: (height, width) of all views.
        pretraining_images: Number of images that are pretrained on; no task has one of them.
        length: Number of tasks of a sequence.
        protocol: "offline" pretrains, "sequence" plays tasks; the former by default.
        loading: How the images of a pretraining become batches, see `Loading`.
        seed: Seed of split and sequences.
    """

    codes: ClassVar[dict[int, int] | None] = None
    """Class of each value of the mask files; None if the values are the classes."""

    def __init__(
        self,
        root: str,
        classes: int,
        size: tuple[int, int] = (256, 352),
        pretraining_images: int = 100,
        length: int = 8,
        protocol: StreamProtocol | None = None,
        loading: Loading | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(length=length, classes=classes)
        check_counts(0, pretraining_images=pretraining_images, seed=seed)
        self.root, self.classes, self.size = Path(root), classes, (size[0], size[1])
        self.pretraining_images, self.length, self.seed = pretraining_images, length, seed
        self.protocol = protocol or StreamProtocol("offline")
        self.protocol.check_kind("offline", "sequence")
        if self.protocol.kind == "sequence" and not pretraining_images:
            raise InputError(
                "pretraining_images is 0; what is kept of a pretraining is measured on its images "
                "when a sequence begins: leave at least one (data.pretraining_images)"
            )
        self.loading = loading or Loading()
        self._dataset: LabelledDataset | None = None
        self.left_out: list[str] = []
        """Files that do not belong to the set, a line a kind."""
        self.notes: list[str] = []
        """Decisions about files that could be read in two ways, a line each."""
        self.upright = True
        """Whether photos are turned by an EXIF orientation that fits their masks both ways."""

    def files(self) -> list[LabelledImage]:
        """List the images and masks, in an order that depends on the data alone."""
        raise NotImplementedError

    def objects(self, split: str) -> LabelledDataset:
        """Return all images; raise `InputError` if pretraining and a sequence need more."""
        if self._dataset is None:
            files = self.files()
            needed = self.pretraining_images + self.length
            if len(files) < needed:
                wanted = f"{self.pretraining_images} to pretrain on and {self.length} tasks"
                raise InputError(
                    f"{self.root} has {len(files)} labelled images; {wanted} need {needed}: "
                    "lower data.pretraining_images or data.length"
                )
            transforms, seed = self.loading.augment, self.loading.seed
            augment = albumentations.Compose(transforms) if transforms else None
            self._dataset = LabelledDataset(
                files, self.classes, self.codes, self.size, augment, seed, self.upright
            )
        return self._dataset

    def split(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the images that are pretrained on, and of the others."""
        order = np.random.default_rng(self.seed).permutation(len(self.objects("train"))).tolist()
        return sorted(order[: self.pretraining_images]), sorted(order[self.pretraining_images :])

    def learned(self) -> Iterator[str]:
        """Name the images, those of the pretraining first; see `ResumableDataModule`."""
        return (self.name_of(number) for part in self.split() for number in part)

    def name_of(self, number: int) -> str:
        """Return an image's path from the folder of the data."""
        return os.path.relpath(self.objects("train").files[number].image, self.root)

    def state_dict(self) -> dict[str, Any]:
        """Return what every data module does, and the names of the pretraining's images."""
        found = super().state_dict()
        if found:
            found["pretraining"] = [self.name_of(number) for number in self.split()[0]]
        return found

    def images_of(self, sequence: int) -> list[int]:
        """Return the numbers of a sequence's images, in order, without repetition."""
        pool = self.split()[1]
        return (
            np.random.default_rng((self.seed, sequence))
            .choice(pool, self.length, replace=False)
            .tolist()
        )

    def train_dataloader(self) -> DataLoader[Item]:
        dataset = self.objects("train")
        if self.protocol.kind == "sequence":
            if self.trainer is not None:
                self.protocol.epochs(self.trainer.max_epochs)  # no sequence is played twice
            batches = SequenceBatches(self.images_of, self.protocol, *self.resumed)
            return DataLoader(dataset, batch_sampler=batches, collate_fn=collate_labelled)
        rank, world_size = self._ranks()
        held = PretrainingImages(dataset, self.split()[0])
        batch_size, workers = self.loading.batch_size, self.loading.num_workers
        if len(held) < batch_size * world_size:
            batch = f"a batch of {batch_size} on {world_size} processes"
            raise InputError(
                f"{len(held)} images to pretrain on do not fill {batch}; lower loading.batch_size"
            )
        sampler = PretrainingSampler(
            held, world_size, rank, shuffle=True, seed=self.loading.seed, drop_last=True
        )
        return DataLoader(
            held,
            batch_sampler=EpochBatches(sampler, batch_size, *self.resumed),
            num_workers=workers,
            worker_init_fn=ignore_job_signals,
            collate_fn=collate_labelled,
            persistent_workers=workers > 0,
        )

    def batch_of(self, indices: Sequence[int]) -> TaskBatch:
        """Make one batch of images without augmentation."""
        return collate_labelled([self.objects("train")[0, index, 0, 0, 1] for index in indices])

    def pretraining_batch(self, count: int, start: int = 0) -> TaskBatch:
        """Read some of the images that were pretrained on, in a circle."""
        held = self.split()[0]
        return self.batch_of([held[(start + i) % len(held)] for i in range(min(count, len(held)))])


class ClassFolderDataModule(TaskDataModule):
    """Data module of your own images in `images/` and `masks/` with the same stems.

    Masks have class numbers from 0, 255 = ignore.

    Args:
        root: Folder of the data set.
        images: Name of the folder of images.
        masks: Name of the folder of masks.
        nested: Whether to look into folders below both.
        ordered: Whether to pretrain on the first images by their names, numbers in them by their
            value, and to draw tasks of the others, for frames of a film, which look alike.
        options: Options of `TaskDataModule`.
    """

    def __init__(
        self,
        root: str,
        images: str = "images",
        masks: str = "masks",
        nested: bool = False,
        ordered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        self.images, self.masks, self.nested, self.ordered = images, masks, nested, ordered

    def split(self) -> tuple[list[int], list[int]]:
        if not self.ordered:
            return super().split()
        files = self.objects("train").files
        order = sorted(range(len(files)), key=lambda index: by_number(files[index].image.name))
        return sorted(order[: self.pretraining_images]), sorted(order[self.pretraining_images :])

    def files(self) -> list[LabelledImage]:
        how = "images and their class masks lie in two folders"
        images, masks = (
            require_labelled_folder(self.root / name, "a part of the data set", how)
            for name in (self.images, self.masks)
        )
        pairs = pair_folders(images, masks, self.nested)
        if pairs.without_mask:
            path = pairs.without_mask[0]
            raise InputError(
                f"{path} has no mask {path.stem} in {masks}; add it or remove the image"
            )
        self.left_out = pairs.left_out
        self.upright, self.notes = check_classes(list(pairs.files.values()), self.classes)
        return [LabelledImage(*pair) for pair in pairs.files.values()]


def by_number(name: str) -> list[Any]:
    """Make a key that sorts names by their text, and numbers in them by their value."""
    parts = re.split(r"(\d+)", name)  # text and numbers by turns
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
