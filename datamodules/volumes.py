"""Streams of volumes, in seeded permutations of one volume a task; some are held out.

They are cropped, resized and kept on the disk.

Batches are `interseg.batches.VolumeBatch`.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.resuming import ResumableDataModule
from datamodules.tasks import Key, SequenceBatches
from datamodules.volume_files import (
    Volume,
    VolumeFiles,
    crop_volume,
    pair_labels,
    read_case,
    require_volume_folder,
    resize_volume,
    size_at,
    stem,
    volumes_in,
    with_data,
)
from interseg.batches import VolumeBatch
from interseg.errors import InputError
from interseg.files import whole
from interseg.volumes.stream import VolumeStream

PREPARATION = 3
"""Of how volumes are read, cropped and resized; raised with each change, so that the cache serves
nothing of before."""


class VolumeDataset(Dataset[VolumeBatch]):
    """Cases, cropped and resized once and kept in a cache that several processes may share.

    Args:
        files: of every case.
        values: labels of the target.
        channel: of images that have several.
        crop: "nonzero", "target" or "none".
        margin: of the crop in voxels.
        size: (D, H, W) of all volumes; None for their own.
        cache: folder of what was prepared.
        spacing: mm along D, H, W between the voxels of all volumes, instead of a size.
        series: of folders that hold several DICOM series, see `read_volume`.
    """

    def __init__(
        self,
        files: Sequence[VolumeFiles],
        values: Sequence[int] | None,
        channel: int | None,
        crop: str,
        margin: int,
        size: tuple[int, int, int] | None,
        cache: Path,
        spacing: tuple[float, float, float] | None = None,
        series: str | None = None,
    ) -> None:
        self.files = files
        self.values = values
        self.channel = channel
        self.cache = cache
        self.series = series
        self.crop, self.margin, self.size, self.spacing = crop, margin, size, spacing
        self.normal: tuple[float, float] | None = None
        """Mean and standard deviation that volumes are normalised by; None for each one's own."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> VolumeBatch:
        sequence, index, task, round, rounds = key
        volume = self.read(index)
        mean, std = self.normal or (float(volume.image.mean()), float(volume.image.std()) or 1.0)
        return {
            "id": torch.tensor([index]),
            "volume": torch.from_numpy((volume.image - np.float32(mean)) / np.float32(std))[
                None, None
            ],
            "mask": torch.from_numpy(volume.mask)[None],
            "spacing": torch.tensor([volume.spacing], dtype=torch.float32),
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }

    def read(self, index: int) -> Volume:
        """Read a case, prepared; from the cache where its files and the settings have not changed."""
        path = self.cache / f"{self._digest(index)}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                z, y, x = kept["spacing"].tolist()
                return Volume(kept["image"], kept["mask"], (z, y, x))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            case = read_case(self.files[index], self.values, self.channel, self.series)
            cropped = crop_volume(case, self.crop, self.margin)
            prepared = resize_volume(
                cropped, self.size if self.spacing is None else size_at(cropped, self.spacing)
            )
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with whole(path) as part, part.open("wb") as file:
                np.savez(file, **prepared._asdict())
        except OSError as error:
            raise InputError(
                f"{self.cache} cannot be written ({error.strerror or error}); "
                "give data.cache=FOLDER for prepared volumes"
            ) from None
        return prepared

    def _digest(self, index: int) -> str:
        files = [
            file
            for part in self.files[index]
            for file in (sorted(part.iterdir()) if part.is_dir() else with_data(part))
        ]
        facts = [
            (str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) for p in files if p.exists()
        ]
        settings = [
            PREPARATION,
            self.values,
            self.channel,
            self.crop,
            self.margin,
            self.size,
            *(self.spacing or ()),
        ]
        settings += [self.series] if self.series is not None else []
        return hashlib.sha256(json.dumps([facts, settings]).encode()).hexdigest()[:24]

    def normalise(self, indices: Sequence[int]) -> None:
        """Take mean and standard deviation of all voxels of some volumes."""
        sums = np.zeros(3)
        for index in indices:
            image = self.read(index).image.astype(np.float64)
            sums += (image.size, image.sum(), (image**2).sum())
        mean = sums[1] / sums[0]
        self.normal = (float(mean), float(np.sqrt(max(sums[2] / sums[0] - mean**2, 1e-12))))


def first(items: list[VolumeBatch]) -> VolumeBatch:
    """Take the one volume that a batch is."""
    return items[0]


