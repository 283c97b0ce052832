"""Batches of clicks (`interseg.batches.ClickBatch`), built from a source of objects."""

from collections.abc import Iterable, Sequence
from typing import Any

import albumentations
import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.sources import ObjectSource, Sample
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import IGNORE, no_clicks, pad_clicks
from interseg.distance import distance_to
from interseg.errors import InputError

Batch = dict[str, Any]


class ClickDataset(Dataset[Batch]):
    """A data set of one object an item, asked for by `(epoch, index)`.

    Augmentation and initial clicks are drawn by a generator of (seed, epoch, id).

    Args:
        source: Source of the objects.
        augment: Albumentations pipeline; None for whole images.
        initial: Rule that draws the first clicks of training items; None for no clicks.
        seed: Seed of all randomness.
        skip_unreadable: Whether an unreadable object gives an item that only carries `errors`,
            instead of raising (evaluation of a whole set).
        distances: Whether to add `distance`.
    """

    def __init__(
        self,
        source: ObjectSource,
        augment: albumentations.Compose | None = None,
        initial: InitialClicks | None = None,
        seed: int = 0,
        skip_unreadable: bool = False,
        distances: bool = False,
    ) -> None:
        self.source, self.augment, self.initial, self.seed = source, augment, initial, seed
        self.skip_unreadable, self.distances = skip_unreadable, distances

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        try:
            return self._item(self.source.read(index), epoch, index)
        except InputError as error:
            if not self.skip_unreadable:
                raise
            return {"errors": [f"{self.source.name(index)}: {error}"]}

    def _item(self, sample: Sample, epoch: int, index: int) -> Batch:
        generator = np.random.default_rng((self.seed, epoch, index))
        view = {
            "image": sample.image,
            "mask": sample.mask,
            "others": sample.others,
            "to_source": identity_map(sample.mask.shape),
        }
        if self.augment is not None:
            self.augment.set_random_seed(int(generator.integers(2**31)))
            view = self.augment(**view)
        kind = np.int16 if max(sample.mask.shape) < 2**15 else np.int32
        to_source = np.rint(view["to_source"]).astype(kind) - 1
        padded = to_source[..., 0] < 0
        mask = np.where(padded, np.uint8(IGNORE), view["mask"])
        clicks = no_clicks()
        if self.initial:
            clicks = self.initial(mask, view["others"], generator)
        image = np.ascontiguousarray(view["image"].transpose(2, 0, 1))
        item = {
            "id": index,
            "image": torch.from_numpy(image).float() / 255,
            "mask": torch.from_numpy(mask),
            "clicks": clicks,
            "to_source": torch.from_numpy(to_source),
        }
        if self.distances:
            item["distance"] = torch.from_numpy(distance_to(mask == 1))
        if sample.previous is not None and self.augment is None:
            item["previous"] = torch.from_numpy(sample.previous)
        return item


def identity_map(shape: tuple[int, ...]) -> np.ndarray:
    """Make the map (H, W, 2) of y + 1, x + 1 of an image; 0 marks what an augmentation pads.

    It is float32, since OpenCV's warps take that in every mode.
    """
    coordinates = np.indices(shape, dtype=np.float32)
    return np.moveaxis(coordinates, 0, -1) + 1


def collate(items: list[Batch]) -> Batch:
    """Make a batch of items of one size; unreadable items only leave their messages."""
    errors: list[str] = []
    for item in items:
        errors += item.get("errors", [])
    good = [item for item in items if "id" in item]
    ids = [item["id"] for item in good]
    batch: Batch = {"errors": errors, "id": torch.tensor(ids, dtype=torch.int64)}
    if good:
        sizes = sorted({tuple(item["mask"].shape) for item in good})
        if len(sizes) > 1:
            raise InputError(
                f"views of {sizes[0]} and {sizes[1]} pixels cannot be one batch; "
                "end loading.augment with a crop to one size"
            )
        if len({"previous" in item for item in good}) > 1:
            raise InputError(
                "objects with and without a mask to start from cannot be one batch; "
                "evaluate them one after the other"
            )
        for key in ("image", "mask", "to_source", "distance", "previous"):
            if key in good[0]:
                batch[key] = torch.stack([item[key] for item in good])
        batch["clicks"] = pad_clicks([item["clicks"] for item in good])
    return batch


def same_size_batches(
    sizes: list[tuple[int, int]], batch_size: int, rank: int, world_size: int
) -> list[list[tuple[int, int]]]:
    """Put a rank's objects into batches of one image size each, as `(0, index)`.

    The rank has the objects rank, rank + world size, ... No object comes twice, unless there are
    fewer objects than ranks: a rank without any plays one of another rank, since Lightning passes
    over the end of an empty evaluation, where the other ranks wait.

    Args:
        sizes: (height, width) of each object's image.
        batch_size: Number of objects in a batch, at most.
        rank: Number of this process.
        world_size: Number of processes.
    """
    return batches_of(range(rank, len(sizes), world_size) or [rank % len(sizes)], sizes, batch_size)


def batches_of(
    indices: Iterable[int], sizes: Sequence[tuple[int, int]], batch_size: int
) -> list[list[tuple[int, int]]]:
    """Put objects into batches of one image size each, as `(0, index)`; see `same_size_batches`."""
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for index in indices:
        groups.setdefault(sizes[index], []).append((0, index))
    batches = []
    for group in groups.values():
        for start in range(0, len(group), batch_size):
            batches.append(group[start : start + batch_size])
    return batches
