"""What a look at a data set finds, in words: its parts, their facts, and the problems."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.duplicates import Fingerprint
from interseg.clicks.layout import IGNORE

LONGEST = 1024
"""Pixels of the long side of a picture that is kept: a page shows it smaller."""
SIZES = 3
"""Number of sizes that are named."""


class Picture(NamedTuple):
    """A photo, or a slice of a volume, with its truth."""

    name: str
    image: NDArray[np.uint8]
    """(H, W, 3)."""
    mask: NDArray[Any]
    """(H, W) bool, or uint8 classes."""


def picture_of(name: str, image: NDArray[np.uint8], mask: NDArray[Any]) -> Picture:
    """Keep a photo (H, W, 3) and its mask (H, W), both reduced if it is large."""
    scale = LONGEST / max(mask.shape)
    if scale >= 1:
        return Picture(name, image, mask)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    nearest = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return Picture(name, small.astype(np.uint8), nearest.astype(mask.dtype))


class MeasuredVolume(NamedTuple):
    """Facts about a volume."""

    size: tuple[int, ...]
    spacing: tuple[float, float, float]
    """In mm."""
    share: float
    """Per cent of the voxels that are target."""


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
    """Findings about a data set, a line each."""

    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def lines(self) -> dict[str, list[str]]:
        """All lines by their kind."""
        return {"note": self.notes, "left out": self.left_out, "wrong": self.problems}


def volume_facts(volumes: Sequence[MeasuredVolume]) -> dict[str, str]:
    """List the sizes, the spacings and the target's share of volumes."""
    if not volumes:
        return {}
    shares = [volume.share for volume in volumes]
    spacings: Counter[str] = Counter()
    for volume in volumes:
        spacings[" x ".join(f"{mm:.3g}" for mm in volume.spacing)] += 1
    return {
        "sizes": count_sizes(volume.size for volume in volumes),
        "spacings": f"{name_most_frequent(spacings)} mm",
        "the target's share": f"{min(shares):.2g} to {max(shares):.2g} %",
    }


def class_shares(counts: NDArray[np.int64], classes: int) -> str:
    """Write the share of each class among the pixels that count, and that of the ignored pixels."""
    known = counts[:classes]
    percents = 100 * known / max(known.sum(), 1)
    shares = [f"{label}: {percent:.2g} %" for label, percent in enumerate(percents.tolist())]
    ignored = 100 * counts[IGNORE] / max(counts.sum(), 1)
    return f"{', '.join(shares)}; ignored: {ignored:.2g} %"


def count_sizes(sizes: Iterable[tuple[int, ...]]) -> str:
    """Name the most frequent sizes."""
    names = [" x ".join(map(str, size)) for size in sizes]
    return name_most_frequent(Counter(names))


def name_most_frequent(counts: Counter[str]) -> str:
    """Name the most frequent values and their counts, the most frequent first."""
    named = [f"{value} ({count})" for value, count in counts.most_common(SIZES)]
    more = f" and {len(counts) - SIZES} more" if len(counts) > SIZES else ""
    return ", ".join(named) + more
