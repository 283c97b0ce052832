"""Cases of volumes: which files belong together, read at their own resolution, cropped to what matters and resized."""

import glob
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from datamodules.dicom import slices_of
from datamodules.itk import quiet
from datamodules.sources import require_folder
from datamodules.whole_volumes import check_whole
from interseg.errors import InputError

VOXELS = re.compile(r"\.(z?raw|img)(\.gz)?$", re.IGNORECASE)
"""How the names of files end that hold the voxels of a header beside them."""


def require_volume_folder(path: Path, what: str, how: str) -> Path:
    """Return a folder of volumes, or an `InputError` that says how to get it."""
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
    """(D, H, W) intensities."""
    mask: NDArray[np.uint8]
    """(D, H, W) 1 in the target."""
    spacing: tuple[float, float, float]
    """mm along D, H, W."""


def read_volume(
    path: Path, channel: int | None = None, series: str | None = None
) -> SimpleITK.Image:
    """Any of SimpleITK's formats (NIfTI, MHA, NRRD), or a folder of DICOM slices, turned to LPS; raises `InputError` for others.

    Args:
        path: of the file or folder.
        channel: the one to take of an image that has several, along a fourth dimension or as
            vectors at voxels.
        series: id or description of the DICOM series to take of a folder that holds several.
    """
    try:
        if not path.is_dir():
            check_whole(path)
        with quiet():
            image = SimpleITK.ReadImage(slices_of(path, series) if path.is_dir() else str(path))
        return SimpleITK.DICOMOrient(channel_of(image, path, channel), "LPS")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:120]
        reason = (
            "it is damaged or cut short" if "No such file" in reason and path.exists() else reason
        )
        raise InputError(
            f"{path} cannot be read as a volume ({reason}); replace the file"
        ) from None


def channel_of(image: SimpleITK.Image, path: Path, channel: int | None) -> SimpleITK.Image:
    """Take one channel of a volume; raises `InputError` for several and none chosen, and for what is no volume."""
    along, vectors = image.GetDimension() == 4, image.GetNumberOfComponentsPerPixel()
    count = image.GetSize()[3] if along else vectors
    if image.GetDimension() not in (3, 4) or (along and vectors > 1):
        raise InputError(
            f"{path} has {image.GetDimension()} dimensions and {vectors} values a voxel; "
            "give volumes, or volumes of channels"
        )
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
    """Image and target at their own resolution. Voxels of NIfTI files that are no numbers are 0: ITK reads them so.

    Args:
        files: of the case.
        values: labels of the target; None for all above 0.
        channel: of an image that has several.
        series: see `read_volume`.

    Raises:
        InputError: several channels and none chosen, different sizes of image and labels, corners
            of both a tenth of a voxel apart, voxels that are no numbers, labels that are no whole
            numbers, an empty target.
    """
    image, label = read_volume(files.image, channel, series), read_volume(files.label)
    if image.GetSize() != label.GetSize():
        raise InputError(
            f"{files.label} has {label.GetSize()} voxels, its image {image.GetSize()}; "
            "labels are drawn on the image"
        )
    for corner in itertools.product(*((0, side - 1) for side in image.GetSize())):
        ours, theirs = (part.TransformIndexToPhysicalPoint(corner) for part in (image, label))
        if not np.allclose(ours, theirs, rtol=0, atol=0.1 * min(image.GetSpacing())):
            there, here = (", ".join(f"{mm:.4g}" for mm in point) for point in (theirs, ours))
            reason = f"its voxel {corner} at ({there}) mm, the image's at ({here})"
            raise InputError(
                f"{files.label} lies elsewhere than its image: {reason}; resample the labels"
            )
    pixels = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    labels = SimpleITK.GetArrayFromImage(label)
    if not np.isfinite(pixels).all():
        raise InputError(
            f"{files.image} has {int((~np.isfinite(pixels)).sum())} voxels that are no numbers; "
            "repair or remove it"
        )
    if labels.dtype.kind == "f":  # a slope in the file's header moves them a little
        wrong = labels[~np.isclose(labels, np.rint(labels), rtol=0, atol=1e-3)]
        if wrong.size:
            raise InputError(
                f"{files.label} has voxels of {wrong[0]:.4g}; "
                "labels are whole numbers, give no probabilities"
            )
        labels = np.rint(labels)
    mask = np.isin(labels, values) if values is not None else labels > 0
    if not mask.any():
        raise InputError(
            f"{files.label} has no voxel of the target (labels {values or 'above 0'}); "
            "leave the volume out"
        )
    x, y, z = image.GetSpacing()
    return Volume(pixels, mask.astype(np.uint8), (z, y, x))


def crop_volume(volume: Volume, crop: str, margin: int) -> Volume:
    """Return the box round all voxels that are not 0 and the target ("nonzero"), or round the target ("target"), with a margin.

    "none" leaves the volume as it is.
    """
    if crop == "none":
        return volume
    box = find_box((volume.mask > 0) | ((volume.image != 0) & (crop == "nonzero")), margin)
    return Volume(volume.image[box], volume.mask[box], volume.spacing)


def find_box(region: NDArray[np.bool_], margin: int) -> tuple[slice, ...]:
    """Find the box round a region that is not empty, with a margin in voxels."""
    return tuple(
        slice(max(0, int(found.min()) - margin), int(found.max()) + 1 + margin)
        for found in np.nonzero(region)
    )


def resize_volume(volume: Volume, size: tuple[int, int, int] | None) -> Volume:
    """At (D, H, W) voxels: trilinear, the mask by nearest voxels; a target that vanishes keeps its centre voxel."""
    if size is None or volume.image.shape == tuple(size):
        return volume
    image = interpolate(torch.from_numpy(volume.image)[None, None], size, mode="trilinear")[
        0, 0
    ].numpy()
    mask = (
        interpolate(torch.from_numpy(volume.mask)[None, None].float(), size, mode="nearest-exact")[
            0, 0
        ]
        .byte()
        .numpy()
    )
    scale = [a / b for a, b in zip(volume.image.shape, size, strict=True)]
    if not mask.any():
        centre = tuple(
            int(np.mean(found) / s) for found, s in zip(np.nonzero(volume.mask), scale, strict=True)
        )
        mask[centre] = 1
    return Volume(
        image,
        mask,
        (volume.spacing[0] * scale[0], volume.spacing[1] * scale[1], volume.spacing[2] * scale[2]),
    )


def size_at(volume: Volume, spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    """(D, H, W) voxels of a volume whose voxels are to be so many mm apart; one at least."""
    d, h, w = (
        max(1, round(n * mm / wanted))
        for n, mm, wanted in zip(volume.image.shape, volume.spacing, spacing, strict=True)
    )
    return d, h, w


def pair_labels(images: Sequence[Path], labels: Path) -> list[VolumeFiles]:
    """Images and the labels of the same name, whatever their format; raises `InputError` for an image without, or with two."""
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
    """Return the volumes of a folder: a file each, or the header of a format that keeps its voxels in another file."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and not VOXELS.search(path.name)
    )


def with_data(path: Path) -> list[Path]:
    """Return a volume's file, and the one with its voxels where that is another."""
    beside = (
        other
        for other in path.parent.glob(f"{glob.escape(stem(path))}.*")
        if VOXELS.sub("", other.name) == stem(path)
    )
    return sorted({path, *beside})


def stem(path: Path) -> str:
    """Return a volume's file name without the format's suffix: names may have dots of their own."""
    return re.sub(r"\.(nii(\.gz)?|mha|mhd|nrrd|nhdr|hdr)$", "", path.name, flags=re.IGNORECASE)
