"""Volumes without labels as a stream of tasks, one a volume, for a person who labels slices (`callbacks/person_slices.py`).

A volume is cropped to what is not 0 and resized as the method's training data were; `restore_mask`
brings a mask back to the file's own grid.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from datamodules.photos import PersonBatches
from datamodules.resuming import ResumableDataModule
from datamodules.tasks import Key
from datamodules.volume_files import Volume, find_box, read_volume, resize_volume, size_at
from datamodules.volumes import first
from interseg.batches import VolumeBatch
from interseg.errors import InputError
from interseg.volumes.stream import OpenVolumes


class Preparation(NamedTuple):
    """What training did with its volumes; the arguments of `VolumeDataModule` of these names."""

    size: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    crop: str = "nonzero"
    """ "target" is taken as "nonzero": the target is not known."""
    margin: int = 0
    channel: int | None = None
    series: str | None = None
    normal: tuple[float, float] | None = None
    """Mean and standard deviation; None for each volume's own."""


class Scan(NamedTuple):
    """A volume as the method sees it, and where it lies in its file's voxels."""

    image: NDArray[np.float32]
    """(D, H, W) normalised."""
    spacing: tuple[float, float, float]
    """mm along D, H, W."""
    box: tuple[slice, ...]
    """In the file's voxels, turned to LPS."""
    whole: tuple[int, int, int]
    """The file's (D, H, W)."""


def read_scan(path: Path, preparation: Preparation) -> Scan:
    """Read and prepare a volume; raises `InputError` for what is none."""
    file = read_volume(path, preparation.channel, preparation.series)
    pixels = SimpleITK.GetArrayFromImage(file).astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(
            f"{path} has {int((~np.isfinite(pixels)).sum())} voxels that are no numbers; repair it"
        )
    if not pixels.any():
        raise InputError(f"{path} holds nothing but 0; give a volume")
    x, y, z = file.GetSpacing()
    box = (
        tuple(slice(0, side) for side in pixels.shape)
        if preparation.crop == "none"
        else find_box(pixels != 0, preparation.margin)
    )
    cropped = Volume(pixels[box], np.ones(pixels[box].shape, np.uint8), (z, y, x))
    size = (
        preparation.size if preparation.spacing is None else size_at(cropped, preparation.spacing)
    )
    prepared = resize_volume(cropped, size)
    mean, std = preparation.normal or (
        float(prepared.image.mean()),
        float(prepared.image.std()) or 1.0,
    )
    image = (prepared.image - np.float32(mean)) / np.float32(std)
    depth, height, width = pixels.shape
    return Scan(image, prepared.spacing, box, (depth, height, width))


def restore_mask(
    probabilities: NDArray[np.floating], scan: Scan, path: Path, preparation: Preparation
) -> SimpleITK.Image:
    """Give a mask of the file's own size, spacing, origin and directions where probabilities (D, H, W) are above one half."""
    box = np.empty(scan.whole, bool)[scan.box].shape
    found = torch.from_numpy(np.ascontiguousarray(probabilities, np.float32))[None, None]
    full = np.zeros(scan.whole, np.uint8)
    full[scan.box] = (
        interpolate(found, box, mode="trilinear")[0, 0] if found.shape[2:] != box else found[0, 0]
    ).numpy() > 0.5
    turned = SimpleITK.GetImageFromArray(full)
    turned.CopyInformation(read_volume(path, preparation.channel, preparation.series))
    return SimpleITK.DICOMOrient(turned, orientation_of(path))


def orientation_of(path: Path) -> str:
    """Tell how a file's axes lie, such as LPS or RAS."""
    reader = SimpleITK.ImageFileReader()
    if path.is_dir():
        return "LPS"
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    dimension, direction = reader.GetDimension(), np.array(reader.GetDirection())
    matrix = direction.reshape(dimension, dimension)[:3, :3]
    return str(
        SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(matrix.ravel().tolist())
    )


class ScanDataset(Dataset[VolumeBatch]):
    """Volumes, prepared when they are asked for.

    Args:
        files: in the stream's order.
        preparation: of all.
        first_id: number of the first one; a replay buffer may hold volumes of before.
    """

    def __init__(self, files: Sequence[Path], preparation: Preparation, first_id: int = 0) -> None:
        self.files, self.preparation, self.first_id = files, preparation, first_id
        self.scan = lru_cache(2)(self._scan)

    def _scan(self, index: int) -> Scan:
        return read_scan(self.files[index], self.preparation)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> VolumeBatch:
        sequence, index, task, round, rounds = key
        scan = self.scan(index)
        return {
            "id": torch.tensor([self.first_id + index]),
            "volume": torch.from_numpy(scan.image)[None, None],
            "mask": torch.zeros((1, *scan.image.shape), dtype=torch.uint8),
            "spacing": torch.tensor([scan.spacing], dtype=torch.float32),
            "sequence": sequence,
            "task": task,
            "round": round,
            "last_round": int(round == rounds - 1),
        }


class ScanStream(ResumableDataModule, OpenVolumes):
    """Volumes as the tasks of one sequence.

    Args:
        scans: the volumes.
        at_end: see `PersonBatches`.
    """

    def __init__(self, scans: ScanDataset, at_end: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.scans, self.files, self.at_end = scans, scans.files, at_end
        self.task, self.round = 0, 0

    def advance(self, last: bool) -> None:
        """Go on to the next round, or to the next volume after a volume's last one."""
        self.task, self.round = (self.task + 1, 0) if last else (self.task, self.round + 1)

    def train_dataloader(self) -> DataLoader[VolumeBatch]:
        return DataLoader(
            self.scans, batch_sampler=PersonBatches(self, self.at_end), collate_fn=first
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the next round is; for checkpoints."""
        return {"task": self.task, "round": self.round}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there."""
        self.task, self.round = state_dict["task"], state_dict["round"]
