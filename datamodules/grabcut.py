"""The GrabCut layout: one object an image, a trimap beside it (0 background, 128 ignore, 255 object); Berkeley's too."""

from pathlib import Path

from datamodules.base import ClickDataModule, Loading
from datamodules.folder import FolderSource
from datamodules.sources import require_folder
from datamodules.splits import note_whole_set


class GrabCutDataModule(ClickDataModule):
    """A set in the GrabCut layout, all of it in every split; made for evaluation.

    Args:
        root: the data set's folder.
        images: its folder of photos ("images" for Berkeley).
        masks: its folder of trimaps ("masks" for Berkeley).
        loading: see `Loading`.
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
        images, masks = (
            require_folder(root / name, "a part of the data set", how)
            for name in (self.images, self.masks)
        )
        source = FolderSource(images, masks, "trimap")
        source.notes += note_whole_set(split, root)
        return source
