"""Layouts of published data sets in miniature: real palettes, .mat files and 16-bit maps."""

import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from configs import build, load, resolve
from datamodules import downloads, instances
from datamodules.davis import DavisDataModule
from datamodules.downloads import SBD, expect
from datamodules.instances import InstanceMapSource, objects_of, read_instances
from datamodules.kitti import KittiDataModule, read_cars
from datamodules.pascal import PascalDataModule
from datamodules.sbd import SbdDataModule
from interseg.errors import InputError
from interseg.evaluation.overlap import iou
from tests.helpers.drawing import draw, write

PALETTE = [channel for i in range(256) for channel in ((i * 67) % 256, (i * 131) % 256, 10)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "interseg"


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


@pytest.fixture
def davis(tmp_path):
    """Draw two videos of three frames; the initial mask of frame k is shifted by 4 k pixels.

    The object is not in one frame of the second video.
    """
    for v, video in enumerate(("bear", "swan")):
        for frame in range(3):
            image, ids = draw(v, objects=1)
            if (v, frame) == (1, 2):
                ids[:] = 0
            write(tmp_path / "JPEGImages" / "480p" / video / f"{frame:05d}.jpg", image)
            write(
                tmp_path / "Annotations" / "480p" / video / f"{frame:05d}.png",
                (ids > 0).astype(np.uint8) * 255,
            )
            write(
                tmp_path / "initial" / video / f"{frame:05d}.png",
                np.roll(ids > 0, 4 * frame, 1).astype(np.uint8) * 255,
            )
    (tmp_path / "ImageSets" / "2016").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2016" / "val.txt").write_text("bear\nswan\n")
    return tmp_path


def test_davis_gives_the_worst_initial_masks_of_each_video(davis):
    source = DavisDataModule(str(davis)).source("test")
    assert [source.name(i) for i in range(len(source))] == ["bear/00002.jpg", "swan/00001.jpg"]
    sample = source.read(0)
    truth = draw(0, objects=1)[1] > 0
    assert np.array_equal(sample.mask == 1, truth)
    assert np.array_equal(sample.previous, np.roll(truth, 8, 1))
    assert 0 < iou(sample.previous, sample.mask) < 1
    assert len(DavisDataModule(str(davis), worst=None).source("test")) == 5
    lines = [
        f"/JPEGImages/480p/bear/{i:05d}.jpg /Annotations/480p/bear/{i:05d}.png" for i in range(3)
    ]
    (davis / "ImageSets" / "480p").mkdir()
    (davis / "ImageSets" / "480p" / "val.txt").write_text("\n".join(lines))
    assert len(DavisDataModule(str(davis), worst=None).source("test")) == 3


def test_initial_masks_reach_the_batch_and_bad_ones_are_named(davis):
    data = DavisDataModule(
        str(davis), loading=build(resolve(load([], ["loading.num_workers=0"]))["loading"])
    )
    (batch,) = list(data.test_dataloader())
    assert batch["previous"].shape == (2, 72, 96)
    assert batch["previous"].any()
    write(davis / "initial" / "bear" / "00002.png", np.ones((5, 5), np.uint8))
    (davis / "initial" / "swan" / "00001.png").unlink()
    source = DavisDataModule(str(davis)).source("test")
    assert [source.name(i) for i in range(len(source))] == ["bear/00001.jpg", "swan/00000.jpg"]
    assert "initial masks have the frame's size" in source.problems[0]
    assert "00001.png does not exist" in source.problems[1]


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


def test_a_closed_machine_is_told_what_to_put_where(tmp_path, monkeypatch):
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    with pytest.raises(
        InputError,
        match=(
            r"VOCdevkit/VOC2012 and could not be "
            r"downloaded.*VOCtrainval_11-May-2012.*data/samples.yaml needs no"
        ),
    ):
        PascalDataModule(str(tmp_path / "new")).prepare_data()
    with pytest.raises(InputError, match=r"benchmark.tgz"):
        SbdDataModule(str(tmp_path / "new")).prepare_data()
    with pytest.raises(InputError, match=r"VOCdevkit"):
        PascalDataModule(str(tmp_path / "new")).source("train")
    for module in (SbdDataModule, KittiDataModule, DavisDataModule):
        with pytest.raises(InputError, match=r"nowhere.*data.root=PATH"):
            module(str(tmp_path / "nowhere")).source("test")


def test_an_archive_is_fetched_once_and_its_sizes_are_checked(tmp_path, monkeypatch, capsys):
    fetched = []

    def download(url, root, name, md5):
        fetched.append((url, md5))
        (tmp_path / "made").mkdir()
        with tarfile.open(Path(root) / name, "w:gz") as archive:
            archive.add(tmp_path / "made", "benchmark_RELEASE/dataset")

    monkeypatch.setattr(downloads, "download_url", download)
    wanted = tmp_path / "benchmark_RELEASE" / "dataset"
    SBD.fetch(tmp_path, wanted, lambda: None)
    SBD.fetch(tmp_path, wanted, lambda: None)
    assert fetched == [(SBD.url, SBD.md5)]
    assert f"downloading {SBD.url}" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"train.txt lists 3 images, 8498 were published"):
        expect(SBD.what, {"train.txt": (3, 8498)})


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


def test_who_waits_for_a_lock_that_is_removed_takes_the_next(tmp_path):
    path, held, most = tmp_path / "new" / ".lock", [], []

    def hold(_):
        with downloads.hold_lock(path):
            held.append(1)
            most.append(len(held))
            assert path.exists()
            time.sleep(0.01)
            held.pop()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hold, range(18)))
    assert most == [1] * 18
    assert list(path.parent.iterdir()) == []
