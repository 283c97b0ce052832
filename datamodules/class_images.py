"""Images with a class at every pixel, clicked as a whole, for networks of several classes."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import ClickDataModule, Loading
from datamodules.labelled_images import LabelledDataset
from datamodules.sources import ObjectSource, Sample
from datamodules.tasks import TaskDataModule


class ClassImageSource(ObjectSource):
    """Some images of a labelled set; the mask of an image is its classes, 255 = ignore.

    Args:
        images: All images of the set.
        indices: Numbers of the images that are taken.
    """

    def __init__(self, images: LabelledDataset, indices: Sequence[int]) -> None:
        super().__init__()
        self.images, self.indices = images, indices

    def __len__(self) -> int:
        return len(self.indices)

    def size(self, index: int) -> tuple[int, int]:
        return self.images.size

    def name(self, index: int) -> str:
        return self.images.files[self.indices[index]].image.name

    def read(self, index: int) -> Sample:
        image, mask = self.images.read(self.indices[index])
        return Sample(image, mask, np.zeros_like(mask))


class ClassImagesDataModule(ClickDataModule):
    """Data module of the images of a task stream, used without the stream.

    Training has the images that the stream pretrains on, evaluation has the others.

    Args:
        images: Data module of the stream; its size, split and classes hold.
        loading: See `Loading`.
    """

    def __init__(self, images: TaskDataModule, loading: Loading | None = None) -> None:
        super().__init__(loading)
        self.images = images

    def source(self, split: str) -> ClassImageSource:
        pretraining, others = self.images.split()
        source = ClassImageSource(
            self.images.objects("train"), pretraining if split == "train" else others
        )
        source.notes, source.left_out = self.images.notes, self.images.left_out
        return source
