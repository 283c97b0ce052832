"""The GrabCut layout, Berkeley's too: an image with one object, and its trimap.

Values of a trimap are 0 for background, 128 to ignore, 255 for the object.
"""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.folder_source import FolderSource
from datamodules.sources import require_folder
from datamodules.splits import note_whole_set


class GrabCutDataModule(ClickDataModule):
    """Data module of a set in the GrabCut layout for evaluation; every split is the whole set.

    Args:
        root: Folder of the data set.
        images: Name of its folder of photos ("images" for Berkeley).
        masks: Name of its folder of trimaps ("masks" for Berkeley).
        loading: See `Loading`.
    """

    def __init__(
        self,
        root: str,
        images: str = "data_GT",
        masks: str = "boundary_GT",
        loading: Loading | None = None,
    ) -> None:
        super().__init__(loading)
        self.root, self.images, self.masks = Path(root), images, masks

    def source(self, split: str) -> FolderSource:
        how = (
            f"it holds {self.images}/ and {self.masks}/ with the same stems; "
            "the GrabCut and Berkeley sets are on their authors' pages"
        )
        root = require_folder(self.root, "a data set in the GrabCut layout", how)
        images = require_folder(root / self.images, "a part of the data set", how)
        masks = require_folder(root / self.masks, "a part of the data set", how)
        source = FolderSource(images, masks, "trimap")
        source.notes += note_whole_set(split, root)
        return source
