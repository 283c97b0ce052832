"""Streams of volumes, in seeded permutations of one volume a task; some are held out.

They are cropped, resized and kept on the disk.

Batches are `interseg.batches.VolumeBatch`.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from datamodules.resuming import ResumableDataModule
from datamodules.tasks import SequenceBatches
from datamodules.volume_dataset import VolumeDataset, first
from datamodules.volume_files import (
    VolumeFiles,
    pair_labels,
    require_volume_folder,
    stem,
    volumes_in,
)
from interseg.batches import VolumeBatch
from interseg.errors import InputError
from interseg.volumes.stream import VolumeStream


class VolumeDataModule(ResumableDataModule, VolumeStream):
    """Base of the data modules of volumes; a subclass names its files in `files()`.

    Args:
        root: Folder of the data set.
        size: (D, H, W) of all volumes; null for their own.
        spacing: Distances in mm along D, H, W between the voxels of all volumes, with size=null;
            null for their own.
        crop: Kind of the crop: "nonzero" (the image's box), "target" (the truth's; the paper's
            slice counts fit this one) or "none".
        margin: Margin of the crop in voxels; 0 to 10 in the paper.
        values: Labels of the target; null for all above 0.
        channel: Channel of images that have several (the decathlon's prostates: 0 is T2, 1 ADC; its
            tumours: 0 is FLAIR).
        series: Id or description of the DICOM series to take of folders that have several; null if
            each has one.
        held_out: Number of volumes that are never learned from.
        stream: Number of volumes in a permutation; null for all others.
        permutations: Number of orders of the stream, each drawn by (seed, number): an epoch each.
        permutation: Number of the only permutation to play (array jobs); null for all.
        learn_from: "rest", or "held_out" to play these as a stream instead (dynamic evaluation,
            Table 5).
        prefix: Permutation and count: only the first volumes of this permutation are played, in
            orders of their own; the others of the stream stay unseen (offline training of Algorithm
            6, Table 2). Mean and standard deviation are still those of the whole stream.
        rounds: Number of rounds of a volume, at most; 1 if all of it is labelled.
        normalise: Volumes whose mean and standard deviation normalise: the "set" that is learned
            from, as in the paper, or each "volume" by its own, for different scanners.
        cache: Folder of prepared volumes; `$XDG_CACHE_HOME/interseg/volumes` by default.
        seed: Seed of split and permutations.
    """

    def __init__(
        self,
        root: str,
        size: tuple[int, int, int] | None = (32, 56, 56),
        spacing: tuple[float, float, float] | None = None,
        crop: str = "target",
        margin: int = 5,
        values: list[int] | None = None,
        channel: int | None = None,
        series: str | None = None,
        held_out: int = 20,
        stream: int | None = None,
        permutations: int = 3,
        permutation: int | None = None,
        learn_from: str = "rest",
        prefix: tuple[int, int] | None = None,
        rounds: int = 6,
        normalise: str = "set",
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if crop not in ("nonzero", "target", "none"):
            raise InputError(f"crop is {crop!r}; use nonzero, target or none")
        if normalise not in ("set", "volume"):
            raise InputError(f"normalise is {normalise!r}; use set or volume")
        if learn_from not in ("rest", "held_out"):
            raise InputError(f"learn_from is {learn_from!r}; use rest or held_out")
        if size is not None and min(size) < 1:
            raise InputError(f"size is {list(size)}; give D, H and W, 1 or more, or null")
        if seed < 0:
            raise InputError(f"seed is {seed}; give 0 or more")
        if spacing is not None:
            is_positive = all(0 < mm < np.inf for mm in spacing)
            if size is not None or not is_positive:
                given = f"spacing is {list(spacing)}, size {'null' if size is None else list(size)}"
                raise InputError(
                    f"{given}; give mm along D, H and W with data.size=null, or a size alone"
                )
        counts = [permutations, rounds] if stream is None else [permutations, rounds, stream]
        if min(margin, held_out) < 0 or min(counts) < 1:
            given = (
                f"margin={margin}, held_out={held_out}, stream={stream}, "
                f"permutations={permutations}, rounds={rounds}"
            )
            raise InputError(f"{given}; margin and held_out are 0 or more, the others 1 or more")
        if learn_from == "held_out" and not held_out:
            raise InputError(
                "learn_from=held_out and held_out=0: there is nothing to learn from; "
                "raise data.held_out"
            )
        if permutation is not None and not 0 <= permutation < permutations:
            raise InputError(
                f"permutation is {permutation}; there are {permutations}, numbered from 0"
            )
        if prefix is not None and (prefix[0] < 0 or prefix[1] < 1):
            raise InputError(
                f"prefix is {list(prefix)}; give a permutation's number, from 0, "
                "and a count of its volumes"
            )
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self.root = Path(root)
        self.size = None if size is None else tuple(size)
        self.crop = crop
        self.margin = margin
        self.values = values
        self.channel = channel
        self.series = series
        self.learn_from = learn_from
        self.prefix = prefix
        self.spacing = None if spacing is None else tuple(spacing)
        self.held_out = held_out
        self.stream = stream
        self.count = permutations
        self.rounds = rounds
        self.seed = seed
        self.numbers = list(range(permutations)) if permutation is None else [permutation]
        self.by_set = normalise == "set"
        self.cache = Path(cache) if cache else Path(home, "interseg", "volumes")
        self._dataset: VolumeDataset | None = None

    def files(self) -> list[VolumeFiles]:
        """List images and labels, in an order that depends on the data alone."""
        raise NotImplementedError

    def objects(self, split: str) -> VolumeDataset:
        """Return all volumes, normalised over those that are learned from.

        Raises:
            InputError: There are too few volumes, two files are one case, or a volume is wrong.
        """
        if self._dataset is None:
            files = self.files()
            self._check_files(files)
            size: Any = self.size
            spacing: Any = self.spacing
            prepared = self.crop, self.margin, size, self.cache, spacing, self.series
            self._dataset = VolumeDataset(files, self.values, self.channel, *prepared)
            for index in range(len(files)):
                self._dataset.read(index)  # a wrong volume raises its error before training
            if self.prefix is not None and self.prefix[1] > len(self.streamed()):
                raise InputError(
                    f"prefix is {list(self.prefix)}; the stream has {len(self.streamed())} volumes"
                )
            if self.by_set:
                _, learned = self.split()
                self._dataset.normalise_by(learned)
        return self._dataset

    def _check_files(self, files: list[VolumeFiles]) -> None:
        """Raise `InputError` for too few volumes, and for two files of one case."""
        needed = self.held_out + (1 if self.stream is None else self.stream)
        if len(files) < needed:
            raise InputError(
                f"{self.root} has {len(files)} volumes; "
                f"lower data.held_out={self.held_out} or data.stream={self.stream}"
            )
        cases: dict[tuple[Path, str], VolumeFiles] = {}
        for case in files:
            for part in case:  # whatever its format, an image or a label belongs to one case
                other = cases.setdefault((part.parent, stem(part)), case)
                if other is not case:
                    raise InputError(
                        f"{other.image} and {case.image} are one case; remove one of them"
                    )

    def split(self) -> tuple[list[int], list[int]]:
        """Return the numbers of the volumes that are held out, and of those to learn from."""
        assert self._dataset is not None
        order = np.random.default_rng(self.seed).permutation(len(self._dataset)).tolist()
        held_out, learned = order[: self.held_out], order[self.held_out :]
        return sorted(held_out), sorted(learned[: self.stream])

    def streamed(self) -> list[int]:
        """Return the numbers of the stream's volumes."""
        held_out, rest = self.split()
        return held_out if self.learn_from == "held_out" else rest

    def order(self, permutation: int) -> list[int]:
        """Return the numbers of the volumes that a permutation plays, in order."""
        played = self.streamed()
        if self.prefix is not None:
            number, count = self.prefix
            played = sorted(self._permute(played, number)[:count])
        return self._permute(played, permutation)

    def _permute(self, volumes: list[int], permutation: int) -> list[int]:
        return np.random.default_rng((self.seed, permutation)).permutation(volumes).tolist()

    def train_dataloader(self) -> DataLoader[VolumeBatch]:
        dataset = self.objects("train")
        epochs = self.trainer.max_epochs if self.trainer else None
        if epochs is not None and epochs > len(self.numbers):
            given = f"trainer.max_epochs={epochs}, permutations to play: {len(self.numbers)}"
            raise InputError(
                f"{given}; an epoch is a permutation: lower the one or raise data.permutations"
            )
        orders = [self.order(permutation) for permutation in range(self.count)]
        batches = SequenceBatches(orders, self.numbers, self.rounds, *self.resumed)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=first)

    def one(self, index: int) -> VolumeBatch:
        """Make a batch of one volume."""
        return self.objects("train")[0, index, 0, 0, 1]


class VolumeFolderDataModule(VolumeDataModule):
    """Data module of your own volumes in `images/` and `labels/` with the same file names.

    They may be in any of SimpleITK's formats.
    """

    def files(self) -> list[VolumeFiles]:
        how = "put images/ and labels/ with the same names into it"
        images = require_volume_folder(self.root / "images", "a folder of volumes", how)
        labels = require_volume_folder(self.root / "labels", "a folder of volumes", how)
        return pair_labels(volumes_in(images), labels)
