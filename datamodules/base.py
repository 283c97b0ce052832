"""The data module of clicks: it builds batches (`interseg.batches.ClickBatch`) from a source of objects."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import albumentations
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.resuming import EpochBatches, EpochSampler, ResumableDataModule, ignore_job_signals
from datamodules.sources import ObjectSource, Sample, check_counts
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import IGNORE, no_clicks, pad_clicks
from interseg.distance import distance_to
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.records import EvaluationRecord

Batch = dict[str, Any]


class ClickDataset(Dataset[Batch]):
    """One object an item. Training items are `(epoch, index)`, augmented and clicked by a generator of (seed, epoch, id).

    Args:
        source: where the objects come from.
        augment: an albumentations pipeline; None for whole images.
        initial: draws the first clicks of training items; None for no clicks.
        seed: of all randomness.
        skip_unreadable: give an item that only carries `errors` instead of raising (set
            evaluation).
        distances: add `distance`.
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
        mask = np.where(to_source[..., 0] < 0, np.uint8(IGNORE), view["mask"])
        clicks = self.initial(mask, view["others"], generator) if self.initial else no_clicks()
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
    """(H, W, 2) float32 of y + 1, x + 1: 0 marks what an augmentation pads; float, since OpenCV's warps take it in every mode."""
    return np.moveaxis(np.indices(shape, dtype=np.float32), 0, -1) + 1


def collate(items: list[Batch]) -> Batch:
    """Items of one size to a batch; unreadable ones only leave their messages."""
    good = [item for item in items if "id" in item]
    batch: Batch = {"errors": [message for item in items for message in item.get("errors", [])]}
    batch["id"] = torch.tensor([item["id"] for item in good], dtype=torch.int64)
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
        stacked = ("image", "mask", "to_source", "distance", "previous")
        batch |= {
            key: torch.stack([item[key] for item in good]) for key in stacked if key in good[0]
        }
        batch["clicks"] = pad_clicks([item["clicks"] for item in good])
    return batch


def same_size_batches(
    sizes: list[tuple[int, int]], batch_size: int, rank: int, world_size: int
) -> list[list[tuple[int, int]]]:
    """Put this rank's objects (rank, rank + world size, ...) into batches of one image size each, as `(0, index)`.

    No object twice, but for ranks that none is left for: Lightning passes over the end of an empty
    evaluation, where the others wait.
    """
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for index in range(rank, len(sizes), world_size) or [rank % len(sizes)]:
        groups.setdefault(sizes[index], []).append((0, index))
    return [
        group[i : i + batch_size]
        for group in groups.values()
        for i in range(0, len(group), batch_size)
    ]


@dataclass(frozen=True)
class Loading:
    """How objects become batches, the same for every data set.

    Args:
        batch_size: of training, per process.
        eval_batch_size: most objects played in lock-step; the figures do not depend on it.
        num_workers: loader processes per process.
        seed: of order, augmentation and initial clicks.
        augment: albumentations transforms of training, in order; they see `image` and the masks of
            object, others and coordinates.
        initial: the initial click sets of training.
        distances: give training the pixels' distances to the object, for losses that weigh by them.
        train_objects: train on this many objects only, drawn once by the seed; None for all.
    """

    batch_size: int = 8
    eval_batch_size: int = 8
    num_workers: int = 2
    seed: int = 0
    augment: list[albumentations.BasicTransform] = field(default_factory=list)
    initial: InitialClicks = field(default_factory=InitialClicks)
    train_objects: int | None = None
    distances: bool = False

    def __post_init__(self) -> None:
        check_counts(
            batch_size=self.batch_size,
            eval_batch_size=self.eval_batch_size,
            train_objects=self.train_objects,
        )
        check_counts(0, num_workers=self.num_workers, seed=self.seed)


