"""Streams of volumes: cropped, resized and kept on the disk, one a task, in seeded permutations; some are held out.

**Batch** (a dict of one volume): `id` (1,) int64, `volume` (1, 1, D, H, W) float32 normalised, `mask` (1, D, H, W) uint8
of the target, `spacing` (1, 3) float32 mm between voxels along D, H, W, and `sequence` (the permutation), `task`, `round`, `last_round`
as in datamodules/tasks.py: a volume comes as often in a row as it has rounds.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from datamodules.base import Batch
from datamodules.resuming import ResumableDataModule
from datamodules.tasks import Key, SequenceBatches, labelled_folder
from interseg.errors import InputError


class VolumeFiles(NamedTuple):
    """An image and its labels: files, or a folder of DICOM slices."""

    image: Path
    label: Path


class Volume(NamedTuple):
    """One case as a method sees it."""

    image: NDArray[np.float32]
    """(D, H, W) intensities."""
    mask: NDArray[np.uint8]
    """(D, H, W) 1 in the target."""
    spacing: tuple[float, float, float]
    """mm along D, H, W."""


def read_volume(path: Path) -> SimpleITK.Image:
    """Any of SimpleITK's formats (NIfTI, MHA, NRRD), or a folder of DICOM slices, turned to LPS; raises `InputError` for others."""
    try:
        if path.is_dir():
            series = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(path))
            if not series:
                raise InputError(f"{path} holds no DICOM series; give the folder of its slices")
            image = SimpleITK.ReadImage(series)
        else:
            image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as a volume ({str(error).strip().splitlines()[-1][:120]}); replace the file") from None
    if image.GetDimension() != 3:
        raise InputError(f"{path} has {image.GetDimension()} dimensions; a volume has 3, channels are in files of their own")
    return SimpleITK.DICOMOrient(image, "LPS")


def read_case(files: VolumeFiles, values: Sequence[int] | None = None) -> Volume:
    """Image and target at their own resolution. Voxels of NIfTI files that are no numbers are 0: ITK reads them so.

    Args:
        files: of the case.
        values: labels of the target; None for all above 0.

    Raises:
        InputError: different sizes or positions of image and labels, voxels that are no numbers, an empty target.
    """
    image, label = read_volume(files.image), read_volume(files.label)
    if image.GetSize() != label.GetSize():
        raise InputError(f"{files.label} has {label.GetSize()} voxels, its image {image.GetSize()}; labels are drawn on the image")
    for name in ("Spacing", "Origin", "Direction"):
        ours, theirs = (getattr(part, f"Get{name}")() for part in (image, label))
        if not np.allclose(ours, theirs, atol=1e-2):
            raise InputError(f"{files.label} lies elsewhere than its image ({name.lower()} {theirs} against {ours}); resample the labels")
    pixels, labels = SimpleITK.GetArrayFromImage(image).astype(np.float32), SimpleITK.GetArrayFromImage(label)
    if not np.isfinite(pixels).all():
        raise InputError(f"{files.image} has {int((~np.isfinite(pixels)).sum())} voxels that are no numbers; repair or remove it")
    mask = np.isin(labels, values) if values is not None else labels > 0
    if not mask.any():
        raise InputError(f"{files.label} has no voxel of the target (labels {values or 'above 0'}); leave the volume out")
    x, y, z = image.GetSpacing()
    return Volume(pixels, mask.astype(np.uint8), (z, y, x))


def cropped_volume(volume: Volume, crop: str, margin: int) -> Volume:
    """The box round all voxels that are not 0 and the target ("nonzero"), or round the target ("target"), with a margin.

    "none" leaves the volume as it is.
    """
    if crop == "none":
        return volume
    region = (volume.mask > 0) | ((volume.image != 0) & (crop == "nonzero"))
    box = tuple(slice(max(0, int(found.min()) - margin), int(found.max()) + 1 + margin) for found in np.nonzero(region))
    return Volume(volume.image[box], volume.mask[box], volume.spacing)


