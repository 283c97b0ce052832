"""Cases of volumes: pairs of files, read at their own resolution, cropped and resized."""

import glob
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from datamodules.dicom import slices_of
from datamodules.itk import quiet
from datamodules.sources import require_folder
from datamodules.whole_volumes import check_whole, named_voxels
from interseg.errors import InputError

VOXELS = re.compile(r"\.(z?raw|img)(\.gz)?$", re.IGNORECASE)
"""Endings of files with the voxels of a header beside them."""
OTHERS = (".txt", ".md", ".csv", ".tsv", ".json", ".xlsx", ".pdf", ".tcia", ".db", ".ini")
"""Suffixes of files that archives and systems put beside volumes."""


def require_volume_folder(path: Path, what: str, how: str) -> Path:
    """Return a folder of volumes; raises `InputError` if it does not exist."""
    return require_folder(
        path, what, how, "--config data/volume_folder.yaml reads your own volumes"
    )


class VolumeFiles(NamedTuple):
    """An image and its labels: files, or a folder of DICOM slices."""

    image: Path
    label: Path


class Volume(NamedTuple):
    """One case as a method sees it."""

    image: NDArray[np.float32]
    """Intensities (D, H, W)."""
    mask: NDArray[np.uint8]
    """Target (D, H, W): 1 inside, 0 outside."""
    spacing: tuple[float, float, float]
    """Distances in mm between voxels along D, H, W."""


def read_volume(
    path: Path, channel: int | None = None, series: str | None = None, labels: bool = False
) -> SimpleITK.Image:
    """Read a volume in any of SimpleITK's formats, or a folder of DICOM slices, turned to LPS.

    Args:
        path: File (NIfTI, MHA, NRRD, ...) or folder.
        channel: Channel to take of an image that has several, along a fourth dimension or as
            vectors at voxels.
        series: Id or description of the DICOM series to take of a folder that has several.
        labels: Whether these are labels, of which there is one a voxel.

    Raises:
        InputError: The file cannot be read, or a choice of channel or series is missing.
    """
    try:
        if path.is_dir():
            files: Any = slices_of(path, series)
        else:
            check_whole(path)
            files = str(path)
        with quiet():
            image = SimpleITK.ReadImage(files)
        return SimpleITK.DICOMOrient(channel_of(image, path, channel, labels), "LPS")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:120]
        if "No such file" in reason and path.exists():
            reason = "it is damaged or cut short"
        raise InputError(
            f"{path} cannot be read as a volume ({reason}); replace the file"
        ) from None


def channel_of(
    image: SimpleITK.Image, path: Path, channel: int | None, labels: bool = False
) -> SimpleITK.Image:
    """Take one channel of a volume; of labels there is one.

    Raises:
        InputError: The image is not a volume, or has several channels and none is chosen.
    """
    along, vectors = image.GetDimension() == 4, image.GetNumberOfComponentsPerPixel()
    count = image.GetSize()[3] if along else vectors
    if image.GetDimension() not in (3, 4) or (along and vectors > 1):
        raise InputError(
            f"{path} has {image.GetDimension()} dimensions and {vectors} values a voxel; "
            "give volumes, or volumes of channels"
        )
    if count > 1 and labels:
        raise InputError(f"{path} has {count} labels a voxel; write a volume of one label each")
    if (count > 1 and channel is None) or (channel is not None and not 0 <= channel < count):
        given = "" if channel is None else f", data.channel={channel}"
        raise InputError(
            f"{path} has {count} channels{given}; say which to take, data.channel=0 to {count - 1}"
        )
    if along:
        return image[..., channel or 0]
    return SimpleITK.VectorIndexSelectionCast(image, channel) if vectors > 1 else image


def read_case(
    files: VolumeFiles,
    values: Sequence[int] | None = None,
    channel: int | None = None,
    series: str | None = None,
) -> Volume:
    """Read image and target at their own resolution.

    Voxels of NIfTI files that are NaN are read as 0 by ITK.

    Args:
        files: Files of the case.
        values: Labels of the target; None for all above 0.
        channel: Channel of an image that has several.
        series: See `read_volume`.

    Raises:
        InputError: A file is unreadable, image and labels have different sizes or corners a tenth
            of a voxel apart, a voxel is not finite, a label is not a whole number, or the target is
            empty.
    """
    image = read_volume(files.image, channel, series)
    label = read_volume(files.label, labels=True)
    check_same_place(files, image, label)
    pixels = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    wrong = int((~np.isfinite(pixels)).sum())
    if wrong:
        raise InputError(
            f"{files.image} has {wrong} voxels that are not finite numbers; repair or remove it"
        )
    labels = read_whole_numbers(label, files.label)
    mask = np.isin(labels, values) if values is not None else labels > 0
    if not mask.any():
        wanted = values or "above 0"
        raise InputError(
            f"{files.label} has no voxel of the target (labels {wanted}); leave the volume out, "
            f"data.without=[{stem(files.label)}]"
        )
    x, y, z = image.GetSpacing()
    return Volume(pixels, mask.astype(np.uint8), (z, y, x))


