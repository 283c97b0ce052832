"""Volumes without labels as a stream of tasks, one per volume, for a person who labels slices.

The person's side is `callbacks/person_slices.py`. A volume is cropped to its voxels that are not 0
and resized as the method's training data were; `restore_mask` brings a mask back to the file's own
grid.
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

from datamodules.dicom import slices_of
from datamodules.labelled_images import Key
from datamodules.person_stream import PersonBatches, PersonStream
from datamodules.volume_dataset import first, normalise
from datamodules.volume_files import Volume, find_box, read_volume, resize_volume, size_at
from interseg.batches import VolumeBatch
from interseg.continual.protocol import StreamProtocol
from interseg.continual.stream import OpenStream
from interseg.errors import InputError


class Preparation(NamedTuple):
    """Preparation of the volumes in training: arguments of `VolumeDataModule` of these names."""

    size: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    crop: str = "nonzero"
    """Kind of the crop; "target" is taken as "nonzero", since the target is not known."""
    margin: int = 0
    channel: int | None = None
    series: str | None = None
    normal: tuple[float, float] | None = None
    """Mean and standard deviation; None for each volume's own."""


class Scan(NamedTuple):
    """A volume as the method sees it, and its place in the file."""

    image: NDArray[np.float32]
    """Normalised intensities (D, H, W)."""
    spacing: tuple[float, float, float]
    """Distances in mm between voxels along D, H, W."""
    box: tuple[slice, ...]
    """Box of the image in the file's voxels, turned to LPS."""
    whole: tuple[int, int, int]
    """Size (D, H, W) of the file in voxels."""


def read_scan(path: Path, preparation: Preparation) -> Scan:
    """Read and prepare a volume.

    Raises:
        InputError: The file is not a volume, has voxels that are not finite, or is all 0.
    """
    file = read_volume(path, preparation.channel, preparation.series)
    pixels = SimpleITK.GetArrayFromImage(file).astype(np.float32)
    wrong = int((~np.isfinite(pixels)).sum())
    if wrong:
        raise InputError(f"{path} has {wrong} voxels that are not finite numbers; repair it")
    if not pixels.any():
        raise InputError(f"{path} has voxels of 0 only; give a volume")
    box = tuple(slice(0, side) for side in pixels.shape)
    if preparation.crop != "none":
        box = find_box(pixels != 0, preparation.margin)
    x, y, z = file.GetSpacing()
    cropped = Volume(pixels[box], np.ones(pixels[box].shape, np.uint8), (z, y, x))
    size = preparation.size
    if preparation.spacing is not None:
        size = size_at(cropped, preparation.spacing)
    prepared = resize_volume(cropped, size)
    image = normalise(prepared.image, preparation.normal)
    depth, height, width = pixels.shape
    return Scan(image, prepared.spacing, box, (depth, height, width))


def restore_mask(
    probabilities: NDArray[np.floating], scan: Scan, path: Path, preparation: Preparation
) -> SimpleITK.Image:
    """Bring a prediction back to the grid of its file.

    Args:
        probabilities: Probabilities (D, H, W) of the prepared volume; above 0.5 is the mask.
        scan: The prepared volume.
        path: File of the volume.
        preparation: Preparation of the volume.

    Returns:
        The mask with the file's own size, spacing, origin and directions.
    """
    box = np.empty(scan.whole, bool)[scan.box].shape
    found = torch.from_numpy(np.ascontiguousarray(probabilities, np.float32))[None, None]
    if found.shape[2:] != box:
        found = interpolate(found, box, mode="trilinear")
    full = np.zeros(scan.whole, np.uint8)
    full[scan.box] = found[0, 0].numpy() > 0.5
    turned = SimpleITK.GetImageFromArray(full)
    turned.CopyInformation(read_volume(path, preparation.channel, preparation.series))
    return SimpleITK.DICOMOrient(turned, orientation_of(path, preparation.series))


def orientation_of(path: Path, series: str | None = None) -> str:
    """Read the orientation of a file's axes, or of a DICOM series', such as LPS or RAS."""
    found: Any
    if path.is_dir():
        found = SimpleITK.ReadImage(slices_of(path, series))
    else:
        found = SimpleITK.ImageFileReader()
        found.SetFileName(str(path))
        found.ReadImageInformation()
    dimension = found.GetDimension()
    matrix = np.array(found.GetDirection()).reshape(dimension, dimension)
    cosines = matrix[:3, :3].ravel().tolist()
    orient = SimpleITK.DICOMOrientImageFilter
    return str(orient.GetOrientationFromDirectionCosines(cosines))


class ScanDataset(Dataset[VolumeBatch]):
    """Volumes, prepared when they are asked for.

    Args:
        files: Files of the volumes, in the stream's order.
        preparation: Preparation of all volumes.
        first_id: Id of the first volume; a replay buffer may have earlier volumes.
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


class ScanStream(PersonStream, OpenStream):
    """Volumes as the tasks of one sequence.

    Args:
        scans: Data set of the volumes.
        at_end: See `PersonStream`.
    """

    def __init__(self, scans: ScanDataset, at_end: Callable[[], None] = lambda: None) -> None:
        super().__init__(scans.files, at_end)
        self.scans = scans
        self.protocol = StreamProtocol("stream")

    def train_dataloader(self) -> DataLoader[VolumeBatch]:
        return DataLoader(self.scans, batch_sampler=PersonBatches(self), collate_fn=first)