class VolumeDataModule(ResumableDataModule, VolumeStream):
    """Base of the data modules of volumes: a subclass names its files in `files()`, all else is here.

    Args:
        root: the data set's folder.
        size: (D, H, W) of all volumes; null for their own.
        spacing: mm along D, H, W between the voxels of all volumes, with size=null; null for their
            own.
        crop: "nonzero" (the image's box), "target" (the truth's; the paper's slice counts fit this
            one) or "none".
        margin: of the crop in voxels; the paper's 0 to 10.
        values: labels of the target; null for all above 0.
        channel: of images that have several (the decathlon's prostates: 0 is T2, 1 ADC; its
            tumours: 0 is FLAIR).
        series: id or description of the DICOM series to take of folders that hold several; null
            where each holds one.
        held_out: volumes that are never learned from.
        stream: volumes of a permutation; null for all others.
        permutations: orders of the stream, each drawn by (seed, number): an epoch each.
        permutation: play this one only (array jobs).
        learn_from: "rest", or "held_out" to play these as a stream instead (dynamic evaluation,
            Table 5).
        prefix: (permutation, count): play the first volumes of this permutation alone, in orders of
            their own; the others of the stream stay unseen (offline training of Algorithm 6, Table
            2). The set's mean and standard deviation stay the whole stream's.
        rounds: most rounds of a volume; 1 where all of it is labelled.
        normalise: by mean and standard deviation of the "set" that is learned from, as in the
            paper, or of each "volume", where scanners give values of their own.
        cache: folder of prepared volumes; `$XDG_CACHE_HOME/interseg/volumes` by default.
        seed: of split and permutations.
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
        if spacing is not None and (size is not None or not all(0 < mm < np.inf for mm in spacing)):
            given = f"spacing is {list(spacing)}, size {'null' if size is None else list(size)}"
            raise InputError(
                f"{given}; give mm along D, H and W with data.size=null, or a size alone"
            )
        if (
            min(margin, held_out) < 0
            or min(permutations, rounds) < 1
            or (stream is not None and stream < 1)
        ):
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
        home = Path(
            os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "interseg", "volumes"
        )
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
        self.by_set, self.cache = normalise == "set", Path(cache) if cache else home
        self._dataset: VolumeDataset | None = None

    def files(self) -> list[VolumeFiles]:
        """Images and labels, in an order that depends on the data alone."""
        raise NotImplementedError

    def objects(self, split: str) -> VolumeDataset:
        """All volumes, normalised over those that are learned from; raises `InputError` where there are too few."""
        if self._dataset is None:
            files = self.files()
            if len(files) <= self.held_out + (self.stream or 0) - (self.stream is not None):
                raise InputError(
                    f"{self.root} has {len(files)} volumes; "
                    f"lower data.held_out={self.held_out} or data.stream={self.stream}"
                )
            cases: dict[tuple[Path, str], VolumeFiles] = {}
            for case in files:
                for part in case:  # whatever the format, an image or a label is of one case
                    other = cases.setdefault((part.parent, stem(part)), case)
                    if other is not case:
                        raise InputError(
                            f"{other.image} and {case.image} are one case; remove one of them"
                        )
            size: Any = self.size
            spacing: Any = self.spacing
            prepared = self.crop, self.margin, size, self.cache, spacing, self.series
            self._dataset = VolumeDataset(files, self.values, self.channel, *prepared)
            for index in range(len(files)):
                self._dataset.read(
                    index
                )  # what is wrong with a volume shows before anything is learned
            if self.prefix is not None and self.prefix[1] > len(self.streamed()):
                raise InputError(
                    f"prefix is {list(self.prefix)}; the stream has {len(self.streamed())} volumes"
                )
            if self.by_set:
                self._dataset.normalise(self.split()[1])
        return self._dataset

    def split(self) -> tuple[list[int], list[int]]:
        """Volumes that are held out, and those that are learned from."""
        assert self._dataset is not None
        order = np.random.default_rng(self.seed).permutation(len(self._dataset)).tolist()
        learned = order[self.held_out :]
        return sorted(order[: self.held_out]), sorted(
            learned if self.stream is None else learned[: self.stream]
        )

    def streamed(self) -> list[int]:
        """Return the volumes of the stream."""
        held_out, rest = self.split()
        return held_out if self.learn_from == "held_out" else rest

    def order(self, permutation: int) -> list[int]:
        """Return the volumes that a permutation plays, in order."""
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
        batches = SequenceBatches(
            [self.order(k) for k in range(self.count)], self.numbers, self.rounds, *self.resumed
        )
        return DataLoader(dataset, batch_sampler=batches, collate_fn=first)

    def one(self, index: int) -> VolumeBatch:
        """Return a volume as a batch."""
        return self.objects("train")[0, index, 0, 0, 1]


class VolumeFolderDataModule(VolumeDataModule):
    """Your own volumes: `images/` and `labels/` with the same file names, in any of SimpleITK's formats."""

    def files(self) -> list[VolumeFiles]:
        how = "put images/ and labels/ with the same names into it"
        images, labels = (
            require_volume_folder(self.root / name, "a folder of volumes", how)
            for name in ("images", "labels")
        )
        return pair_labels(volumes_in(images), labels)
