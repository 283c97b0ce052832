"""Volumes as batches (`interseg.batches.VolumeBatch`), cropped, resized and cached on the disk."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datamodules.labelled_images import Key
from datamodules.volume_files import (
    Volume,
    VolumeFiles,
    crop_volume,
    read_case,
    resize_volume,
    size_at,
    with_data,
)
from interseg.batches import VolumeBatch
from interseg.errors import InputError
from interseg.files import whole

PREPARATION = 3
"""Of how volumes are read, cropped and resized; raised with each change, so that the cache serves
nothing of before."""


class VolumeDataset(Dataset[VolumeBatch]):
    """Cases, cropped and resized once and kept in a cache that several processes may share.

    Args:
        files: Files of every case.
        values: Labels of the target; None for all above 0.
        channel: Channel of images that have several.
        crop: Kind of the crop: "nonzero", "target" or "none".
        margin: Margin of the crop in voxels.
        size: (D, H, W) of all volumes; None for their own.
        cache: Folder of the prepared volumes.
        spacing: Distances in mm along D, H, W between the voxels of all volumes, instead of a size.
        series: DICOM series of folders that have several, see `read_volume`.
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
        """Mean and standard deviation by which volumes are normalised; None for each one's own."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> VolumeBatch:
        sequence, index, task, round, rounds = key
        volume = self.read(index)
        image = normalise(volume.image, self.normal)
        return {
            "id": torch.tensor([index]),
            "volume": torch.from_numpy(image)[None, None],
            "mask": torch.from_numpy(volume.mask)[None],
            "spacing": torch.tensor([volume.spacing], dtype=torch.float32),
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }

    def read(self, index: int) -> Volume:
        """Read a prepared case, from the cache if its files and the settings have not changed."""
        path = self.cache / f"{self._digest(index)}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                z, y, x = kept["spacing"].tolist()
                return Volume(kept["image"], kept["mask"], (z, y, x))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            case = read_case(self.files[index], self.values, self.channel, self.series)
            cropped = crop_volume(case, self.crop, self.margin)
            size = self.size if self.spacing is None else size_at(cropped, self.spacing)
            prepared = resize_volume(cropped, size)
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
        files: list[Path] = []
        for part in self.files[index]:
            files += sorted(part.iterdir()) if part.is_dir() else with_data(part)
        facts = []
        for path in files:
            if path.exists():
                status = path.stat()
                facts.append((str(path.absolute()), status.st_size, status.st_mtime_ns))
        settings: list[Any] = [PREPARATION, self.values, self.channel]
        settings += [self.crop, self.margin, self.size, *(self.spacing or ())]
        if self.series is not None:
            settings.append(self.series)
        return hashlib.sha256(json.dumps([facts, settings]).encode()).hexdigest()[:24]

    def normalise_by(self, indices: Sequence[int]) -> None:
        """Normalise all volumes by mean and standard deviation of all voxels of some volumes."""
        sums = np.zeros(3)
        for index in indices:
            image = self.read(index).image.astype(np.float64)
            sums += (image.size, image.sum(), (image**2).sum())
        count, total, squares = sums
        mean = total / count
        variance = max(squares / count - mean**2, 1e-12)
        self.normal = (float(mean), float(np.sqrt(variance)))


def normalise(
    image: NDArray[np.float32], normal: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Normalise an image (D, H, W) by a mean and a standard deviation; None for its own."""
    mean, std = normal or (float(image.mean()), float(image.std()) or 1.0)
    return (image - np.float32(mean)) / np.float32(std)


def first(items: list[VolumeBatch]) -> VolumeBatch:
    """Collate a batch of one volume."""
    return items[0]
