"""Layouts of published data sets in miniature: real palettes, .mat files and 16-bit maps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from configs import build, load, resolve
from datamodules import instances
from datamodules.instances import InstanceMapSource, objects_of, read_instances
from datamodules.kitti import KittiDataModule, read_cars
from datamodules.pascal import PascalDataModule
from datamodules.sbd import SbdDataModule
from interseg.errors import InputError
from tests.helpers.drawing import draw, write

PALETTE = [channel for i in range(256) for channel in ((i * 67) % 256, (i * 131) % 256, 10)]


def save_palette(path: Path, ids: np.ndarray) -> None:
    picture = Image.fromarray(ids.astype(np.uint8), mode="P")
    picture.putpalette(PALETTE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def save_sbd(folder: Path, name: str, image: np.ndarray, ids: np.ndarray) -> None:
    write(folder / "img" / f"{name}.jpg", image)
    (folder / "inst").mkdir(parents=True, exist_ok=True)
    savemat(
        folder / "inst" / f"{name}.mat",
        {"GTinst": {"Segmentation": ids, "Categories": np.arange(1, ids.max() + 1)}},
    )


def thin(height=72, width=96):
    """A diagonal line, which fills little of its box, beside a square."""
    ids = np.zeros((height, width), np.uint8)
    ids[np.arange(60), np.arange(60)] = 1
    ids[10:30, 70:90] = 2
    return ids


@pytest.fixture
def pascal(tmp_path):
    """Draw VOC with three images, and SBD with one image of VOC's and one of its own."""
    voc, sbd = tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "benchmark_RELEASE" / "dataset"
    for i, name in enumerate(("2007_1", "2007_2", "2007_3")):
        image, ids = draw(i)
        ids[:3] = 255
        ids[ids == 2] = (
            16  # grey value of the palette's 16 equals that of 1 in the reference code's reading
        )
        write(voc / "JPEGImages" / f"{name}.jpg", image)
        save_palette(voc / "SegmentationObject" / f"{name}.png", ids)
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, names in (
        ("train", "2007_1\n2007_2\n"),
        ("val", "2007_3\n"),
        ("trainval", "2007_1\n2007_2\n2007_3\n"),
    ):
        (lists / f"{part}.txt").write_text(names)
    save_sbd(sbd, "2008_9", *draw(9, objects=3))
    save_sbd(sbd, "2007_1", *draw(0))
    save_sbd(sbd, "2007_3", draw(2)[0], thin())
    (sbd / "train.txt").write_text("2007_1\n2008_9\n")
    (sbd / "val.txt").write_text("2007_3\n")
    return tmp_path


def test_the_itis_training_list_takes_sbd_where_voc_has_nothing(pascal):
    data = PascalDataModule(str(pascal))
    data.prepare_data()  # all there: nothing is downloaded
    train, test = data.source("train"), data.source("test")
    assert len(train) == 2 + 2 + 3
    assert train.name(6) == "2008_9.jpg: object 3"
    assert (train.read(6).mask == 1).sum() == (draw(9, objects=3)[1] == 3).sum()
    assert len(PascalDataModule(str(pascal), with_sbd=False).source("train")) == 4
    assert len(test) == 2


def test_voc_objects_are_palette_indices_and_void_is_ignored(pascal):
    test = PascalDataModule(str(pascal)).source("test")
    _, ids = draw(2)
    ids[:3] = 255
    assert [test.name(i) for i in range(2)] == ["2007_3.jpg: object 1", "2007_3.jpg: object 16"]
    for index, id in ((0, 1), (1, 2)):
        sample = test.read(index)
        assert test.size(index) == sample.mask.shape == (72, 96)
        assert np.array_equal(sample.mask == 1, ids == id)
        assert np.array_equal(sample.mask == 255, ids == 255)
        assert np.array_equal(sample.others > 0, (ids > 0) & (ids < 255) & (ids != id))


def test_sbd_has_its_own_lists_and_training_drops_thin_objects(pascal):
    folder = pascal / "benchmark_RELEASE" / "dataset"
    for root in (pascal, folder):
        data = SbdDataModule(str(root))
        data.prepare_data()
        assert [data.source("train").name(i) for i in (0, 4)] == [
            "2007_1.jpg: object 1",
            "2008_9.jpg: object 3",
        ]
        assert len(data.source("test")) == 2
        assert np.array_equal(data.source("test").read(0).mask, thin() == 1)
    (folder / "train.txt").write_text("2007_3\n")
    train = SbdDataModule(str(folder)).source("train")
    assert [train.name(i) for i in range(len(train))] == [
        "2007_3.jpg: object 2"
    ]  # the line fills 60 / 3600 of its box


