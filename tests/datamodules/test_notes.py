"""Notes, files that are left out, and problems of data modules; splits by image."""

import numpy as np
import pytest

from datamodules.base import Loading
from datamodules.click_batches import ClickDataset
from datamodules.folder import FolderDataModule
from datamodules.grabcut import GrabCutDataModule
from datamodules.sources import ObjectSource, Sample
from datamodules.splits import check_shares, part_of
from interseg.errors import InputError
from tests.helpers.drawing import draw_folder
from tests.helpers.people import BOX, PHOTO, SOFT, save


def test_lines_of_several_splits_are_told_once(tmp_path):
    for split in ("train", "test"):
        draw_folder(tmp_path / split, 2)
        save(tmp_path / split / "masks" / "1.png", SOFT)
        save(tmp_path / split / "images" / "1.png", PHOTO)
        (tmp_path / split / "images" / "notes.txt").touch()
    data = FolderDataModule(str(tmp_path))
    assert (data.notes, data.left_out, data.problems) == ([], [], []), "nothing was listed yet"
    for split in ("train", "test", "train"):
        data.objects(split)
    assert data.notes == [
        "masks with soft edges, cut at half (data.kind=ids reads their values as ids): 1 (1.png)"
    ]
    assert data.left_out == ["files in images/ that are no images by their suffix: 1 (notes.txt)"]
    assert data.problems == []


def test_training_on_what_is_evaluated_on_is_said(folder, grabcut):
    data = FolderDataModule(str(folder))
    data.objects("test")
    assert data.notes == [
        f"training and evaluation see the same objects: {folder} has no train/ and test/; "
        "data.split=[0.8,0.2] parts them by image"
    ]
    data.objects("train")
    assert len(data.notes) == 1
    made_for_evaluation = GrabCutDataModule(str(grabcut))
    made_for_evaluation.objects("test")
    assert made_for_evaluation.notes == []
    made_for_evaluation.objects("train")
    assert made_for_evaluation.notes[0].startswith("training and evaluation see the same objects: ")


def test_a_folder_is_split_by_image_whatever_the_runs_seed(tmp_path):
    draw_folder(tmp_path, 20)

    def images(split, seed=0, shares=(0.7, 0.1, 0.2)):
        loading = Loading(seed=seed + 5)
        data = FolderDataModule(str(tmp_path), split=shares, split_seed=seed, loading=loading)
        source = data.objects(split)
        assert not data.notes
        assert [source.name(i).split(":")[0] for i in range(len(source))] == [
            source.image(i) for i in range(len(source))
        ]
        return {source.image(index) for index in range(len(source))}

    parts = [images(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len(set.union(*parts)) == 20
    assert images("train") == parts[0] != images("train", seed=1)
    assert images("val", shares=[0.5, 0.5]) == images("test", shares=[0.5, 0.5])
    assert len(images("train", shares=[0.5, 0.5]) | images("test", shares=[0.5, 0.5])) == 20
    (tmp_path / "test" / "images").mkdir(parents=True)
    with pytest.raises(
        InputError,
        match=r"has test/ and data\.split is \[0\.7, 0\.1, 0\.2\]; leave data\.split out",
    ):
        images("test")


def test_a_folder_of_images_may_have_the_name_of_a_split(tmp_path):
    draw_folder(tmp_path, 2)
    (tmp_path / "images").rename(tmp_path / "train")
    (tmp_path / "masks").rename(tmp_path / "train_masks")
    data = FolderDataModule(str(tmp_path), images="train", masks="train_masks")
    assert len(data.objects("train")) == len(data.objects("test")) == 4


def test_all_objects_of_an_image_are_on_one_side():
    images = [f"{number % 7}" for number in range(50)]
    train, test = (part_of(images, [0.5, 0.5], split, 3) for split in ("train", "test"))
    assert sorted(train + test) == list(range(50))
    assert not {images[i] for i in train} & {images[i] for i in test}


@pytest.mark.parametrize(
    "split",
    [
        0.8,
        "0.8,0.2",
        [0.8],
        [0.8, 0.3],
        [1.2, -0.2],
        [0.5, "x"],
        [0.5, True],
        [0.1] * 10,
        [],
        {"train": 1},
    ],
)
def test_shares_that_are_none_are_told(split):
    with pytest.raises(
        InputError,
        match=r"give two or three shares that sum to 1, e\.g\. data\.split=\[0\.8,0\.2\]",
    ):
        check_shares(split)


class Long(ObjectSource):
    """One object of a photo of a side that 16 bits do not count."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def __len__(self):
        return 1

    def size(self, index):
        return 2, self.width

    def name(self, index):
        return "long"

    def read(self, index):
        mask = np.zeros((2, self.width), np.uint8)
        mask[:, -3:] = 1
        return Sample(np.zeros((2, self.width, 3), np.uint8), mask, np.zeros_like(mask))


@pytest.mark.parametrize(
    ("width", "kind"), [(2**15 - 1, "torch.int16"), (2**15, "torch.int32"), (70000, "torch.int32")]
)
def test_coordinates_of_long_photos_do_not_overflow(width, kind):
    view = ClickDataset(Long(width))[0, 0]
    assert str(view["to_source"].dtype) == kind
    assert view["to_source"][1, -1].tolist() == [1, width - 1]
    assert int(view["mask"].sum()) == 6


def test_a_soft_mask_among_clean_ones_is_cut_and_trained_on(tmp_path):
    for number, mask in enumerate((BOX * 255, SOFT, BOX)):
        save(tmp_path / "images" / f"{number}.png", PHOTO)
        save(tmp_path / "masks" / f"{number}.png", mask)
    data = FolderDataModule(str(tmp_path), loading=Loading(batch_size=3, num_workers=0))
    (batch,) = data.train_dataloader()
    assert sorted(batch["mask"].sum((1, 2)).tolist()) == [136, 140, 140]
