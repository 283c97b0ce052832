"""Task streams from miniatures of the real layouts."""

import numpy as np
import pytest
import torch

from datamodules.base import Loading
from datamodules.camvid import CamvidDataModule
from datamodules.cityscapes import CityscapesDataModule
from datamodules.isic import IsicDataModule
from datamodules.mastr import MastrDataModule
from datamodules.tasks import ClassFolderDataModule, by_number
from interseg.continual.protocol import StreamProtocol
from interseg.errors import InputError
from tests.datamodules.class_layouts import LAYOUTS, SMALL, camvid, classes, folder, isic
from tests.helpers.drawing import write


@pytest.mark.parametrize(
    ("layout", "year"), LAYOUTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_published_layouts_give_their_classes_at_one_size(layout, year, tmp_path):
    kind, values = layout(tmp_path, year)
    data = kind(str(tmp_path), **(SMALL | ({"classes": 2} if layout is folder else {})))
    batch = data.batch_of(range(6))
    assert batch["image"].shape == (6, 3, 32, 48)
    assert set(batch["mask"].unique().tolist()) == values
    assert max(values - {255}) < data.classes


def test_an_image_of_both_challenges_is_there_once(tmp_path):
    for year in ("2018", "2017"):
        isic(tmp_path, year)
    write(tmp_path / "ISIC2018_Task1-2_Training_Input" / "ISIC_new.jpg", classes(9)[0])
    write(
        tmp_path / "ISIC2018_Task1_Training_GroundTruth" / "ISIC_new_segmentation.png",
        classes(9, (0, 255, 255))[1],
    )
    files = IsicDataModule(str(tmp_path), **SMALL).objects("train").files
    assert [file.image.stem for file in files] == [*(f"ISIC_{i:07}" for i in range(6)), "ISIC_new"]
    assert [file.image.parent.name for file in files] == ["ISIC-2017_Training_Data"] * 6 + [
        "ISIC2018_Task1-2_Training_Input"
    ]
    assert [file.mask.parent.name[:9] for file in files] == ["ISIC-2017"] * 6 + ["ISIC2018_"]


def test_camvid_is_pretrained_on_train_alone(tmp_path):
    camvid(tmp_path, "")
    data = CamvidDataModule(str(tmp_path), **SMALL)
    held, others = data.split()
    names = [file.image.parent.name for file in data.objects("train").files]
    assert len(held) == 2
    assert {names[i] for i in held} == {"train"}
    assert {names[i] for i in others} == {"val"}
    with pytest.raises(
        InputError,
        match=(
            "has 3 images in train/ and 3 in val/ and test/; "
            "2 to pretrain on and 4 tasks are wanted"
        ),
    ):
        CamvidDataModule(str(tmp_path), **SMALL | {"length": 4}).split()


def test_camvids_tasks_are_spread_over_its_films(tmp_path):
    for i, (film, split) in enumerate(
        [("a", "train")] * 3 + [("b", "train")] * 5 + [("b", "val")] * 4 + [("c", "val")] * 2
    ):
        image, mask = classes(i, (3, 10, 11))
        write(tmp_path / split / f"{film}_{i:02}.png", image)
        write(tmp_path / f"{split}annot" / f"{film}_{i:02}.png", mask)
    data = CamvidDataModule(
        str(tmp_path), films=True, **SMALL | {"pretraining_images": 4, "length": 6}
    )
    held, others = data.split()
    assert {data.film(i) for i in held} == {"b"}
    assert {
        data.objects("train").files[i].image.parent.name for i in others if data.film(i) == "b"
    } == {"val"}
    sequences = [data.images_of(k) for k in range(8)]
    for images in sequences:
        assert len(set(images)) == 6
        assert not set(images) & set(held)
        assert sorted(data.film(i) for i in images) == ["a", "a", "b", "b", "c", "c"]
    assert len({tuple(data.film(i) for i in images) for images in sequences}) > 4
    assert sequences == [
        CamvidDataModule(
            str(tmp_path), films=True, **SMALL | {"pretraining_images": 4, "length": 6}
        ).images_of(k)
        for k in range(8)
    ]
    with pytest.raises(InputError, match=r"has 5 images in train.*of one film"):
        CamvidDataModule(str(tmp_path), films=True, **SMALL | {"pretraining_images": 6}).split()


def test_frames_of_a_film_are_split_by_their_order(data):
    names = ["x-10.png", "x-9.png", "x.png", "x-9b.png", "007.png", "8.png"]
    ordered = ["007.png", "8.png", "x-9.png", "x-9b.png", "x-10.png", "x.png"]
    assert sorted(names, key=by_number) == ordered
    module = data(ordered=True)
    files = module.objects("train").files
    names = [[files[i].image.stem for i in part] for part in module.split()]
    assert sorted(names[0]) == ["0", "1"]
    assert sorted(names[1]) == ["2", "3", "4", "5"]


@pytest.mark.parametrize(
    "kind", [IsicDataModule, CamvidDataModule, CityscapesDataModule, MastrDataModule]
)
def test_a_missing_set_says_how_to_get_it(kind, tmp_path):
    for root in (tmp_path / "none", tmp_path):
        with pytest.raises(
            InputError,
            match=r"is expected in .* --config data/class_folder.yaml reads your own images",
        ):
            kind(str(root), **SMALL).objects("train")


@pytest.fixture
def data(tmp_path):
    folder(tmp_path, "")

    def make(**options):
        return ClassFolderDataModule(str(tmp_path), **{"classes": 2} | SMALL | options)

    return make


def test_no_task_has_an_image_that_was_pretrained_on(data):
    module = data()
    held, others = module.split()
    assert len(held) == 2
    assert sorted(held + others) == list(range(6))
    seen = [module.images_of(k) for k in range(4)]
    assert all(len(set(images)) == 3 and not set(images) & set(held) for images in seen)
    assert len({tuple(images) for images in seen}) > 1
    assert seen == [data().images_of(k) for k in range(4)]
    assert seen != [data(seed=1).images_of(k) for k in range(4)]
    assert {id for batch in module.train_dataloader() for id in batch["id"].tolist()} == set(
        range(6)
    ) & set(held)


def played(loader, epochs=1):
    rows = []
    for epoch in range(epochs):
        loader.batch_sampler.set_epoch(epoch)
        rows += [
            (b["sequence"], b["task"], b["round"], b["last_round"], b["id"].tolist())
            for b in loader
        ]
    return rows


def test_a_sequence_yields_each_task_as_often_as_it_has_rounds(data):
    module = data(protocol=StreamProtocol("sequence", sequences=4))
    rows = played(module.train_dataloader(), 5)
    assert len(rows) == 5 * 6
    for epoch in range(5):
        sequence = epoch % 4
        expected = [
            (sequence, t, r, int(r == 1), [i])
            for t, i in enumerate(module.images_of(sequence))
            for r in range(2)
        ]
        assert rows[6 * epoch : 6 * epoch + 6] == expected
    assert (
        played(
            data(protocol=StreamProtocol("sequence", sequences=4, sequence=2)).train_dataloader()
        )
        == rows[12:18]
    )
    module.load_state_dict({"epoch": 1, "batch": 4})
    loader = module.train_dataloader()
    loader.batch_sampler.set_epoch(1)
    assert [(b["task"], b["round"]) for b in loader] == [(2, 0), (2, 1)]


def test_pretraining_is_augmented_by_seed_epoch_and_image_and_tasks_are_not(data):
    import albumentations

    turn = [albumentations.HorizontalFlip(p=0.5), albumentations.RandomBrightnessContrast(p=1.0)]
    one, two = (data(loading=Loading(augment=turn)).objects("train") for _ in range(2))
    assert torch.equal(one[3, 0, -1, -1, -1]["image"], two[3, 0, -1, -1, -1]["image"])
    assert not torch.equal(one[3, 0, -1, -1, -1]["image"], one[4, 0, -1, -1, -1]["image"])
    assert torch.equal(one[3, 0, 1, 0, 2]["image"], data().objects("train")[0, 0, 0, 0, 1]["image"])


def test_what_is_wrong_with_a_stream_is_named(data, tmp_path):
    for options, message in (
        ({"protocol": StreamProtocol("static")}, "kind is 'static'; these data take offline or"),
        ({"pretraining_images": 5}, "6 labelled images; 5 to pretrain on and 3 tasks need 8"),
        ({"loading": Loading(batch_size=3)}, "2 images to pretrain on do not fill a batch of 3"),
    ):
        with pytest.raises(InputError, match=message):
            data(**options).train_dataloader()
    write(tmp_path / "masks" / "0.png", np.full((40, 56), 9, np.uint8))
    with pytest.raises(
        InputError,
        match=r"0.png has the value 9; classes are 0 to 1 \(data.classes=2\), 255 is ignored",
    ):
        data().batch_of([1])
    write(tmp_path / "masks" / "0.png", np.full((40, 56), 255, np.uint8))
    with pytest.raises(InputError, match=r"0.png has no pixel of a class 0 to 1"):
        data().batch_of([0])
    few = np.full((40, 56), 255, np.uint8)
    few[0, 1] = 1
    write(tmp_path / "masks" / "0.png", few)
    with pytest.raises(InputError, match=r"0.png has few labelled pixels, and none at 20 x 28"):
        data(size=(20, 28)).batch_of([0])
    write(tmp_path / "masks" / "1.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(
        InputError, match=r"1.png is 4 x 5, its image 40 x 56; a mask has its image's size"
    ):
        data().batch_of([0])
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2.png has no mask 2 in"):
        data().batch_of([1])


def test_a_sequence_needs_an_image_of_its_pretraining(tmp_path):
    folder(tmp_path, "")
    ClassFolderDataModule(str(tmp_path), classes=2, pretraining_images=0)
    with pytest.raises(InputError, match=r"pretraining_images is 0.*leave at least one"):
        ClassFolderDataModule(
            str(tmp_path),
            classes=2,
            pretraining_images=0,
            protocol=StreamProtocol("sequence"),
        )