def test_objects_are_listed_with_area_and_box():
    square = objects_of(thin().astype(np.int32))[1]
    assert (square.id, square.area, square.box) == (2, 400, 400)
    assert objects_of(thin().astype(np.int32))[0].box == 3600


def test_the_list_is_kept_and_made_again_when_a_file_changes(pascal, cache, monkeypatch):
    data = SbdDataModule(str(pascal))
    first = data.source("train").entries
    assert len(list(cache.glob("objects-*.json"))) == 1
    monkeypatch.setattr(
        instances, "objects_of", lambda labels: pytest.fail("the list was made again")
    )
    assert data.source("train").entries == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    save_sbd(pascal / "benchmark_RELEASE" / "dataset", "2008_9", *draw(4, objects=1))
    assert len(data.source("train")) == len(first) - 2
    next(cache.glob("objects-*.json")).write_text("{")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no")
    assert (
        len(data.source("train")) == len(first) - 2
    )  # a broken or unwritable cache only costs time


@pytest.fixture
def kitti(tmp_path):
    """Two street scenes: cars 3 and 7 and a person; class * 256 + instance in 16 bits."""
    for i in range(2):
        image, ids = draw(i, objects=3)
        values = np.select(
            [ids == 1, ids == 2, ids == 3], [26 * 256 + 3, 26 * 256 + 7, 24 * 256 + 1], 7 * 256
        )
        values[70:] = 26 * 256  # cars that were not told apart
        write(tmp_path / "kitti" / "training" / "image_2" / f"{i:06d}_10.png", image)
        write(
            tmp_path / "kitti" / "training" / "instance" / f"{i:06d}_10.png",
            values.astype(np.uint16),
        )
    return tmp_path / "kitti"


def test_kitti_gives_cars_and_ignores_groups(kitti):
    data = KittiDataModule(str(kitti))
    source = data.source("test")
    assert [source.name(i) for i in range(4)] == [
        f"00000{i}_10.png: object {n}" for i in (0, 1) for n in (1, 2)
    ]
    _, ids = draw(1, objects=3)
    assert np.array_equal(source.read(3).mask[:70] == 1, ids[:70] == 2)
    assert (source.read(3).mask[70:] == 255).all()
    assert set(np.unique(read_cars(kitti / "training" / "instance" / "000000_10.png"))) == {
        0,
        1,
        2,
        255,
    }
    (kitti / "training" / "instance" / "000001_10.png").unlink()
    with pytest.raises(InputError, match="000001_10 is in one of"):
        data.source("test")


@pytest.mark.parametrize("config", ["data/davis345.yaml", "data/coco_mval.yaml"])
def test_any_channel_above_zero_is_the_object(config, tmp_path):
    image, ids = draw(3)
    colours = np.zeros((*ids.shape, 3), np.uint8)
    colours[ids == 1, 0], colours[ids == 2, 2] = 128, 5
    write(tmp_path / "img" / "a.jpg", image)
    write(tmp_path / "gt" / "a.png", colours)
    source = build(resolve(load([config], [f"data.root={tmp_path}"]))["data"]).source("test")
    assert len(source) == 1
    assert np.array_equal(source.read(0).mask == 1, ids > 0)


def test_berkeley_is_grabcuts_layout_under_other_names(grabcut):
    (grabcut / "data_GT").rename(grabcut / "images")
    (grabcut / "boundary_GT").rename(grabcut / "masks")
    assert (
        len(
            build(resolve(load(["data/berkeley.yaml"], [f"data.root={grabcut}"]))["data"]).source(
                "test"
            )
        )
        == 4
    )


def test_damaged_and_missing_instance_files_are_named(pascal):
    folder = pascal / "benchmark_RELEASE" / "dataset"
    (folder / "inst" / "2007_1.mat").write_bytes(b"no mat file")
    with pytest.raises(InputError, match=r"2007_1.mat cannot be read as an instance file of SBD"):
        SbdDataModule(str(folder)).source("train")
    (folder / "inst" / "2007_1.mat").unlink()
    with pytest.raises(InputError, match=r"2007_1.mat does not exist"):
        SbdDataModule(str(folder)).source("train")
    with pytest.raises(InputError, match=r"2007_1.mat does not exist"):
        read_instances(folder / "inst" / "2007_1.mat")
    (folder / "train.txt").unlink()
    with pytest.raises(InputError, match=r"train.txt does not exist"):
        SbdDataModule(str(folder)).source("train")


def test_a_photo_of_another_size_is_named(pascal):
    write(
        pascal / "VOCdevkit" / "VOC2012" / "JPEGImages" / "2007_3.jpg",
        np.zeros((9, 9, 3), np.uint8),
    )
    source = PascalDataModule(str(pascal)).source("test")
    assert isinstance(source, InstanceMapSource)
    with pytest.raises(InputError, match="a mask has its image's size"):
        source.read(0)
