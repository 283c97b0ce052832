"""A look at a data set before training: its size, how its files were read, and the problems."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from datamodules.base import ClickDataModule
from datamodules.duplicates import ALIKE, BITS, fingerprint, nearest_pairs
from datamodules.findings import (
    Findings,
    MeasuredVolume,
    Part,
    Picture,
    class_shares,
    count_sizes,
    picture_of,
    volume_facts,
)
from datamodules.sources import ObjectSource, Sample, drop_repeats
from datamodules.tasks import TaskDataModule
from datamodules.volume_files import Volume, read_case
from datamodules.volumes import VolumeDataModule
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.images import image_size
from interseg.listing import name_some

PICTURES = 12
"""Number of pictures of a part, spread over all of it."""
VIEW, FEWEST = 448, 16
"""Side of the view of the networks that ship, and pixels below which an object is hardly seen."""
LARGE = 0.6
"""Share of an image from which most objects are taken for backgrounds."""
PAIRS = 6
"""Number of pairs of photos of two splits that are shown, the most alike first."""


def check_data(data: Any) -> Findings:
    """Look at every image or volume of a data set once; a problem is a line, not an error.

    Raises:
        InputError: The data module is of another kind.
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
            f"{type(data).__name__} is not a data module of clicks, tasks or volumes; "
            "only those can be checked"
        )
    found.problems = drop_repeats(found.problems)
    return found


def check_splits(data: ClickDataModule, found: Findings) -> None:
    """Look at each split, at one object of every image."""
    seen: dict[str, ObjectSource] = {}
    for split in ("train", "val", "test"):
        try:
            source = data.objects(split)
        except InputError as error:
            found.problems.append(f"{split}: {error}")
            continue
        same = [other for other, earlier in seen.items() if have_same_objects(source, earlier)]
        if same:
            found.parts.append(Part(split, {"objects": f"those of {same[0]}"}))
            continue
        seen[split] = source
        found.parts.append(look_at_objects(split, source, found))
    compare_with_training(data, found)
    found.notes, found.left_out = [*data.notes, *found.notes], data.left_out
    found.problems = [*data.problems, *found.problems]