class ClickDataModule(ResumableDataModule):
    """Base of the data modules of clicks: a subclass names its objects in `source(split)`, all else is here."""

    def __init__(self, loading: Loading | None = None) -> None:
        super().__init__()
        self.loading = loading or Loading()
        self.sources: dict[str, ObjectSource] = {}
        self.finished: set[int] = set()
        """Objects that an evaluation which goes on need not play again, the same on all ranks."""
        self.record: EvaluationRecord | None = None
        """Of the evaluation that these data are played in, whose finished objects are read in
        `setup`."""

    def setup(self, stage: str) -> None:
        """Find what an evaluation has finished; the first rank's view holds, since another job may be writing."""
        if stage == "test" and self.record is not None:
            self.finished = from_all_ranks(self.record.kept_ids())[0]
            if self.finished and self._ranks()[0] == 0:
                print(
                    f"{self.record.folder}: going on after {len(self.finished)} objects", flush=True
                )

    @property
    def shard(self) -> tuple[int, int] | None:
        """(k, n) of an evaluation that plays the k-th of n parts only."""
        return self.record.shard if self.record else None

    def source(self, split: str) -> ObjectSource:
        """Return the objects of a split: "train", "val" or "test"."""
        raise NotImplementedError

    def objects(self, split: str) -> ObjectSource:
        """Return the objects of a split, opened once; raises `InputError` for a split without objects."""
        if split not in self.sources:
            source = self.source(split)
            if len(source) == 0:
                raise InputError(
                    f"the {split} split of {type(self).__name__} has no "
                    f"object{_first(source.problems)}"
                )
            self.sources[split] = source
        return self.sources[split]

    def names(self, split: str) -> list[str]:
        """Return what a person calls the objects of a split, by their ids."""
        objects = self.objects(split)
        return [objects.name(id) for id in range(len(objects))]

    @property
    def problems(self) -> list[str]:
        """What could not be read while the splits were listed, a line each."""
        return drop_repeats(line for source in self.sources.values() for line in source.problems)

    @property
    def notes(self) -> list[str]:
        """What was decided about files that could be read in two ways, in the splits that were listed, a line each."""
        return drop_repeats(line for source in self.sources.values() for line in source.notes)

    @property
    def left_out(self) -> list[str]:
        """Files that are none of the splits' that were listed, a line a kind."""
        return drop_repeats(line for source in self.sources.values() for line in source.left_out)

    def train_dataloader(self) -> DataLoader[Batch]:
        source = self.objects("train")
        if source.problems and not source.goes_on:
            raise InputError(
                f"the training data have {len(source.problems)} unreadable "
                f"files{_first(source.problems)}"
            )
        options = self.loading
        augment = (
            albumentations.Compose(
                options.augment, additional_targets={"others": "mask", "to_source": "mask"}
            )
            if options.augment
            else None
        )
        dataset = ClickDataset(
            self._choose(source),
            augment,
            options.initial,
            options.seed,
            distances=options.distances,
        )
        rank, world_size = self._ranks()
        sampler = self._sampler(dataset, world_size, rank)
        if len(sampler) < options.batch_size:
            ranks = f"{options.batch_size} on {world_size} processes"
            raise InputError(
                f"{len(dataset)} training objects do not fill a batch of {ranks}; "
                "lower loading.batch_size"
            )
        return self._loader(dataset, EpochBatches(sampler, options.batch_size, *self.resumed))

    def _sampler(self, dataset: ClickDataset, world_size: int, rank: int) -> EpochSampler:
        """Make the order of training: every object once an epoch."""
        return EpochSampler(
            dataset, world_size, rank, shuffle=True, seed=self.loading.seed, drop_last=True
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._evaluation_loader("test")

    def single(self, split: str, index: int) -> Batch:
        """One object of a split as a batch of its own, as evaluation shows it."""
        return collate([ClickDataset(self.objects(split))[0, index]])

    def _evaluation_loader(self, split: str) -> DataLoader[Batch]:
        source = self.objects(split)
        (rank, world_size), (part, parts) = self._ranks(), self.shard or (0, 1)
        sizes = [source.size(i) for i in range(len(source))]
        batches = same_size_batches(
            sizes, self.loading.eval_batch_size, part * world_size + rank, parts * world_size
        )
        # whole batches, so that the others are composed as before; at least one
        left = [
            b for b in batches if not self.finished.issuperset(index for _, index in b)
        ] or batches[-1:]
        return self._loader(ClickDataset(source, skip_unreadable=True), left)

    def _loader(self, dataset: ClickDataset, batches: Any) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=self.loading.num_workers,
            worker_init_fn=ignore_job_signals,
            collate_fn=collate,
            persistent_workers=self.loading.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _choose(self, source: ObjectSource) -> ObjectSource:
        count = self.loading.train_objects
        if count is None or count >= len(source):
            return source
        chosen = np.random.default_rng(self.loading.seed).choice(len(source), count, replace=False)
        return Subset(source, sorted(chosen.tolist()))


class Subset(ObjectSource):
    """Some objects of a source, numbered anew."""

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
    """List lines without repetition: splits may share a source."""
    return list(dict.fromkeys(lines))


def _first(problems: list[str]) -> str:
    return f", the first: {problems[0]}" if problems else ""
