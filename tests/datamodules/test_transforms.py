import albumentations
import numpy as np
import torch

from datamodules.base import Loading
from datamodules.click_batches import ClickDataset, identity_map
from datamodules.folder import FolderDataModule
from datamodules.transforms import CropAtObject
from interseg.clicks.layout import IGNORE


def test_the_centre_is_an_object_pixel_and_what_lies_beyond_is_padding(folder):
    data = FolderDataModule(str(folder), loading=Loading(num_workers=0))
    crop = albumentations.Compose(
        [CropAtObject(70, 90)], additional_targets={"others": "mask", "to_source": "mask"}
    )
    dataset = ClickDataset(data.objects("train"), crop)
    centres = set()
    for epoch in range(6):
        for i in range(len(dataset)):
            item, sample = dataset[epoch, i], data.objects("train").read(i)
            assert item["mask"].shape == (70, 90)
            assert item["mask"][35, 45] == 1
            source = item["to_source"].numpy()
            shown = source[..., 0] >= 0
            assert (item["mask"].numpy()[~shown] == IGNORE).all()
            y, x = source[shown].T
            assert (item["mask"].numpy()[shown] == sample.mask[y, x]).all()
            assert torch.equal(
                (item["image"].permute(1, 2, 0) * 255).round().byte()[shown],
                torch.from_numpy(sample.image[y, x]),
            )
            centres.add(tuple(source[35, 45]))
    assert len(centres) > 30


def test_a_view_without_the_object_is_cropped_anywhere():
    crop = albumentations.Compose(
        [CropAtObject(8, 6)], additional_targets={"others": "mask", "to_source": "mask"}
    )
    mask = np.zeros((20, 20), np.uint8)
    view = crop(
        image=np.zeros((20, 20, 3), np.uint8),
        mask=mask,
        others=mask,
        to_source=identity_map((20, 20)),
    )
    assert view["image"].shape == (8, 6, 3)
    assert view["to_source"].shape == (8, 6, 2)