def have_same_objects(source: ObjectSource, other: ObjectSource) -> bool:
    """Tell whether two splits are one: all names, and the first, middle and last object."""
    count = len(source)
    if count != len(other) or any(source.name(i) != other.name(i) for i in range(count)):
        return False
    return all(pixels_of(source, i) == pixels_of(other, i) for i in {0, count // 2, count - 1})


def pixels_of(source: ObjectSource, index: int) -> bytes | str:
    """Read the pixels of an object's image and mask, or the error, which names its file."""
    try:
        sample = source.read(index)
        return sample.image.tobytes() + sample.mask.tobytes()
    except InputError as error:
        return str(error)


def compare_with_training(data: ClickDataModule, found: Findings) -> None:
    """Look for photos of training among those of evaluation."""
    parts = {part.name: part for part in found.parts if part.fingerprints}
    if "train" not in parts:
        return
    train = parts.pop("train")
    for split, part in parts.items():
        pairs = nearest_pairs(train.fingerprints, part.fingerprints)
        alike = [pair for pair in pairs if pair.distance <= ALIKE]
        lines = [f"{pair.first} like {pair.second}" for pair in alike]
        found.notes += name_some(f"photos of train that look like one of {split}", lines)
        bits = (
            f"the nearest differ in {pairs[0].distance} of {BITS} bits; "
            f"up to {ALIKE} it is taken for the same photo"
        )
        beside = Part(f"train beside {split}", {"photos in both": f"{len(alike)}: {bits}"})
        found.parts.append(beside)
        shown = max(PAIRS, min(len(alike), PICTURES))
        for pair in pairs[:shown]:
            beside.pictures.append(first_object(data, "train", pair.first))
            beside.pictures.append(first_object(data, split, pair.second))


def first_object(data: ClickDataModule, split: str, image: str) -> Picture:
    """Draw the first object of an image that is given by its name."""
    source = data.objects(split)
    names = [source.image(index) for index in range(len(source))]
    sample = source.read(names.index(image))
    return picture_of(f"{split}: {image}", sample.image, draw_truth(sample))


def look_at_objects(split: str, source: ObjectSource, found: Findings) -> Part:
    """Read one object of every image of a split."""
    images: dict[str, int] = {}
    for index in range(len(source)):
        images.setdefault(source.image(index), index)
    part = Part(split, {"images": str(len(images)), "objects": str(len(source))})
    shares, of_classes = [], False
    pictured = spread(list(images.values()))
    for index in tqdm(images.values(), desc=split, leave=False, disable=None):
        try:
            sample = source.read(index)
        except InputError as error:
            found.problems.append(f"{source.name(index)}: {error}")
            continue
        object = sample.mask == 1
        shares.append(float(object.mean()))
        of_classes |= np.setdiff1d(sample.mask, (0, 1, IGNORE)).size > 0
        part.fingerprints[source.image(index)] = fingerprint(sample.image)
        if index in pictured:
            part.pictures.append(picture_of(source.name(index), sample.image, draw_truth(sample)))
    part.facts["sizes"] = count_sizes(source.size(index) for index in images.values())
    if shares:
        median = 100 * np.median(shares)
        part.facts["an object's share"] = (
            f"{median:.2g} % of its image in the median, of {len(shares)} objects"
        )
        if not of_classes:
            found.notes += [f"{split}: {line}" for line in odd_shares(shares)]
    try:
        part.facts |= source.facts()
    except InputError as error:
        found.problems.append(str(error))
    return part


def odd_shares(shares: Sequence[float]) -> list[str]:
    """Write a line where objects are too small for a network's view, or large as a background."""
    lines = []
    small = sum(share * VIEW**2 < FEWEST for share in shares)
    if small:
        lines.append(
            f"{small} of {len(shares)} objects have fewer than {FEWEST} pixels in a view of {VIEW} "
            f"x {VIEW}; zoom=true helps where a first answer is not empty, cut-outs more"
        )
    if np.median(shares) > LARGE:
        lines.append(
            f"an object covers more than {LARGE:.0%} of its image in the median; see that the "
            "masks are not inverted"
        )
    return lines


def check_images(data: TaskDataModule, found: Findings) -> None:
    """Look at every image of a stream of tasks."""
    try:
        dataset = data.objects("train")
        held, others = data.split()
    except InputError as error:
        found.problems.append(str(error))
        return
    use = f"{len(held)} to pretrain on, {len(others)} for tasks of one"
    part = Part("images", {"images": f"{len(dataset)}: {use}"})
    counts = np.zeros(256, np.int64)
    pictured = spread(range(len(dataset)))
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
            part.pictures.append(picture_of(file.image.name, image, mask))
    part.facts["sizes"] = f"{count_sizes(sizes)}; shown at {data.size[0]} x {data.size[1]}"
    part.facts["classes"] = class_shares(counts, data.classes)
    found.parts.append(part)
    found.notes, found.left_out = data.notes, data.left_out
    if sizes:
        absent = [label for label in range(data.classes) if not counts[label]]
        found.problems += [f"no pixel is of class {label}" for label in absent]


def check_volumes(data: VolumeDataModule, found: Findings) -> None:
    """Look at every volume of a stream."""
    measured: list[MeasuredVolume] = []
    try:
        files = data.cases()
    except InputError as error:
        found.problems.append(str(error))
        return
    part = Part("volumes", {"volumes": str(len(files))})
    pictured = spread(range(len(files)))
    for index, file in enumerate(tqdm(files, desc="volumes", leave=False, disable=None)):
        try:
            volume = read_case(file, data.values, data.channel, data.series)
        except InputError as error:
            found.problems.append(str(error))
            continue
        if index in pictured:
            part.pictures.append(widest_slice(file.image.name, volume))
        share = 100 * float(volume.mask.mean())
        measured.append(MeasuredVolume(volume.mask.shape, volume.spacing, share))
    part.facts |= volume_facts(measured)
    found.parts.append(part)
    if not found.problems:
        try:
            data.objects("train")  # the config may ask for more than the files have
        except InputError as error:
            found.problems.append(str(error))


def widest_slice(name: str, volume: Volume) -> Picture:
    """Draw the slice in which the target is largest."""
    depth = int(volume.mask.sum((1, 2)).argmax())
    pixels = volume.image[depth]
    low, high = np.percentile(pixels, (1, 99))
    scaled = (pixels - low) * (255 / max(high - low, 1e-12))
    grey = scaled.clip(0, 255).astype(np.uint8)
    image = np.repeat(grey[..., None], 3, -1)
    return picture_of(f"{name}, slice {depth}", image, volume.mask[depth] > 0)


def draw_truth(sample: Sample) -> NDArray[Any]:
    """Return an object's pixels, or the classes of an image that has several."""
    other_classes = np.setdiff1d(sample.mask, (0, 1, IGNORE))
    return sample.mask if other_classes.size > 0 else sample.mask == 1


def spread(indices: Sequence[int]) -> set[int]:
    """Choose indices from all over a list."""
    places = np.linspace(0, len(indices) - 1, min(PICTURES, len(indices)))
    return {indices[place] for place in places.round().astype(int)}
