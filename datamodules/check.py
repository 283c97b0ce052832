"""A look at a data set before anything is learned: how much there is, what it was taken for, what is wrong with it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datamodules.base import ClickDataModule, drop_repeats
from datamodules.duplicates import ALIKE, BITS, Fingerprint, fingerprint, nearest_pairs
from datamodules.sources import ObjectSource, Sample
from datamodules.tasks import TaskDataModule
from datamodules.volume_files import Volume, read_case
from datamodules.volumes import VolumeDataModule
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.images import image_size
from interseg.listing import counted

PICTURES = 12
"""Pictures of a part, from all over it."""
SIZES = 3
"""Sizes that are named."""
PAIRS = 6
"""Pairs of photos that are most alike, of two splits, that are shown."""


class Picture(NamedTuple):
    """A photo, or a slice of a volume, with its truth."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3)."""
    mask: NDArray[Any]
    """(H, W) bool, or uint8 classes."""


@dataclass
class Part:
    """A split, or a whole set."""

    name: str
    facts: dict[str, str]
    pictures: list[Picture] = field(default_factory=list)
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)
    """Of every photo by its name, where there are splits to compare."""


@dataclass
class Findings:
    """What a look at a data set found, a line each."""

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def lines(self) -> dict[str, list[str]]:
        """The lines by what they are."""
        return {"note": self.notes, "left out": self.left_out, "wrong": self.problems}


def check_data(data: Any) -> Findings:
    """Look at all of a data set, every image or volume once; what is wrong is a line, not an error.

    Raises:
        InputError: another kind of data module.
    """
    found = Findings()
    if isinstance(data, ClickDataModule):
        check_splits(data, found)
    elif isinstance(data, TaskDataModule):
        check_images(data, found)
    elif isinstance(data, VolumeDataModule):
        check_volumes(data, found)
    else:
        raise InputError(
            f"{type(data).__name__} is no data module of clicks, tasks or volumes; "
            "nothing is known of it"
        )
    found.problems = drop_repeats(found.problems)
    return found


def check_splits(data: ClickDataModule, found: Findings) -> None:
    """Look at the objects of each split, in every image at one."""
    seen: dict[tuple[str, ...], str] = {}
    for split in ("train", "val", "test"):
        try:
            source = data.objects(split)
        except InputError as error:
            found.problems.append(f"{split}: {error}")
            continue
        names = tuple(data.names(split))
        if names in seen:
            found.parts.append(Part(split, {"objects": f"those of {seen[names]}"}))
            continue
        seen[names] = split
        found.parts.append(look_at_objects(split, source, found))
    compare_with_training(data, found)
    found.notes, found.left_out = [*data.notes, *found.notes], data.left_out
    found.problems = [*data.problems, *found.problems]


def compare_with_training(data: ClickDataModule, found: Findings) -> None:
    """Look for photos of training among those of evaluation."""
    parts = {part.name: part for part in found.parts if part.fingerprints}
    if "train" not in parts:
        return
    train = parts.pop("train")
    for split, part in parts.items():
        pairs = nearest_pairs(train.fingerprints, part.fingerprints)
        alike = [pair for pair in pairs if pair.distance <= ALIKE]
        found.notes += counted(
            f"photos of train that look like one of {split}",
            [f"{pair.first} like {pair.second}" for pair in alike],
        )
        bits = (
            f"the nearest differ in {pairs[0].distance} of {BITS} bits; "
            f"up to {ALIKE} it is taken for the same photo"
        )
        beside = Part(f"train beside {split}", {"photos in both": f"{len(alike)}: {bits}"})
        found.parts.append(beside)
        for pair in pairs[: max(PAIRS, min(len(alike), PICTURES))]:
            beside.pictures += [
                picture_of(data, "train", pair.first),
                picture_of(data, split, pair.second),
            ]


def picture_of(data: ClickDataModule, split: str, image: str) -> Picture:
    """Take the first object of an image by its name."""
    source = data.objects(split)
    index = next(index for index in range(len(source)) if source.image(index) == image)
    sample = source.read(index)
    return Picture(f"{split}: {image}", sample.image, draw_truth(sample))


def look_at_objects(split: str, source: ObjectSource, found: Findings) -> Part:
    """Read an object of every image of a split."""
    images: dict[str, int] = {}
    for index in range(len(source)):
        images.setdefault(source.image(index), index)
    part = Part(split, {"images": str(len(images)), "objects": str(len(source))})
    shares, pictured = [], spread(list(images.values()))
    for index in tqdm(images.values(), desc=split, leave=False, disable=None):
        try:
            sample = source.read(index)
        except InputError as error:
            found.problems.append(f"{source.name(index)}: {error}")
            continue
        shares.append(float((sample.mask == 1).mean()))
        part.fingerprints[source.image(index)] = fingerprint(sample.image)
        if index in pictured:
            part.pictures.append(Picture(source.name(index), sample.image, draw_truth(sample)))
    part.facts["sizes"] = count_sizes(source.size(index) for index in images.values())
    if shares:
        part.facts["an object's share"] = (
            f"{100 * np.median(shares):.2g} % of its image in the median, of {len(shares)} objects"
        )
    try:
        part.facts |= source.facts()
    except InputError as error:
        found.problems.append(str(error))
    return part


