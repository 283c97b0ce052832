"""Streams of volumes, in seeded permutations of one volume a task; some are held out.

They are cropped, resized and kept on the disk.

Batches are `interseg.batches.VolumeBatch`.
"""

import os
from collections.abc import Iterator
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
from interseg.continual.protocol import StreamProtocol
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
        without: Files of labels, without suffix, of the cases to leave out: of those that lack the
            target, or whose labels do not fit.
        held_out: Number of volumes that are never learned from.
        stream: Number of volumes in a permutation; null for all others.
        protocol: Kind, permutations and rounds of a run: "offline", "static" or "stream"; the last
            by default. Its `volumes=held_out` plays these as a stream (dynamic evaluation, Table
            5).
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
        without: list[str] | None = None,
        held_out: int = 20,
        stream: int | None = None,
        protocol: StreamProtocol | None = None,
        normalise: str = "set",
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if crop not in ("nonzero", "target", "none"):
            raise InputError(f"crop is {crop!r}; use nonzero, target or none")
        if normalise not in ("set", "volume"):
            raise InputError(f"normalise is {normalise!r}; use set or volume")
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
        if min(margin, held_out) < 0 or (stream is not None and stream < 1):
            given = f"margin={margin}, held_out={held_out}, stream={stream}"
            raise InputError(f"{given}; margin and held_out are 0 or more, stream 1 or more")
        self.protocol = protocol or StreamProtocol("stream")
        self.protocol.check_kind("offline", "static", "stream")
        if self.protocol.volumes == "held_out" and not held_out:
            raise InputError(
                f"protocol.kind={self.protocol.kind} plays the held-out volumes, and there are "
                "none; raise data.held_out"
            )
        home = Path(
            os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "interseg", "volumes"
        )
        self.root, self.size = Path(root), None if size is None else tuple(size)
        self.crop, self.margin, self.values = crop, margin, values
        self.channel, self.series = channel, series
        self.without = [str(name) for name in without or []]
        self.spacing = None if spacing is None else tuple(spacing)
        self.held_out, self.stream, self.seed = held_out, stream, seed
        self.by_set, self.cache = normalise == "set", Path(cache) if cache else home
        self._dataset: VolumeDataset | None = None

    def files(self) -> list[VolumeFiles]:
        """List images and labels, in an order that depends on the data alone."""
        raise NotImplementedError

    def cases(self) -> list[VolumeFiles]:
        """List the files of all cases but those of `without`; raises `InputError` for others."""
        files = self.files()
        names = [stem(case.label) for case in files]
        unknown = [name for name in self.without if name not in names]
        if unknown:
            raise InputError(
                f"without has {unknown[0]!r}; the labels in {self.root} are {', '.join(names)}"
            )
        return [case for case, name in zip(files, names, strict=True) if name not in self.without]

    def objects(self, split: str) -> VolumeDataset:
        """Return all volumes, normalised over those that are learned from.

        Raises:
            InputError: There are too few volumes, two files are one case, or a volume is wrong.
        """
        if self._dataset is None:
            files = self.cases()
            self._check_files(files)
            size: Any = self.size
            spacing: Any = self.spacing
            prepared = self.crop, self.margin, size, self.cache, spacing, self.series
            self._dataset = VolumeDataset(files, self.values, self.channel, *prepared)
            for index in range(len(files)):
                self._dataset.read(index)  # a wrong volume raises its error before training
            first = self.protocol.first
            if first is not None and first[1] > len(self.streamed()):
                raise InputError(
                    f"protocol.first is {list(first)}; "
                    f"the stream has {len(self.streamed())} volumes"
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
        count = len(self.cases() if self._dataset is None else self._dataset)
        order = np.random.default_rng(self.seed).permutation(count).tolist()
        held_out, learned = order[: self.held_out], order[self.held_out :]
        return sorted(held_out), sorted(learned[: self.stream])

    def learned(self) -> Iterator[str]:
        """Name the cases, those that are held out first; see `ResumableDataModule`."""
        cases = self.cases()
        return (stem(cases[number].label) for part in self.split() for number in part)

    def streamed(self) -> list[int]:
        """Return the numbers of the stream's volumes."""
        held_out, rest = self.split()
        return held_out if self.protocol.volumes == "held_out" else rest

    def order(self, permutation: int) -> list[int]:
        """Return the numbers of the volumes that a permutation plays, in order."""
        played = self.streamed()
        if self.protocol.first is not None:
            number, count = self.protocol.first
            played = sorted(self._permute(played, number)[:count])
        return self._permute(played, permutation)

    def _permute(self, volumes: list[int], permutation: int) -> list[int]:
        return np.random.default_rng((self.seed, permutation)).permutation(volumes).tolist()

    def train_dataloader(self) -> DataLoader[VolumeBatch]:
        dataset = self.objects("train")
        if self.trainer is not None:
            self.protocol.epochs(self.trainer.max_epochs)  # no permutation is played twice
        batches = SequenceBatches(self.order, self.protocol, *self.resumed)
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