def check_same_place(files: VolumeFiles, image: SimpleITK.Image, label: SimpleITK.Image) -> None:
    """Raise `InputError` unless the voxels of an image and its labels are at the same places."""
    if image.GetSize() != label.GetSize():
        raise InputError(
            f"{files.label} has {label.GetSize()} voxels, its image {image.GetSize()}; "
            f"labels are drawn on the image; data.without=[{stem(files.label)}] leaves the case out"
        )
    tolerance = 0.1 * min(image.GetSpacing())
    ends = [(0, side - 1) for side in image.GetSize()]
    for corner in itertools.product(*ends):
        ours = image.TransformIndexToPhysicalPoint(corner)
        theirs = label.TransformIndexToPhysicalPoint(corner)
        if not np.allclose(ours, theirs, rtol=0, atol=tolerance):
            there = ", ".join(f"{mm:.4g}" for mm in theirs)
            here = ", ".join(f"{mm:.4g}" for mm in ours)
            reason = f"its voxel {corner} at ({there}) mm, the image's at ({here})"
            raise InputError(
                f"{files.label} lies elsewhere than its image: {reason}; resample the labels, "
                f"or leave the case out, data.without=[{stem(files.label)}]"
            )


def read_whole_numbers(label: SimpleITK.Image, path: Path) -> NDArray[Any]:
    """Read labels (D, H, W); raises `InputError` for one that is not a whole number."""
    labels = SimpleITK.GetArrayFromImage(label)
    if labels.dtype.kind != "f":
        return labels
    rounded = np.rint(labels)
    # a slope in the file's header moves labels a little
    wrong = labels[~np.isclose(labels, rounded, rtol=0, atol=1e-3)]
    if wrong.size:
        raise InputError(
            f"{path} has voxels of {wrong[0]:.4g}; labels are whole numbers, give no probabilities"
        )
    return rounded


def crop_volume(volume: Volume, crop: str, margin: int) -> Volume:
    """Crop a volume.

    Args:
        volume: Volume to crop.
        crop: "nonzero" for the box of the target and of all voxels that are not 0, "target" for
            that of the target, "none" for the whole volume.
        margin: Margin in voxels around the box.
    """
    if crop == "none":
        return volume
    region = volume.mask > 0
    if crop == "nonzero":
        region |= volume.image != 0
    box = find_box(region, margin)
    return Volume(volume.image[box], volume.mask[box], volume.spacing)


def find_box(region: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """Find the box around a region that is not empty, with a margin in voxels."""
    box = []
    for found in np.nonzero(region):
        start, stop = int(found.min()) - margin, int(found.max()) + 1 + margin
        box.append(slice(max(0, start), stop))
    return tuple(box)


def resize_volume(volume: Volume, size: tuple[int, int, int] | None) -> Volume:
    """Resize a volume to (D, H, W) voxels; None leaves it.

    The image is interpolated trilinearly, the mask by nearest voxels. A target that vanishes keeps
    its centre voxel.
    """
    if size is None or volume.image.shape == tuple(size):
        return volume
    pixels = torch.from_numpy(volume.image)[None, None]
    target = torch.from_numpy(volume.mask)[None, None].float()
    image = interpolate(pixels, size, mode="trilinear")[0, 0].numpy()
    mask = interpolate(target, size, mode="nearest-exact")[0, 0].byte().numpy()
    d, h, w = (before / after for before, after in zip(volume.image.shape, size, strict=True))
    if not mask.any():
        z, y, x = (np.mean(found) for found in np.nonzero(volume.mask))
        mask[int(z / d), int(y / h), int(x / w)] = 1
    depth, height, width = volume.spacing
    return Volume(image, mask, (depth * d, height * h, width * w))


def size_at(volume: Volume, spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """Compute the size (D, H, W) of a volume at another spacing in mm; one voxel at least."""
    sides = zip(volume.image.shape, volume.spacing, spacing, strict=True)
    d, h, w = (max(1, round(count * mm / wanted)) for count, mm, wanted in sides)
    return d, h, w


def pair_labels(images: Sequence[Path], labels: Path) -> list[VolumeFiles]:
    """Pair images with the labels of the same name, whatever their format.

    Raises:
        InputError: An image has no labels, or two files of labels.
    """
    known: dict[str, list[Path]] = {}
    for path in volumes_in(labels):
        known.setdefault(stem(path), []).append(path)
    for path in images:
        found = known.get(stem(path), [])
        if len(found) != 1:
            count = f"{len(found)} files of labels" if found else "no labels"
            raise InputError(f"{path} has {count} of its name in {labels}; each image has one")
    return [VolumeFiles(path, known[stem(path)][0]) for path in images]


def volumes_in(folder: Path) -> list[Path]:
    """List the volumes of a folder; if voxels have a file of their own, the header counts."""
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    volumes = [path for path in visible if path.is_dir() or path.suffix.lower() not in OTHERS]
    return sorted(path for path in volumes if not VOXELS.search(path.name))


def with_data(path: Path) -> list[Path]:
    """Return a volume's file, and that of its voxels if it is another one."""
    name = stem(path)
    beside = path.parent.glob(f"{glob.escape(name)}.*")
    voxels = [other for other in beside if VOXELS.sub("", other.name) == name]
    named = path.parent / named_voxels(path)
    return sorted({path, *voxels, *([named] if named.is_file() else [])})


def stem(path: Path) -> str:
    """Return a volume's file name without the format's suffix; names may contain other dots."""
    return re.sub(r"\.(nii(\.gz)?|mha|mhd|nrrd|nhdr|hdr)$", "", path.name, flags=re.IGNORECASE)
