"""A person's own folder: images and masks of the same stem, no code needed."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.folder_source import FolderSource
from datamodules.sources import ObjectSource, Subset, require_folder
from datamodules.splits import check_by, check_shares, note_same_objects, part_of
from interseg.errors import InputError


class FolderDataModule(ClickDataModule):
    """Data module of images and masks in folders.

    They are in `root/images` and `root/masks`, or in `root/train/images` and so on if each split
    has folders of its own; where `val` or `test` has none, it is the other one. Without such
    folders every split has the same objects, so that any folder can be evaluated on or trained on;
    a note says so. `split` divides it by image instead. Photos without a mask, and masks without an
    object, are left out.

    Args:
        root: Folder of the data set.
        images: Name of the folder of images.
        masks: Name of the folder of masks.
        kind: Kind of the masks, see `FolderSource`.
        background: See `FolderSource`.
        nested: See `FolderSource`.
        split: Shares of the images for training and test, or for training, validation and test,
            drawn at random, so that most photos stay where they are when others are added; null for
            no split.
        split_seed: Seed of that draw, apart from the run's: runs of all seeds are evaluated on the
            same objects.
        split_by: What the draw depends on, "names" or "numbers", see `part_of`.
        partly: See `FolderSource`.
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str,
        images: str = "images",
        masks: str = "masks",
        kind: str = "auto",
        background: str = "#000000",
        nested: bool = False,
        split: Sequence[float] | None = None,
        split_seed: int = 0,
        split_by: str = "names",
        partly: bool = True,
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.images, self.masks, self.kind = Path(root), images, masks, kind
        self.background, self.nested, self.partly = background, nested, partly
        self.shares, self.drawn = check_shares(split), (split_seed, check_by(split_by))
        self._whole: FolderSource | None = None

    def source(self, split: str) -> ObjectSource:
        root = require_folder(
            self.root,
            "your data set",
            f"put {self.images}/ and {self.masks}/ with the same stems into it",
        )
        apart = (root / split / self.images).is_dir()
        test, val = root / "test", root / "val"
        if split == "val" and not (apart or self.shares) and (test / self.images).is_dir():
            source = self._open(test)  # as with two shares
            source.notes.append(f"there is no val/ beside {test}: validation sees the test split")
            return source
        if split == "test" and not (apart or self.shares) and (val / self.images).is_dir():
            source = self._open(val)
            source.notes.append(f"there is no test/ beside {val}: evaluation sees the val split")
            return source
        if apart and self.shares is not None:
            raise InputError(
                f"{root} has {split}/ and data.split is {self.shares}; "
                "leave data.split out, or join the folders"
            )
        if apart:
            return self._open(root / split)
        if self._whole is None:
            self._whole = self._open(root)
            if self.shares is None:
                below = "" if self.images == "images" else f"{self.images}/"
                missing = f"{root} has no train/{below} and test/{below}"
                self._whole.notes.append(note_same_objects(missing))
        if self.shares is None:
            return self._whole
        stems = [stem for stem, *_ in self._whole.entries]
        return Subset(self._whole, part_of(stems, self.shares, split, *self.drawn))

    def _open(self, root: Path) -> FolderSource:
        how = "images and masks lie in two folders, the same stem for both"
        images = require_folder(root / self.images, "a part of the data set", how)
        masks = require_folder(root / self.masks, "a part of the data set", how)
        return FolderSource(images, masks, self.kind, self.background, self.nested, self.partly)
