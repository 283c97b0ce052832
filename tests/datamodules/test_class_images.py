"""Images with a class at every pixel, as objects that are clicked."""

import numpy as np
import pytest
import torch

from configs import build, load, resolve
from datamodules.base import Loading
from datamodules.camvid import CamvidDataModule
from datamodules.class_images import ClassImagesDataModule
from interseg.errors import InputError
from tests.datamodules.class_layouts import SMALL, camvid, classes
from tests.helpers.drawing import draw, write

COUNT = 6


@pytest.fixture
def root(tmp_path):
    """Six images of three classes and strips that count as none."""
    for i in range(COUNT):
        image, mask = classes(i)
        mask[:4] = mask[-1] = 255
        write(tmp_path / "images" / f"{i}.png", image)
        write(tmp_path / "masks" / f"{i}.png", mask)
    return tmp_path


def configured(root, *overrides):
    words = [
        f"data.images.root={root}",
        "data.images.classes=3",
        "data.images.size=[40,56]",
        "data.images.pretraining_images=4",
    ]
    words += ["data.images.length=1", "loading.num_workers=0", "loading.batch_size=2", *overrides]
    return build(resolve(load(["convert.yaml", "data/class_images.yaml"], words))["data"])


def test_the_images_that_are_trained_on_are_not_clicked_and_each_is_once(root):
    names = {split: configured(root).names(split) for split in ("train", "val", "test")}
    assert len(names["train"]) == 4
    assert sorted(names["train"] + names["test"]) == [f"{i}.png" for i in range(COUNT)]
    assert names["val"] == names["test"]
    pretraining, others = configured(root).images.split()
    assert [int(name.split(".")[0]) for name in names["train"]] == pretraining
    assert [int(name.split(".")[0]) for name in names["test"]] == others
    seeded = {tuple(configured(root, f"seed={seed}").names("test")) for seed in range(4)}
    assert len(seeded) > 1, "the split is the seed's"
    assert configured(root, "seed=2").names("test") == configured(root, "seed=2").names("test")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_mask_is_the_classes_of_the_image_that_its_name_says(root, split):
    objects = configured(root).objects(split)
    for index in range(len(objects)):
        image, ids = draw(int(objects.name(index).split(".")[0]), 40, 56)
        ids[:4] = ids[-1] = 255
        sample = objects.read(index)
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.mask, ids)
        assert set(np.unique(sample.mask)) == {0, 1, 2, 255}
        assert not sample.others.any()
        assert sample.previous is None
        assert objects.size(index) == sample.mask.shape


def test_batches_hold_classes_and_padding_counts_as_none(root):
    data = configured(root)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 3, 128, 128)
    assert set(batch["mask"].unique().tolist()) == {0, 1, 2, 255}
    assert (batch["mask"][batch["to_source"][..., 0] < 0] == 255).all()
    for row, id in enumerate(batch["id"].tolist()):
        truth = torch.from_numpy(data.objects("train").read(id).mask)
        y, x = batch["to_source"][row].long().unbind(-1)
        shown = y >= 0
        assert torch.equal(batch["mask"][row][shown], truth[y[shown], x[shown]])
    (batch,) = data.test_dataloader()
    assert batch["image"].shape == (2, 3, 40, 56)
    assert (batch["clicks"] == -1).all()
    for row, id in enumerate(batch["id"].tolist()):
        assert np.array_equal(batch["mask"][row].numpy(), data.objects("test").read(id).mask)


def test_a_published_stream_keeps_its_classes_its_size_and_its_split(tmp_path):
    camvid(tmp_path, "")
    data = ClassImagesDataModule(CamvidDataModule(str(tmp_path), **SMALL), Loading(num_workers=0))
    (batch,) = data.test_dataloader()
    assert batch["mask"].shape == (3, 32, 48)
    assert set(batch["mask"].unique().tolist()) == {3, 10, 255}
    assert data.names("test") == ["1.png", "3.png", "5.png"], "its own split: val/ and test/"
    assert set(data.names("train")) < {"0.png", "2.png", "4.png"}


def test_too_few_images_and_a_mask_without_a_class_are_named(root):
    with pytest.raises(InputError, match="6 labelled images; 6 to pretrain on and 1 tasks need 7"):
        configured(root, "data.images.pretraining_images=6").names("test")
    data = configured(root)
    number = data.names("test")[0]
    write(root / "masks" / number, np.full((40, 56), 255, np.uint8))
    (batch,) = data.test_dataloader()
    assert len(batch["id"]) == 1
    (error,) = batch["errors"]
    assert f"{number} has no pixel of a class 0 to 2" in error
    write(root / "masks" / number, np.full((40, 56), 9, np.uint8))
    with pytest.raises(InputError, match=rf"{number} has the value 9; classes are 0 to 2"):
        configured(root).names("test")
