"""Objects of images that have an instance map each: VOC, SBD, KITTI; listed once, the list kept on disk."""

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
"""Reads an instance map (H, W): 0 background, 255 void, an id per object."""


class Listed(NamedTuple):
    """What is known of an object before its image is decoded."""

    id: int
    height: int
    width: int
    area: int
    box: int
    """Pixels of its bounding box."""


class InstanceMapSource(ObjectSource):
    """Every object of every instance map; 0 is background, 255 is void and ignored.

    Args:
        pairs: image and instance map of each image.
        decode: reads the instance maps.
        min_fill: leave out objects that fill less of their bounding box (training on SBD: 0.08, as
            RITM does).
    """

    def __init__(
        self, pairs: list[tuple[Path, Path]], decode: Decode, min_fill: float = 0.0
    ) -> None:
        super().__init__()
        self.decode = decode
        rows = list_objects([instances for _, instances in pairs], decode)
        self.entries = [
            (pair, row)
            for pair, objects in zip(pairs, rows, strict=True)
            for row in objects
            if row.area >= min_fill * row.box
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def size(self, index: int) -> tuple[int, int]:
        row = self.entries[index][1]
        return row.height, row.width

    def name(self, index: int) -> str:
        (image, _), row = self.entries[index]
        return f"{image.name}: object {row.id}"

    def image(self, index: int) -> str:
        return self.entries[index][0][0].name

    def read(self, index: int) -> Sample:
        (image, instances), row = self.entries[index]
        photo = read_image(image, (row.height, row.width))
        return sample_from_labels(photo, self.decode(instances), row.id, IGNORE, instances)


def read_instances(path: Path) -> NDArray[np.int32]:
    """(H, W) instance ids: palette indices of a PNG (never its colours), `GTinst.Segmentation` of SBD's .mat."""
    if path.suffix != ".mat":
        return read_labels(path)
    try:
        with path.open("rb") as file:
            return instances_of(loadmat(file, variable_names="GTinst")["GTinst"][0][0][0], path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; unpack the archive again") from None
    except Exception as error:  # scipy raises MatReadError, zlib.error, KeyError, ValueError ... for damaged and foreign files
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

    Decoding thousands of maps takes a minute, so the list is kept in `$XDG_CACHE_HOME/interseg`
    (`~/.cache` by default), under a name that changes with any file's path, size or time.
    """
    facts = [(str(p.absolute()), s.st_size, s.st_mtime_ns) for p in paths for s in [_status(p)]]
    digest = hashlib.sha256(
        json.dumps([f"{decode.__module__}.{decode.__qualname__}", facts]).encode()
    ).hexdigest()
    cache = Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache",
        "interseg",
        f"objects-{digest[:24]}.json",
    )
    try:
        return [[Listed(*row) for row in rows] for rows in json.loads(cache.read_text())]
    except (OSError, ValueError, TypeError):
        rows = [objects_of(decode(path)) for path in paths]
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, json.dumps(rows))
    except OSError:
        pass  # a home that cannot be written costs the minute again, nothing else
    return rows


def objects_of(labels: NDArray[np.int32]) -> list[Listed]:
    """Find the objects of an instance map by id."""
    found = []
    for id in np.unique(labels).tolist():
        if id not in (0, IGNORE):
            y, x = np.nonzero(labels == id)
            box = int((y.max() - y.min() + 1) * (x.max() - x.min() + 1))
            found.append(Listed(id, labels.shape[0], labels.shape[1], len(y), box))
    return found


def read_list(path: Path, how: str) -> list[str]:
    """Read the names in a list file, a line each, without the slash that stands for the data set's root in some.

    Raises:
        InputError: a missing file, which says how to get it, one that is no text, a name that leads
            out of the data set.
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
