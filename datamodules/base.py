"""The data module of clicks: batches (`interseg.batches.ClickBatch`) of a split's objects."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import albumentations
import numpy as np
import torch
from torch.utils.data import DataLoader

from datamodules.click_batches import (
    Batch,
    ClickDataset,
    batches_of,
    collate,
    same_size_batches,
)
from datamodules.resuming import EpochBatches, EpochSampler, ResumableDataModule, ignore_job_signals
from datamodules.sources import ObjectSource, Subset, check_counts, drop_repeats
from interseg.clicks.initial import InitialClicks
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.records import EvaluationRecord, plays_all


@dataclass(frozen=True)
class Loading:
    """Options of making batches of objects, the same for every data set.

    Args:
        batch_size: Number of objects in a training batch, per process.
        eval_batch_size: Number of objects that are played in lock-step, at most; the figures do not
            depend on it.
        num_workers: Number of loader processes per process.
        seed: Seed of order, augmentation and initial clicks.
        augment: Albumentations transforms of training, in order; they see `image` and the masks of
            object, others and coordinates.
        initial: Rule that draws the initial clicks of training.
        distances: Whether to give training the pixels' distances to the object, for losses that
            weigh by them.
        train_objects: Number of objects to train on, drawn once by the seed; None for all.
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
    """Base of the data modules of clicks; a subclass names its objects in `source(split)`."""

    def __init__(self, loading: Loading | None = None) -> None:
        super().__init__()
        self.loading = loading or Loading()
        self.sources: dict[str, ObjectSource] = {}
        self.finished: set[int] = set()
        """Ids that a resumed evaluation need not play again, the same on all ranks."""
        self.played: list[list[int]] = []
        """The same, batch by batch as they were played."""
        self.record: EvaluationRecord | None = None
        """Record of the evaluation in which these data are played; `setup` reads the finished
        objects from it."""

    def setup(self, stage: str) -> None:
        """Find the objects that an evaluation has finished.

        All ranks take the first rank's view, since another job may be writing meanwhile. An
        evaluation of the first batches alone begins again.
        """
        limit = getattr(self.trainer, "limit_test_batches", None)
        if stage != "test" or self.record is None or not plays_all(limit):
            return
        self.played = from_all_ranks(self.record.read_ids_by_batch())[0]
        self.finished = {id for ids in self.played for id in ids}
        rank, _ = self._ranks()
        if self.finished and rank == 0:
            print(f"{self.record.folder}: going on after {len(self.finished)} objects", flush=True)

    @property
    def shard(self) -> tuple[int, int] | None:
        """Numbers (k, n) of an evaluation that plays the k-th of n parts only; else None."""
        return self.record.shard if self.record else None

    def source(self, split: str) -> ObjectSource:
        """Return the objects of a split: "train", "val" or "test"."""
        raise NotImplementedError

    def objects(self, split: str) -> ObjectSource:
        """Return the objects of a split, opened once.

        Raises:
            InputError: The split has no object.
        """
        if split not in self.sources:
            source = self.source(split)
            if len(source) == 0:
                name = type(self).__name__
                first = _first(source.problems or source.left_out)
                raise InputError(f"the {split} split of {name} has no object{first}")
            self.sources[split] = source
        return self.sources[split]

    def learned(self) -> Iterator[str]:
        """Name the objects of training; see `ResumableDataModule`."""
        source = self._choose(self.objects("train"))
        return (source.name(number) for number in range(len(source)))

    def names(self, split: str) -> list[str]:
        """Return the names of a split's objects as a person knows them, by id."""
        objects = self.objects(split)
        return [objects.name(id) for id in range(len(objects))]

    @property
    def problems(self) -> list[str]:
        """Files that could not be read while the splits were listed, a line each."""
        return drop_repeats(line for source in self.sources.values() for line in source.problems)

    @property
    def notes(self) -> list[str]:
        """Decisions about files that could be read in two ways, of opened splits, a line each."""
        return drop_repeats(line for source in self.sources.values() for line in source.notes)

    @property
    def left_out(self) -> list[str]:
        """Files that belong to none of the opened splits, a line a kind."""
        return drop_repeats(line for source in self.sources.values() for line in source.left_out)

    def train_dataloader(self) -> DataLoader[Batch]:
        source = self.objects("train")
        if source.problems and not source.goes_on:
            count = len(source.problems)
            first = _first(source.problems)
            raise InputError(f"the training data have {count} unreadable files{first}")
        options = self.loading
        augment = None
        if options.augment:
            targets = {"others": "mask", "to_source": "mask"}
            augment = albumentations.Compose(options.augment, additional_targets=targets)
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
        """Make a batch of one object of a split, as evaluation shows it."""
        dataset = ClickDataset(self.objects(split))
        return collate([dataset[0, index]])

    def _evaluation_loader(self, split: str) -> DataLoader[Batch]:
        source = self.objects(split)
        sizes = [source.size(index) for index in range(len(source))]
        return self._loader(ClickDataset(source, skip_unreadable=True), self._batches_left(sizes))

    def _batches_left(self, sizes: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Make this rank's batches of what is not finished; one at least.

        Whole batches, so that they are composed as before. Where another number of processes or
        parts played what is finished, the open objects are dealt out anew, evenly.
        """
        rank, world_size = self._ranks()
        (part, parts), size = self.shard or (0, 1), self.loading.eval_batch_size
        ranks = [
            same_size_batches(sizes, size, part * world_size + r, parts * world_size)
            for r in range(world_size)
        ]
        place = {
            i: (r, b) for r, rows in enumerate(ranks) for b, row in enumerate(rows) for _, i in row
        }
        if all(len({place.get(i) for i in ids}) == 1 for ids in self.played):
            left = [row for row in ranks[rank] if not self.finished.issuperset(i for _, i in row)]
        else:
            open_ = [i for i in sorted(place) if i not in self.finished]
            left = batches_of(open_[rank::world_size], sizes, size)
        return left or ranks[rank][-1:]

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
        generator = np.random.default_rng(self.loading.seed)
        chosen = generator.choice(len(source), count, replace=False).tolist()
        return Subset(source, sorted(chosen))


def _first(problems: list[str]) -> str:
    return f", the first: {problems[0]}" if problems else ""
