"""COCO and LVIS: a JSON file of annotations per split, one object per annotation."""

from collections.abc import Sequence
from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.coco_source import CocoSource
from datamodules.sources import ObjectSource, Subset, drop_repeats, require_folder
from datamodules.splits import check_by, check_shares, note_same_objects, part_of
from interseg.errors import InputError


class CocoDataModule(ClickDataModule):
    """Data module of COCO, LVIS or another set with one annotation file per split.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        images: Folder of the images; "{split}" in it is replaced.
        annotations: Annotation file; "{split}" in it is replaced.
        splits: Names of the files' splits for train, val and test, where they differ. Without a
            file of its own the test split is that of validation: COCO and LVIS publish no
            annotations of theirs.
        min_area: Area in pixels below which objects are left out.
        categories: See `CocoSource`.
        per_category: See `CocoSource`.
        crowds: See `CocoSource`.
        split: Shares of the images for training and test, or for training, validation and test, if
            all splits have one file; see `FolderDataModule`.
        split_seed: See `FolderDataModule`.
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str,
        images: str = "images",
        annotations: str = "annotations/{split}.json",
        splits: dict[str, str] | None = None,
        min_area: int = 0,
        categories: Sequence[str] | str | None = None,
        per_category: int | None = None,
        crowds: bool = False,
        split: Sequence[float] | None = None,
        split_seed: int = 0,
        split_by: str = "names",
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.images, self.annotations = Path(root), images, annotations
        self.splits, self.min_area = splits or {}, min_area
        self.categories = categories
        self.per_category, self.crowds = per_category, crowds
        self.shares, self.drawn = check_shares(split), (split_seed, check_by(split_by))
        self._opened: dict[Path, CocoSource] = {}

    def source(self, split: str) -> ObjectSource:
        root = require_folder(self.root, "a COCO data set", "download it or point to yours")
        part = self._part_of(split)
        annotations = root / self.annotations.format(split=part)
        images = root / self.images.format(split=part)
        how = "give their folder by data.images=, relative to data.root"
        require_folder(images, "the images of a COCO data set", how)
        train, test = (self._part_of(one) for one in ("train", "test"))
        shared = self.annotations.format(split=train) == self.annotations.format(split=test)
        if self.shares is not None and not shared:
            raise InputError(
                f"each split has a file of its own, {annotations}, "
                f"and data.split is {self.shares}; leave data.split out"
            )
        if annotations not in self._opened:
            self._opened[annotations] = CocoSource(
                annotations,
                images,
                self.min_area,
                self.categories,
                self.per_category,
                self.crowds,
            )
        whole = self._opened[annotations]
        if self.shares is not None:
            image_ids = [row["image_id"] for row in whole.rows]
            return Subset(whole, part_of(image_ids, self.shares, split, *self.drawn))
        if split == "test" and part != self.splits.get("test", "test"):
            note = f"there is no test file beside {annotations}: its objects are those of test too"
            whole.notes = drop_repeats([*whole.notes, note])
        if shared:
            note = note_same_objects(f"{annotations} is the file of all splits")
            whole.notes = drop_repeats([*whole.notes, note])
        return whole

    def _part_of(self, split: str) -> str:
        """Name the files' split of a split."""
        if split == "test" and "test" not in self.splits:
            own = self.root / self.annotations.format(split="test")
            return "test" if own.is_file() else self._part_of("val")
        return self.splits.get(split, split)
