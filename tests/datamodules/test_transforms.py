"""Augmentations: crops at the object, and reductions without aliases."""

import albumentations
import cv2
import numpy as np
import pytest
import torch

from configs import build, load, resolve
from datamodules.base import Loading
from datamodules.click_batches import ClickDataset, identity_map
from datamodules.folder import FolderDataModule
from datamodules.transforms import CropAtObject, ResizeView, ZoomAtObject
from interseg.clicks.layout import IGNORE, no_clicks
from interseg.errors import InputError
from interseg.inference.zoom import ZoomIn
from interseg.views import resize_image


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


@pytest.mark.parametrize(
    ("method", "size"),
    [
        ("itis/once.yaml", (1200, 1600)),
        ("itis/once.yaml", (300, 1600)),
        ("two_in_one/once.yaml", (1200, 400)),
        ("small.yaml", (1200, 1600)),
    ],
)
def test_training_reduces_a_photo_as_the_network_does(method, size):
    """A photo with noise, of which samples at intervals are another texture."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    reduce = build(resolve(load([method]))["loading"]["augment"][0])
    found = reduce(image=photo)["image"].astype(float)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    expected = resize_image(tensor, found.shape[:2])[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() < 0.2 * np.abs(photo - 127.5).mean()
    assert 0.8 < found.std() / expected.std() < 1.5


def test_a_view_keeps_the_nearest_pixels_of_masks_and_maps():
    labels = np.arange(6 * 9).reshape(6, 9)
    resize = albumentations.Compose([ResizeView(4, 18)], additional_targets={"to_source": "mask"})
    photo = np.repeat(labels[..., None], 3, 2).astype(np.uint8)
    found = resize(image=photo, mask=labels, to_source=np.stack([labels, labels], -1))
    expected = cv2.resize(labels.astype(np.float32), (18, 4), interpolation=cv2.INTER_NEAREST)
    assert found["mask"].tolist() == expected.tolist()
    assert found["to_source"].shape == (4, 18, 2)
    assert found["image"].shape == (4, 18, 3)
    assert found["image"].dtype == np.uint8


@pytest.mark.parametrize(("expansion", "min_crop"), [(1.0, 1), (1.4, 30), (1.4, 500)])
def test_training_sees_the_box_that_a_zoom_shows_of_the_true_mask(folder, expansion, min_crop):
    objects = FolderDataModule(str(folder), loading=Loading(num_workers=0)).objects("train")
    view = albumentations.Compose(
        [ZoomAtObject(expansion, min_crop)],
        additional_targets={"others": "mask", "to_source": "mask"},
    )
    dataset = ClickDataset(objects, view)
    for i in range(len(dataset)):
        item, again, sample = dataset[0, i], dataset[1, i], objects.read(i)
        zoom = ZoomIn(expansion=expansion, min_crop=min_crop)
        box = zoom.box_round(sample.mask == 1, no_clicks())
        inside = np.s_[box.top : box.bottom, box.left : box.right]
        assert torch.equal(item["image"], again["image"])
        assert (item["mask"].numpy() == sample.mask[inside]).all()
        pixels = np.stack(np.indices(sample.mask.shape), -1)[inside]
        assert (item["to_source"].numpy() == pixels).all()
        assert (item["mask"] == 1).sum() == (sample.mask == 1).sum()


def test_a_view_without_the_object_is_not_zoomed():
    mask = np.zeros((20, 30), np.uint8)
    found = albumentations.Compose([ZoomAtObject(1.4, 5)])(
        image=np.zeros((20, 30, 3), np.uint8), mask=mask
    )
    assert found["mask"].shape == (20, 30)


def test_a_zoom_that_loses_the_object_is_refused():
    with pytest.raises(InputError, match=r"expansion=0\.9"):
        ZoomAtObject(0.9)