def check_images(data: TaskDataModule, found: Findings) -> None:
    """Look at every image of a stream of tasks."""
    try:
        dataset = data.objects("train")
        held, others = data.split()
    except InputError as error:
        found.problems.append(str(error))
        return
    part = Part(
        "images",
        {"images": f"{len(dataset)}: {len(held)} to pretrain on, {len(others)} for tasks of one"},
    )
    counts, pictured = np.zeros(256, np.int64), spread(range(len(dataset)))
    sizes = []
    for index in tqdm(range(len(dataset)), desc="images", leave=False, disable=None):
        file = dataset.files[index]
        try:
            image, mask = dataset.read(index)
            sizes.append(image_size(file.image).upright)
        except InputError as error:
            found.problems.append(str(error))
            continue
        counts += np.bincount(mask.ravel(), minlength=256)
        if index in pictured:
            part.pictures.append(Picture(file.image.name, image, mask))
    part.facts["sizes"] = f"{count_sizes(sizes)}; shown at {data.size[0]} x {data.size[1]}"
    part.facts["classes"] = class_shares(counts, data.classes)
    found.parts.append(part)
    found.notes, found.left_out = data.notes, data.left_out
    found.problems += [
        f"no pixel is of class {label}"
        for label in range(data.classes)
        if sizes and not counts[label]
    ]


def check_volumes(data: VolumeDataModule, found: Findings) -> None:
    """Look at every volume of a stream."""
    volumes: list[Volume] = []
    try:
        files = data.files()
    except InputError as error:
        found.problems.append(str(error))
        return
    part, pictured = Part("volumes", {"volumes": str(len(files))}), spread(range(len(files)))
    for index, file in enumerate(tqdm(files, desc="volumes", leave=False, disable=None)):
        try:
            volume = read_case(file, data.values, data.channel, data.series)
        except InputError as error:
            found.problems.append(str(error))
            continue
        if index in pictured:
            part.pictures.append(widest_slice(file.image.name, volume))
        volumes.append(Volume(volume.image[:0], volume.mask, volume.spacing))
    part.facts |= volume_facts(volumes)
    found.parts.append(part)
    if not found.problems:
        try:
            data.objects("train")  # what the config asks for beyond what the files are
        except InputError as error:
            found.problems.append(str(error))


def volume_facts(volumes: Sequence[Volume]) -> dict[str, str]:
    """Say the sizes, the spacings and the target's share of volumes."""
    if not volumes:
        return {}
    shares = [100 * float(volume.mask.mean()) for volume in volumes]
    spacings = Counter(" x ".join(f"{mm:.3g}" for mm in volume.spacing) for volume in volumes)
    return {
        "sizes": count_sizes(volume.mask.shape for volume in volumes),
        "spacings": f"{name_most_frequent(spacings)} mm",
        "the target's share": f"{min(shares):.2g} to {max(shares):.2g} %",
    }


def widest_slice(name: str, volume: Volume) -> Picture:
    """Draw the slice in which the target is largest."""
    depth = int(volume.mask.sum((1, 2)).argmax())
    pixels = volume.image[depth]
    low, high = np.percentile(pixels, (1, 99))
    grey = ((pixels - low) * (255 / max(high - low, 1e-12))).clip(0, 255).astype(np.uint8)
    return Picture(
        f"{name}, slice {depth}", np.repeat(grey[..., None], 3, -1), volume.mask[depth] > 0
    )


def draw_truth(sample: Sample) -> NDArray[Any]:
    """Give an object's pixels, or the classes of an image that has several."""
    several = np.setdiff1d(sample.mask, (0, 1, IGNORE)).size > 0
    return sample.mask if several else sample.mask == 1


def class_shares(counts: NDArray[np.int64], classes: int) -> str:
    """Say the share of each class among the pixels that count, and that of the ignored ones."""
    known = counts[:classes]
    shares = ", ".join(
        f"{label}: {100 * count / max(known.sum(), 1):.2g} %"
        for label, count in enumerate(known.tolist())
    )
    return f"{shares}; ignored: {100 * counts[IGNORE] / max(counts.sum(), 1):.2g} %"


def count_sizes(sizes: Iterable[tuple[int, ...]]) -> str:
    """Say which sizes there are, the most frequent first."""
    return name_most_frequent(Counter(" x ".join(map(str, size)) for size in sizes))


def name_most_frequent(counts: Counter[str]) -> str:
    """Say the most frequent values and how often they are."""
    named = ", ".join(f"{value} ({count})" for value, count in counts.most_common(SIZES))
    return named + (f" and {len(counts) - SIZES} more" if len(counts) > SIZES else "")


def spread(indices: Sequence[int]) -> set[int]:
    """Choose indices from all over a list."""
    return {
        indices[i]
        for i in np.linspace(0, len(indices) - 1, min(PICTURES, len(indices))).round().astype(int)
    }
