"""The embedded data set: photos of scikit-image's wheel with outlines drawn for this project."""

from importlib.resources import files
from pathlib import Path

from datamodules.base import ClickDataModule
from datamodules.coco_source import CocoSource

OUTLINES = Path(__file__).parent / "samples"


class SamplesDataModule(ClickDataModule):
    """Data module of scikit-image's photos, split by photo; validation and test are the same."""

    def source(self, split: str) -> CocoSource:
        photos = Path(str(files("skimage") / "data"))
        outlines = "train.json" if split == "train" else "test.json"
        return CocoSource(OUTLINES / outlines, photos)