def resized_volume(volume: Volume, size: tuple[int, int, int] | None) -> Volume:
    """At (D, H, W) voxels: trilinear, the mask by nearest voxels; a target that vanishes keeps its centre voxel."""
    if size is None or volume.image.shape == tuple(size):
        return volume
    image = interpolate(torch.from_numpy(volume.image)[None, None], size, mode="trilinear")[0, 0].numpy()
    mask = interpolate(torch.from_numpy(volume.mask)[None, None].float(), size, mode="nearest-exact")[0, 0].byte().numpy()
    scale = [a / b for a, b in zip(volume.image.shape, size, strict=True)]
    if not mask.any():
        centre = tuple(int(np.mean(found) / s) for found, s in zip(np.nonzero(volume.mask), scale, strict=True))
        mask[centre] = 1
    return Volume(image, mask, (volume.spacing[0] * scale[0], volume.spacing[1] * scale[1], volume.spacing[2] * scale[2]))


class VolumeDataset(Dataset[Batch]):
    """Cases, cropped and resized once and kept in a cache that several processes may share.

    Args:
        files: of every case.
        values: labels of the target.
        crop: "nonzero", "target" or "none".
        margin: of the crop in voxels.
        size: (D, H, W) of all volumes; None for their own.
        cache: folder of what was prepared.
    """

    def __init__(
        self,
        files: Sequence[VolumeFiles],
        values: Sequence[int] | None,
        crop: str,
        margin: int,
        size: tuple[int, int, int] | None,
        cache: Path,
    ) -> None:
        self.files, self.values, self.crop, self.margin, self.size, self.cache = files, values, crop, margin, size, cache
        self.normal: tuple[float, float] | None = None
        """Mean and standard deviation that volumes are normalised by; None for each one's own."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> Batch:
        sequence, index, task, round, rounds = key
        volume = self.read(index)
        mean, std = self.normal or (float(volume.image.mean()), float(volume.image.std()) or 1.0)
        return {
            "id": torch.tensor([index]),
            "volume": torch.from_numpy((volume.image - np.float32(mean)) / np.float32(std))[None, None],
            "mask": torch.from_numpy(volume.mask)[None],
            "spacing": torch.tensor([volume.spacing], dtype=torch.float32),
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }

    def read(self, index: int) -> Volume:
        """A case, prepared; from the cache where its files and the settings have not changed."""
        path = self.cache / f"{self._digest(index)}.npz"
        try:
            with np.load(path) as kept:
                z, y, x = kept["spacing"].tolist()
                return Volume(kept["image"], kept["mask"], (z, y, x))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            prepared = resized_volume(cropped_volume(read_case(self.files[index], self.values), self.crop, self.margin), self.size)
        self.cache.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self.cache, suffix=".part", delete=False) as file:  # other processes may write the same
            part = Path(file.name)
            try:
                np.savez(file, **prepared._asdict())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return prepared

    def _digest(self, index: int) -> str:
        files = [self.files[index].label, *(sorted(p.iterdir()) if (p := self.files[index].image).is_dir() else [p])]
        facts = [(str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) for p in files if p.exists()]
        settings = [self.values, self.crop, self.margin, self.size]
        return hashlib.sha256(json.dumps([facts, settings]).encode()).hexdigest()[:24]

    def normalise(self, indices: Sequence[int]) -> None:
        """Take mean and standard deviation of all voxels of some volumes."""
        sums = np.zeros(3)
        for index in indices:
            image = self.read(index).image.astype(np.float64)
            sums += (image.size, image.sum(), (image**2).sum())
        mean = sums[1] / sums[0]
        self.normal = (float(mean), float(np.sqrt(max(sums[2] / sums[0] - mean**2, 1e-12))))


def first(items: list[Batch]) -> Batch:
    """A batch is one volume."""
    return items[0]


class VolumeDataModule(ResumableDataModule):
    """Base of the data modules of volumes: a subclass names its files in `files()`, all else is here.

    Args:
        root: the data set's folder.
        size: (D, H, W) of all volumes; null for their own.
        crop: "nonzero" (the image's box), "target" (the truth's; the paper's slice counts fit this one) or "none".
        margin: of the crop in voxels; the paper's 0 to 10.
        values: labels of the target; null for all above 0.
        held_out: volumes that are never learned from.
        stream: volumes of a permutation; null for all others.
        permutations: orders of the stream, each drawn by (seed, number): an epoch each.
        permutation: play this one only (array jobs).
        learn_from: "rest", or "held_out" to play these as a stream instead (dynamic evaluation, Table 5).
        rounds: most rounds of a volume; 1 where all of it is labelled.
        normalise: by mean and standard deviation of the "set" that is learned from, as in the paper, or of each "volume", where
            scanners give values of their own.
        cache: folder of prepared volumes; `$XDG_CACHE_HOME/interseg/volumes` by default.
        seed: of split and permutations.
    """

    def __init__(
        self,
        root: str,
        size: tuple[int, int, int] | None = (32, 56, 56),
        crop: str = "target",
        margin: int = 5,
        values: list[int] | None = None,
        held_out: int = 20,
        stream: int | None = None,
        permutations: int = 3,
        permutation: int | None = None,
        learn_from: str = "rest",
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
        if permutation is not None and not 0 <= permutation < permutations:
            raise InputError(f"permutation is {permutation}; there are {permutations}, numbered from 0")
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "interseg", "volumes")
        self.root, self.size, self.crop, self.margin, self.values = Path(root), None if size is None else tuple(size), crop, margin, values
        self.learn_from = learn_from
        self.held_out, self.stream, self.count, self.rounds, self.seed = held_out, stream, permutations, rounds, seed
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
                raise InputError(f"{self.root} has {len(files)} volumes; lower data.held_out={self.held_out} or data.stream={self.stream}")
            size: Any = self.size
            self._dataset = VolumeDataset(files, self.values, self.crop, self.margin, size, self.cache)
            for index in range(len(files)):
                self._dataset.read(index)  # what is wrong with a volume shows before anything is learned
            if self.by_set:
                self._dataset.normalise(self.split()[1])
        return self._dataset

    def split(self) -> tuple[list[int], list[int]]:
        """Volumes that are held out, and those that are learned from."""
        assert self._dataset is not None
        order = np.random.default_rng(self.seed).permutation(len(self._dataset)).tolist()
        learned = order[self.held_out :]
        return sorted(order[: self.held_out]), sorted(learned if self.stream is None else learned[: self.stream])

    def order(self, permutation: int) -> list[int]:
        """The volumes of a permutation, in order."""
        held_out, rest = self.split()
        streamed = held_out if self.learn_from == "held_out" else rest
        return np.random.default_rng((self.seed, permutation)).permutation(streamed).tolist()

    def train_dataloader(self) -> DataLoader[Batch]:
        dataset = self.objects("train")
        epochs = self.trainer.max_epochs if self.trainer else None
        if epochs is not None and epochs > len(self.numbers):
            given = f"trainer.max_epochs={epochs}, permutations to play: {len(self.numbers)}"
            raise InputError(f"{given}; an epoch is a permutation: lower the one or raise data.permutations")
        batches = SequenceBatches([self.order(k) for k in range(self.count)], self.numbers, self.rounds, *self.resumed)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=first)

    def one(self, index: int) -> Batch:
        """A volume as a batch."""
        return self.objects("train")[0, index, 0, 0, 1]


class VolumeFolderDataModule(VolumeDataModule):
    """Your own volumes: `images/` and `labels/` with the same file names, in any of SimpleITK's formats."""

    def files(self) -> list[VolumeFiles]:
        how = "put images/ and labels/ with the same names into it"
        images, labels = (labelled_folder(self.root / name, "a folder of volumes", how) for name in ("images", "labels"))
        return paired(sorted(p for p in images.iterdir() if not p.name.startswith(".")), labels)


def paired(images: Sequence[Path], labels: Path) -> list[VolumeFiles]:
    """Images and the labels of the same name, whatever their format; raises `InputError` for an image without, or with two."""
    known: dict[str, list[Path]] = {}
    for path in sorted(labels.iterdir()):
        if not path.name.startswith("."):
            known.setdefault(stem(path), []).append(path)
    for path in images:
        found = known.get(stem(path), [])
        if len(found) != 1:
            count = f"{len(found)} files of labels" if found else "no labels"
            raise InputError(f"{path} has {count} of its name in {labels}; each image has one")
    return [VolumeFiles(path, known[stem(path)][0]) for path in images]


def stem(path: Path) -> str:
    """A volume's file name without the format's suffix: names may have dots of their own."""
    return re.sub(r"\.(nii(\.gz)?|mha|mhd|nrrd|nhdr|hdr|img(\.gz)?)$", "", path.name, flags=re.IGNORECASE)
