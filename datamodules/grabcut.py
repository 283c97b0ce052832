"""The GrabCut layout: one object an image, a trimap beside it (0 background, 128 ignore, 255 object); Berkeley's too."""

from pathlib import Path

import numpy as np

from datamodules.base import ClickDataModule, Loading
from datamodules.sources import ObjectSource, Sample, existing_folder, image_files, image_size, read_image, read_labels, sample_from_labels
from interseg.errors import InputError

TRIMAP_IGNORE = 128


class TrimapSource(ObjectSource):
    """Images and trimaps of the same stem; above 128 is object, 128 is ignored (methods of RITM's loaders).

    Args:
        images: folder of the photos.
        masks: folder of the trimaps.
    """

    def __init__(self, images: Path, masks: Path) -> None:
        super().__init__()
        photos, trimaps = image_files(images), image_files(masks)
        if photos and not photos.keys() & trimaps.keys():
            raise InputError(f"no file of {masks} has the stem of an image in {images}; trimaps are named like their images")
        self.problems = [f"{path} has no trimap in {masks}" for stem, path in photos.items() if stem not in trimaps]
        self.pairs, self.sizes = [], []
        for stem in sorted(photos.keys() & trimaps.keys()):
            try:
                self.sizes.append(image_size(photos[stem]))
                self.pairs.append((photos[stem], trimaps[stem]))
            except InputError as error:
                self.problems.append(str(error))

    def __len__(self) -> int:
        return len(self.pairs)

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]

    def name(self, index: int) -> str:
        return self.pairs[index][0].name

    def read(self, index: int) -> Sample:
        image, trimap = self.pairs[index]
        values = read_labels(trimap)
        labels = np.where(values > TRIMAP_IGNORE, 1, np.where(values == TRIMAP_IGNORE, TRIMAP_IGNORE, 0)).astype(np.int32)
        return sample_from_labels(read_image(image), labels, 1, TRIMAP_IGNORE, trimap)


class GrabCutDataModule(ClickDataModule):
    """A set in the GrabCut layout, all of it in every split; made for evaluation.

    Args:
        root: the data set's folder.
        images: its folder of photos ("images" for Berkeley).
        masks: its folder of trimaps ("masks" for Berkeley).
        loading: see `Loading`.
    """

    def __init__(self, root: str, images: str = "data_GT", masks: str = "boundary_GT", loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.root, self.images, self.masks = Path(root), images, masks

    def source(self, split: str) -> TrimapSource:
        how = f"it holds {self.images}/ and {self.masks}/ with the same stems; the GrabCut and Berkeley sets are on their authors' pages"
        root = existing_folder(self.root, "a data set in the GrabCut layout", how)
        images, masks = (existing_folder(root / name, "a part of the data set", how) for name in (self.images, self.masks))
        return TrimapSource(images, masks)
