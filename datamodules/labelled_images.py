"""Images with a class at every pixel: files, data set, batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datamodules.orientation import check_fit
from datamodules.sources import require_folder
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.images import Size, read_image
from interseg.labels import read_labels
from interseg.listing import image_files

Key = tuple[int, int, int, int, int]
"""Key of an item: epoch, image, task, round, rounds; in pretraining the last three are -1."""

Item = dict[str, Any]
"""One image with the keys of a `TaskBatch` that its loader gives, before it is collated."""


class LabelledImage(NamedTuple):
    """The files of an image and of its classes."""

    image: Path
    mask: Path


class LabelledDataset(Dataset[Item]):
    """Images and their classes, at one size.

    Args:
        files: Files of every image.
        classes: Number of classes, C.
        codes: Class of each value of the mask files, other values are ignored; None if the values
            are the classes.
        size: (height, width) of all views.
        augment: Albumentations pipeline of pretraining, seeded by (seed, epoch, image).
        seed: Seed of augmentation.
        upright: Whether to turn photos by an EXIF orientation that fits their masks both ways.
    """

    def __init__(
        self,
        files: Sequence[LabelledImage],
        classes: int,
        codes: dict[int, int] | None,
        size: tuple[int, int],
        augment: albumentations.Compose | None = None,
        seed: int = 0,
        upright: bool = True,
    ) -> None:
        self.files = files
        self.classes = classes
        self.size = size
        self.augment = augment
        self.seed = seed
        self.upright = upright
        self.table = np.full(65536, IGNORE, np.uint8)
        for value, label in ({c: c for c in range(classes)} if codes is None else codes).items():
            self.table[value] = label

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> Item:
        epoch, index, task, round, rounds = key
        image, mask = self.read(index)
        if self.augment is not None and task < 0:
            self.augment.set_random_seed(
                int(np.random.default_rng((self.seed, epoch, index)).integers(2**31))
            )
            view = self.augment(image=image, mask=mask)
            image, mask = view["image"], view["mask"]
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
        labels = torch.from_numpy(np.ascontiguousarray(mask))
        item: Item = {"id": index, "image": pixels, "mask": labels}
        if task >= 0:
            item |= {
                "sequence": epoch,
                "task": task,
                "round": round,
                "last_round": int(round == rounds - 1),
            }
        return item

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read an image (H, W, 3) and its classes (H, W) at the data set's size.

        Raises:
            InputError: A file is unreadable or wrong; the message names it.
        """
        labels = read_labels(self.files[index].mask)
        image = read_image(
            self.files[index].image, (labels.shape[0], labels.shape[1]), self.upright
        )
        if labels.shape != image.shape[:2]:
            reason = check_fit(
                Size(image.shape[0], image.shape[1]), (labels.shape[0], labels.shape[1])
            )
            raise InputError(f"{self.files[index].mask} {reason}")
        mask = self.table[np.clip(labels, 0, 65535)]
        if (mask == IGNORE).all():
            raise InputError(
                f"{self.files[index].mask} has no pixel of a class 0 to {self.classes - 1}; "
                "look at its values or remove it"
            )
        height, width = self.size
        if mask.shape != self.size:
            image = np.asarray(
                cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
            mask = np.asarray(
                cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8
            )
            if (mask == IGNORE).all():
                raise InputError(
                    f"{self.files[index].mask} has few labelled pixels, and none at {height} x "
                    f"{width}; give a larger size, or remove it"
                )
        return image, mask


class PretrainingImages(Dataset[Item]):
    """The images of a data set that are pretrained on."""

    def __init__(self, dataset: LabelledDataset, indices: list[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> Item:
        return self.dataset[key[0], self.indices[key[1]], *key[2:]]


def collate_labelled(items: list[Item]) -> TaskBatch:
    """Make a batch of items of one size; the keys of the task are those of the first item."""
    batch: TaskBatch = {
        "id": torch.tensor([item["id"] for item in items]),
        "image": torch.stack([item["image"] for item in items]),
        "mask": torch.stack([item["mask"] for item in items]),
    }
    first = items[0]
    if "task" in first:
        batch["sequence"], batch["task"] = first["sequence"], first["task"]
        batch["round"], batch["last_round"] = first["round"], first["last_round"]
    return batch


def require_labelled_folder(path: Path, what: str, how: str) -> Path:
    """Return a folder of images with classes; raises `InputError` if it does not exist."""
    return require_folder(path, what, how, "--config data/class_folder.yaml reads your own images")


def pairs_by_stem(
    images: Path, masks: Path, suffix: str = "", kind: str = ""
) -> list[LabelledImage]:
    """Pair the images of a folder with the masks of the same stem.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        suffix: Text that follows the stem in the names of masks.
        kind: Suffix of the image files to take; "" for all.

    Raises:
        InputError: An image has no mask.
    """
    how = "images and their class masks lie in two folders"
    photos, labels = (
        image_files(require_labelled_folder(folder, "a part of the data set", how))
        for folder in (images, masks)
    )
    photos = {stem: path for stem, path in photos.items() if path.suffix.lower().endswith(kind)}
    for stem, path in photos.items():
        if stem + suffix not in labels:
            raise InputError(
                f"{path} has no mask {stem}{suffix} in {masks}; add it or remove the image"
            )
    return [LabelledImage(path, labels[stem + suffix]) for stem, path in photos.items()]
