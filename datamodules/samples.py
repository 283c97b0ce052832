"""The embedded data set: photos of scikit-image's wheel, outlines drawn for this project; nothing is downloaded."""

from importlib.resources import files
from pathlib import Path

from datamodules.base import ClickDataModule
from datamodules.coco import CocoSource

OUTLINES = Path(__file__).parent / "samples"


class SamplesDataModule(ClickDataModule):
    """Photos that scikit-image carries, split by photo; validation and test are the same held-out photos."""

    def source(self, split: str) -> CocoSource:
        photos = Path(str(files("skimage") / "data"))
        return CocoSource(OUTLINES / ("train.json" if split == "train" else "test.json"), photos)
