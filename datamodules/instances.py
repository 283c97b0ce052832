"""Objects of images with an instance map each (VOC, SBD, KITTI); their list is cached on disk."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from datamodules.sources import ObjectSource, Sample, sample_from_labels
from interseg.clicks.layout import IGNORE
from interseg.errors import InputError
from interseg.files import write_whole
from interseg.images import first_line, read_image
from interseg.labels import read_labels, whole_labels
from interseg.listing import leads_out

Decode = Callable[[Path], NDArray[np.int32]]
"""A function that reads an instance map (H, W): 0 background, 255 void, an id per object."""


class Listed(NamedTuple):
    """Facts about an object that are known before its image is decoded."""

    id: int
    height: int
    """Height of the image in pixels."""
    width: int
    """Width of the image in pixels."""
    area: int
    """Number of the object's pixels."""
    box: int
    """Number of pixels in its bounding box."""


class InstanceMapSource(ObjectSource):
    """Every object of every instance map; 0 is background, 255 is void and ignored.

    Args:
        pairs: Files of each image and its instance map.
        decode: Function that reads the instance maps.
        min_fill: Share of its bounding box that an object must fill; others are left out (training
            on SBD: 0.08, as RITM does).
    """

    def __init__(
        self, pairs: list[tuple[Path, Path]], decode: Decode, min_fill: float = 0.0
    ) -> None:
        super().__init__()
        self.decode = decode
        rows = list_objects([instances for _, instances in pairs], decode)
        self.entries: list[tuple[tuple[Path, Path], Listed]] = []
        """Files and facts of each object."""
        for pair, objects in zip(pairs, rows, strict=True):
            filled = [row for row in objects if row.area >= min_fill * row.box]
            self.entries += [(pair, row) for row in filled]

    def __len__(self) -> int:
        return len(self.entries)

    def size(self, index: int) -> tuple[int, int]:
        row = self.entries[index][1]
        return row.height, row.width

    def name(self, index: int) -> str:
        (image, _), row = self.entries[index]
        return f"{image.name}: object {row.id}"

    def image(self, index: int) -> str:
        (image, _), _ = self.entries[index]
        return image.name

    def read(self, index: int) -> Sample:
        (image, instances), row = self.entries[index]
        photo = read_image(image, (row.height, row.width))
        return sample_from_labels(photo, self.decode(instances), row.id, IGNORE, instances)


def read_instances(path: Path) -> NDArray[np.int32]:
    """Read instance ids (H, W) of a PNG or of SBD's .mat files.

    They are the palette indices of a PNG (never its colours), or `GTinst.Segmentation`.
    """
    if path.suffix != ".mat":
        return read_labels(path)
    try:
        with path.open("rb") as file:
            content = loadmat(file, variable_names="GTinst")
            return instances_of(content["GTinst"][0][0][0], path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; unpack the archive again") from None
    # scipy raises MatReadError, zlib.error, KeyError, ValueError ... for damaged and foreign files
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as an instance file of SBD ({first_line(error)}); "
            "unpack the archive again"
        ) from None


def instances_of(values: Any, path: Path) -> NDArray[np.int32]:
    """Check an instance map of a .mat file."""
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} holds no instance map; unpack the archive again")
    return whole_labels(values, path)


def list_objects(paths: list[Path], decode: Decode) -> list[list[Listed]]:
    """Find the objects of each instance map, by id.

    Decoding thousands of maps takes a minute, so the list is cached in `$XDG_CACHE_HOME/interseg`
    (`~/.cache` by default), under a name that changes with any file's path, size or time.
    """
    cache = find_cache(paths, decode)
    try:
        lists = json.loads(cache.read_text())
        return [[Listed(*row) for row in rows] for rows in lists]
    except (OSError, ValueError, TypeError):
        rows = [objects_of(decode(path)) for path in paths]
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, json.dumps(rows))
    except OSError:
        pass  # without a writable home the next start takes the minute again, nothing else
    return rows


def find_cache(paths: list[Path], decode: Decode) -> Path:
    """Name the file in which the list of some instance maps' objects is cached."""
    facts = []
    for path in paths:
        status = _status(path)
        facts.append((str(path.absolute()), status.st_size, status.st_mtime_ns))
    reader = f"{decode.__module__}.{decode.__qualname__}"
    digest = hashlib.sha256(json.dumps([reader, facts]).encode()).hexdigest()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "interseg", f"objects-{digest[:24]}.json")


def objects_of(labels: NDArray[np.int32]) -> list[Listed]:
    """Find the objects of an instance map by id."""
    found = []
    image_height, image_width = labels.shape
    for id in np.unique(labels).tolist():
        if id in (0, IGNORE):
            continue
        y, x = np.nonzero(labels == id)
        height, width = y.max() - y.min() + 1, x.max() - x.min() + 1
        found.append(Listed(id, image_height, image_width, len(y), int(height * width)))
    return found


def read_list(path: Path, how: str) -> list[str]:
    """Read the names in a list file, a line each.

    A leading slash, which in some files stands for the data set's root, is dropped.

    Args:
        path: List file.
        how: Instruction to get a missing file, for the message.

    Raises:
        InputError: The file is missing or not text, or a name leads out of the data set.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: {how}")
    try:
        names = [name.lstrip("/") for name in path.read_text(encoding="utf-8-sig").split()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no list of names ({first_line(error)}); unpack the archive again"
        ) from None
    for name in names:
        if leads_out(name):
            raise InputError(
                f"{path} names {name!r}, which leads out of the data set; unpack the archive again"
            )
    return names


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:
        raise InputError(
            f"{path} does not exist; the archive was not unpacked whole, unpack it again"
        ) from None
