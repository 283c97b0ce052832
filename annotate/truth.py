"""Truth beside the photos: IoU is known while a person clicks, which is an experiment."""

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotate.state import Thing, object_mask
from datamodules.folder_source import FolderSource
from interseg.errors import InputError
from interseg.evaluation.overlap import iou

KEPT = 4
"""Photos whose truths are kept in memory."""


class Truth:
    """True objects of a folder, numbered and named as `data/folder.yaml` evaluates on them.

    Args:
        images: Folder of the photos.
        masks: Folder of their masks.
    """

    def __init__(self, images: Path, masks: Path) -> None:
        self.images, self.masks = images, masks
        self.source = FolderSource(images, masks)
        self.of_photo: dict[str, list[int]] = {}
        for index in range(len(self.source)):
            self.of_photo.setdefault(self.source.image(index), []).append(index)
        self._lock = threading.Lock()
        self._read: OrderedDict[str, dict[int, NDArray[np.uint8]]] = OrderedDict()

    def objects(self, photo: str, size: tuple[int, int]) -> dict[int, NDArray[np.uint8]]:
        """Read a photo's objects (H, W) in {0, 1, 255 = ignore}; none if sizes differ."""
        with self._lock:
            if photo not in self._read:
                try:
                    found = {
                        index: self.source.read(index).mask
                        for index in self.of_photo.get(photo, [])
                    }
                except InputError:
                    found = {}
                self._read[photo] = {
                    index: mask for index, mask in found.items() if mask.shape == size
                }
                while len(self._read) > KEPT:
                    self._read.popitem(last=False)
            return self._read[photo]

    def index_of(self, photo: str, size: tuple[int, int], thing: Thing) -> int | None:
        """Find the true object that a person means.

        It is the one under the first click on an object, else the one that the mask fits best.
        """
        objects = self.objects(photo, size)
        for click in thing.clicks:
            if click.label:
                under = [index for index, mask in objects.items() if mask[click.y, click.x] == 1]
                if under:
                    return under[0]
                break
        mask = object_mask(thing.runs, size)
        fits = {index: iou(mask, truth) for index, truth in objects.items()}
        best = max(fits, key=fits.__getitem__, default=None)
        return best if best is not None and fits[best] > 0 else None

    def iou(self, photo: str, size: tuple[int, int], thing: Thing) -> float | None:
        """Measure an object; None where it has no truth."""
        index = self.index_of(photo, size, thing)
        return (
            None
            if index is None
            else iou(object_mask(thing.runs, size), self.objects(photo, size)[index])
        )

    def measure(self, thing: Thing, index: int) -> float:
        """Measure an object's mask, strokes of the brush included, against a true one."""
        mask = self.source.read(index).mask
        return iou(object_mask(thing.runs, (int(mask.shape[0]), int(mask.shape[1]))), mask)
