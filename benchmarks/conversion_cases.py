"""Cases of the benchmark of converted networks: images, their truth, and files of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from datamodules.coco import CocoDataModule
from datamodules.grabcut import GrabCutDataModule
from datamodules.samples import SamplesDataModule

SIDE = 320
"""Long side of photos in pixels, at most."""


class Case(NamedTuple):
    """An image with its truth."""

    image: Tensor
    """Photo (3, H, W) in [0, 1]."""
    truth: NDArray[np.uint8]
    """Class (H, W) of each pixel."""
    cells: NDArray[np.int64] | None = None
    """Number (H, W) of the cell that is nearest to each pixel."""


def photos(data: CocoDataModule | GrabCutDataModule) -> Iterator[Case]:
    """Yield photos of at most `SIDE` pixels and the union of their objects."""
    objects = data.objects("test")
    unions: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for index in range(len(objects)):
        sample = objects.read(index)
        name = objects.name(index).split(": ")[0]
        image, before = unions.get(name, (sample.image, np.zeros_like(sample.mask)))
        union = np.where((sample.mask == 1) | (before == 1), np.uint8(1), sample.mask)
        unions[name] = (image, union)
    for image, union in unions.values():
        scale = min(1.0, SIDE / max(union.shape))
        size = (round(union.shape[1] * scale), round(union.shape[0] * scale))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        yield Case(
            as_tensor(small),
            np.asarray(Image.fromarray(union).resize(size, Image.Resampling.NEAREST)),
        )


def tiles() -> dict[str, list[Case]]:
    """Cut each half of a photo of coins into four tiles: for training, and to be played."""
    objects = SamplesDataModule().objects("test")
    coins = [objects.read(i) for i in range(len(objects)) if objects.name(i).startswith("coins")]
    masks = np.stack([coin.mask == 1 for coin in coins])
    image, truth = coins[0].image, np.any(masks, axis=0).astype(np.uint8)
    nearest = np.argmin([distance_transform_edt(~mask) for mask in masks], axis=0)
    halves: dict[str, list[Case]] = {}
    left, right = np.array_split(np.arange(image.shape[1]), 2)
    for split, columns in (("train", left), ("test", right)):
        halves[split] = []
        for rows in np.array_split(np.arange(len(image)), 2):
            for some in np.array_split(columns, 2):
                tile = np.ix_(rows, some)
                halves[split].append(Case(as_tensor(image[tile]), truth[tile], nearest[tile]))
    return halves


def as_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Make a tensor (3, H, W) in [0, 1] of an image (H, W, 3) of bytes."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def write(folder: Path, splits: dict[str, Iterator[Case]]) -> None:
    """Write files as `data/folder.yaml` reads them, unless they exist."""
    for split, some in splits.items():
        if (folder / split).exists():
            continue
        part = folder / f".{split}"  # a kill leaves no half of a split
        shutil.rmtree(part, ignore_errors=True)
        images, masks = part / "images", part / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        for number, case in enumerate(some):
            photo = (case.image * 255).byte().permute(1, 2, 0).numpy()
            mask = (case.truth == 1).astype(np.uint8) * 255
            Image.fromarray(photo).save(images / f"{number:03}.png")
            Image.fromarray(mask).save(masks / f"{number:03}.png")
        part.rename(folder / split)
