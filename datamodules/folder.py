"""A person's own folder: images and masks of the same stem, no code needed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.base import ClickDataModule, Loading
from datamodules.sources import ObjectSource, Sample, existing_folder, sample_from_labels
from interseg.errors import InputError
from interseg.images import image_files, image_size, read_image, read_labels

KINDS = ("auto", "binary", "ids", "trimap")


class FolderSource(ObjectSource):
    """Every object of every mask in a folder.

    A mask is `binary` (anything above 0 is the one object), `ids` (a number per object, 255 ignored in 8-bit files that
    also have other ids) or `trimap` (0, 128 = ignore, 255 = object). `auto` decides once for the whole folder: only
    {0, 1} or {0, 255} is binary, with 128 a trimap, all else ids.

    Args:
        images: folder of the images.
        masks: folder of the masks.
        kind: one of "auto", "binary", "ids", "trimap".
    """

    def __init__(self, images: Path, masks: Path, kind: str = "auto") -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"masks are {kind!r}; use one of {', '.join(KINDS)}")
        photos, labels = image_files(images), image_files(masks)
        if photos and not photos.keys() & labels.keys():
            raise InputError(f"no file of {masks} has the stem of an image in {images}; masks are named like their images")
        self.problems += [f"{path} has no mask in {masks}" for stem, path in photos.items() if stem not in labels]
        self.pairs = {stem: (photos[stem], labels[stem]) for stem in sorted(photos.keys() & labels.keys())}
        found = {stem: self._listed(stem) for stem in self.pairs}
        values = set[int]().union(*(v for _, v in found.values()))
        self.kind = _kind_of(values) if kind == "auto" else kind
        self.entries = [(stem, id, size) for stem, (size, v) in found.items() for id in self._objects(stem, v)]

    def _listed(self, stem: str) -> tuple[tuple[int, int], set[int]]:
        """Size and mask values of a pair; (0, 0) and nothing, with the problem noted, where it cannot be read."""
        image, mask = self.pairs[stem]
        try:
            size, labels = image_size(image), read_labels(mask)
        except InputError as error:
            self.problems.append(str(error))
            return (0, 0), set()
        if labels.shape != size:
            self.problems.append(
                f"{mask} is {labels.shape[0]} x {labels.shape[1]}, its image {size[0]} x {size[1]}; a mask has its image's size"
            )
            return (0, 0), set()
        return size, set(np.unique(labels).tolist())

    def _objects(self, stem: str, values: set[int]) -> list[int]:
        if self.kind == "ids":
            ids = sorted(values - {0, 255 if self._ignore(values) else 0})
        else:
            threshold = 128 if self.kind == "trimap" else 0
            ids = [1] if any(v > threshold for v in values) else []
        if values and not ids:
            self.problems.append(f"{self.pairs[stem][1]} has no object (values {sorted(values)}); draw one or remove the mask")
        return ids

    def _ignore(self, values: set[int]) -> bool:
        return 255 in values and max(values) == 255

    def __len__(self) -> int:
        return len(self.entries)

    def size(self, index: int) -> tuple[int, int]:
        return self.entries[index][2]

    def name(self, index: int) -> str:
        stem, id, _ = self.entries[index]
        return f"{self.pairs[stem][0].name}: object {id}"

    def read(self, index: int) -> Sample:
        stem, id, _ = self.entries[index]
        image, mask = self.pairs[stem]
        labels, ignore = self._labels(read_labels(mask))
        return sample_from_labels(read_image(image), labels, id, ignore, mask)

    def _labels(self, values: NDArray[np.int32]) -> tuple[NDArray[np.int32], int | None]:
        if self.kind == "binary":
            return (values > 0).astype(np.int32), None
        if self.kind == "trimap":
            return np.where(values > 128, 1, values * (values == 128)).astype(np.int32), 128
        return values, 255 if values.max() == 255 else None


def _kind_of(values: set[int]) -> str:
    if values <= {0, 1} or values <= {0, 255}:
        return "binary"
    return "trimap" if values <= {0, 128, 255} else "ids"


class FolderDataModule(ClickDataModule):
    """Images and masks in folders: `root/images`, `root/masks`, or `root/{split}/images` and so on where the splits are apart.

    Without split folders every split is the same objects, so that a folder can be evaluated on, or trained on, as it is.

    Args:
        root: the folder.
        images: name of the folder of images.
        masks: name of the folder of masks.
        kind: of the masks, see `FolderSource`.
        loading: see `Loading`.
    """

    def __init__(self, root: str, images: str = "images", masks: str = "masks", kind: str = "auto", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root, self.images, self.masks, self.kind = Path(root), images, masks, kind

    def source(self, split: str) -> FolderSource:
        root = existing_folder(self.root, "your data set", f"put {self.images}/ and {self.masks}/ with the same stems into it")
        if (root / split).is_dir():
            root = root / split
        how = "images and masks lie in two folders, the same stem for both"
        images, masks = (existing_folder(root / name, "a part of the data set", how) for name in (self.images, self.masks))
        return FolderSource(images, masks, self.kind)
