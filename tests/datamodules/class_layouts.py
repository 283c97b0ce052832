"""Published layouts of label maps, drawn in miniature; each gives its data module and classes."""

import numpy as np

from datamodules.base import Loading
from datamodules.camvid import CamvidDataModule
from datamodules.cityscapes import CityscapesDataModule
from datamodules.isic import IsicDataModule
from datamodules.mastr import MastrDataModule
from datamodules.tasks import ClassFolderDataModule
from tests.helpers.drawing import draw, write


def classes(seed, values=(0, 1, 2), height=40, width=56):
    image, ids = draw(seed, height, width)
    return image, np.array(values, np.uint8)[ids]


def isic(root, year):
    photos, masks = {
        "2017": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        "2018": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
    }[year]
    for i in range(6):
        image, mask = classes(i, (0, 255, 255))
        write(root / photos / f"ISIC_{i:07}.jpg", image)
        write(root / photos / f"ISIC_{i:07}_superpixels.png", image)
        write(root / masks / f"ISIC_{i:07}_segmentation.png", mask)
    return IsicDataModule, {0, 1}


def camvid(root, _):
    for i in range(6):
        image, mask = classes(i, (3, 10, 11))
        split = ("train", "val")[i % 2]
        write(root / split / f"{i}.png", image)
        write(root / f"{split}annot" / f"{i}.png", mask)
    return CamvidDataModule, {3, 10, 255}


def cityscapes(root, _):
    for i in range(6):
        image, mask = classes(i, (7, 26, 1))
        split, city = ("train", "aachen") if i % 2 else ("val", "ulm")
        write(root / "leftImg8bit" / split / city / f"{city}_{i}_leftImg8bit.png", image)
        write(root / "gtFine" / split / city / f"{city}_{i}_gtFine_labelIds.png", mask)
    return CityscapesDataModule, {1, 7, 0}


def mastr(root, _):
    for i in range(6):
        image, mask = classes(i, (1, 0, 4))
        write(root / "MaSTr1325_images_512x384" / f"{i:04}.jpg", image)
        write(root / "MaSTr1325_masks_512x384" / f"{i:04}m.png", mask)
    return MastrDataModule, {1, 0, 255}


def folder(root, _):
    for i in range(6):
        image, mask = classes(i, (0, 1, 255))
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", mask)
    return ClassFolderDataModule, {0, 1, 255}


SMALL = {
    "size": (32, 48),
    "pretraining_images": 2,
    "length": 3,
    "loading": Loading(batch_size=2, num_workers=0),
}
LAYOUTS = [
    (isic, "2017"),
    (isic, "2018"),
    (camvid, ""),
    (cityscapes, ""),
    (mastr, ""),
    (folder, ""),
]
