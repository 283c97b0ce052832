"""Layouts of current sets, drawn in miniature."""

import json

import cv2
import numpy as np
import pytest

from configs import build, load, resolve
from interseg.errors import InputError
from interseg.images import read_image
from tests.helpers.drawing import draw, write


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def data_of(name, root, *overrides):
    return build(resolve(load([f"data/{name}.yaml"], [f"data.root={root}", *overrides]))["data"])


def soft(mask):
    return cv2.GaussianBlur((mask > 0).astype(np.uint8) * 255, (5, 5), 0)


@pytest.fixture
def hqseg(tmp_path):
    thin = "thin_object_detection"
    folders = {
        "DIS5K/DIS-VD/im": "DIS5K/DIS-VD/gt",
        "DIS5K/DIS-TR/im": "DIS5K/DIS-TR/gt",
        f"{thin}/ThinObject5K/images_test": f"{thin}/ThinObject5K/masks_test",
        f"{thin}/ThinObject5K/images_train": f"{thin}/ThinObject5K/masks_train",
        f"{thin}/COIFT/images": f"{thin}/COIFT/masks",
        f"{thin}/HRSOD/images": f"{thin}/HRSOD/masks_max255",
    }
    for number, (images, masks) in enumerate(folders.items()):
        image, ids = draw(number)
        write(tmp_path / images / f"{number}.jpg", image)
        write(tmp_path / masks / f"{number}.png", soft(ids))
    return tmp_path


def test_hqsegs_sets_are_evaluated_as_one_and_cut_as_told(hqseg):
    data = data_of("hqseg44k", hqseg)
    source = data.source("test")
    assert data.source("val").name(3) == source.name(3)
    assert [source.name(i).split("/")[0] for i in range(len(source))] == [
        "DIS5K",
        "ThinObject",
        "COIFT",
        "HRSOD",
    ]
    half = data_of("hqseg44k", hqseg, "data.kind=soft").source("test")
    for index, number in enumerate((0, 2, 4, 5)):
        mask = soft(draw(number)[1])
        assert np.array_equal(source.read(index).mask == 1, mask > 0)
        assert np.array_equal(half.read(index).mask == 1, mask > 127.5)
    train = data.source("train")
    assert [train.name(i).split(":")[0] for i in range(len(train))] == [
        "DIS5K/1.jpg",
        "ThinObject/3.jpg",
    ]
    (hqseg / "thin_object_detection/HRSOD/masks_max255").rename(
        hqseg / "thin_object_detection/HRSOD/masks"
    )
    write(hqseg / "thin_object_detection/HRSOD/masks/5.png", (draw(5)[1] > 0).astype(np.uint8))
    only = data_of("hqseg44k", hqseg, "data.sets=[HRSOD]")
    assert np.array_equal(only.source("test").read(0).mask == 1, draw(5)[1] > 0)
    with pytest.raises(InputError, match="have no training photos"):
        only.source("train")
    with pytest.raises(InputError, match="name some of DIS5K"):
        data_of("hqseg44k", hqseg, "data.sets=[HRS]")
    with pytest.raises(InputError, match="use binary or soft"):
        data_of("hqseg44k", hqseg, "data.kind=ids")


@pytest.fixture
def davis585(tmp_path):
    for number, video in enumerate(("bear", "dance")):
        image, ids = draw(number)
        write(tmp_path / video / "00009.jpg", image)
        for object in (1, 2):
            mask = (ids == object).astype(np.uint8) * 255
            for kind, moved in (("", 0), ("init_sp_", 4), ("init_stm_", 9)):
                written = np.roll(mask, moved, 1)
                write(
                    tmp_path / video / f"{kind}object{object}_00009.png",
                    np.repeat(written[..., None], 3, 2) if kind else written,
                )
    return tmp_path


@pytest.mark.parametrize(("initial", "moved"), [("sp", 4), ("stm", 9), ("null", None)])
def test_davis_585_starts_from_the_chosen_masks(davis585, initial, moved):
    data = data_of("davis585", davis585, f"data.initial={initial}")
    source = data.source("test")
    assert [source.name(i) for i in range(4)] == [
        f"{v}/object{k}_00009.png" for v in ("bear", "dance") for k in (1, 2)
    ]
    assert [source.image(i) for i in range(4)] == ["bear/00009.jpg"] * 2 + ["dance/00009.jpg"] * 2
    for index, (number, object) in enumerate([(0, 1), (0, 2), (1, 1), (1, 2)]):
        sample, mask = source.read(index), draw(number)[1] == object
        assert np.array_equal(sample.mask == 1, mask)
        assert sample.mask.shape == source.size(index)
        assert (
            sample.previous is None
            if moved is None
            else np.array_equal(sample.previous, np.roll(mask, moved, 1))
        )
    assert ("previous" in data.single("test", 0)) == (moved is not None)


def test_what_davis_585_lacks_is_named(davis585):
    (davis585 / "bear" / "init_sp_object1_00009.png").unlink()
    source = data_of("davis585", davis585).source("test")
    assert len(source) == 3
    assert "init_sp_object1_00009.png does not exist" in source.problems[0]
    write(davis585 / "bear" / "init_sp_object2_00009.png", np.zeros((5, 6), np.uint8))
    with pytest.raises(InputError, match=r"\(5, 6\), the object's mask \(72, 96\)"):
        source.read(0)
    with pytest.raises(InputError, match="give sp or stm"):
        data_of("davis585", davis585, "data.initial=x")
    (davis585 / "dance" / "00009.jpg").write_bytes(b"cut")
    source = data_of("davis585", davis585).source("test")
    assert len(source) == 1
    assert "dance/00009.jpg" in source.problems[-1]
    (davis585 / "above" / "data" / "bear").mkdir(parents=True)
    with pytest.raises(InputError, match="has no video's folder with masks; unpack DAVIS585"):
        data_of("davis585", davis585 / "above").source("test")


def test_tetris_has_an_object_a_colour_and_is_reduced_as_published(tmp_path):
    colours = {1: (0, 0, 7), 2: (3, 200, 1)}
    for number, name in enumerate(("a_F_19_White Russia", "b")):
        image, ids = draw(number)
        write(tmp_path / "images" / f"{name}.jpg", image)
        canvas = np.zeros((*ids.shape, 3), np.uint8)
        for id, colour in colours.items():
            canvas[ids == id] = colour
        write(tmp_path / "masks" / f"{name}.png", canvas)
    whole = data_of("tetris", tmp_path).source("test")
    assert len(whole) == 4
    for index in range(4):
        assert np.array_equal(whole.read(index).mask == 1, draw(index // 2)[1] == index % 2 + 1)
    assert data_of("tetris", tmp_path).names("test") == [whole.name(i) for i in range(4)]
    small = data_of("tetris", tmp_path, "data.long_side=49").source("test")
    assert small.size(0) == (37, 49)  # 72 / 96 * 49 = 36.75
    sample = small.read(0)
    reduced = cv2.resize(
        (draw(0)[1] == 1).astype(np.uint8), (49, 37), interpolation=cv2.INTER_LINEAR
    )
    assert np.array_equal(sample.mask, reduced)
    assert sample.image.shape == (37, 49, 3)
    assert sample.others.any()
    assert not (sample.others[sample.mask == 1]).any()
    (tmp_path / "val.txt").write_text("a_F_19_White Russia\nc\n")
    listed = data_of("tetris", tmp_path, "data.names=val.txt").source("test")
    assert listed.problems == ["photos of val.txt without an object: 1 (c)"]
    assert [listed.image(i) for i in range(len(listed))] == ["a_F_19_White Russia.jpg"] * 2
    with pytest.raises(InputError, match=r"none.txt does not exist"):
        data_of("tetris", tmp_path, "data.names=none.txt").source("test")
    mask = read_image(tmp_path / "masks" / "b.png")
    mask[0, 0] = (9, 9, 9)  # a stray pixel
    write(tmp_path / "masks" / "b.png", mask)
    small = data_of("tetris", tmp_path, "data.long_side=12").source("test")
    with pytest.raises(InputError, match=r"b.jpg: object #090909 vanishes .* to 12 x 9"):
        small.read(4)


def test_cells_of_the_tracking_challenge_keep_their_order_and_frames_without_a_map_are_left_out(
    tmp_path,
):
    for number, video in enumerate(("01", "02")):
        for frame in range(3):
            image, ids = draw(3 * number + frame)
            write(tmp_path / video / f"t{frame:03}.tif", image[..., 0])
            labels = np.choose(ids, [0, 255, 300]).astype(np.uint16)
            for kind in ("GT", "ST") if frame != 1 else ("ST",):
                write(tmp_path / f"{video}_{kind}" / "SEG" / f"man_seg{frame:03}.tif", labels)
    data = data_of("phc_u373", tmp_path)
    test = data.source("test")
    assert [test.name(i) for i in range(len(test))] == [
        f"t{k}.tif: object {i}" for k in ("000", "002") for i in (1, 2)
    ]
    for index, (frame, id) in enumerate([(3, 1), (3, 2), (5, 1), (5, 2)]):
        sample = test.read(index)
        assert np.array_equal(sample.mask, (draw(frame)[1] == id).astype(np.uint8))
        assert np.array_equal(sample.image, np.repeat(draw(frame)[0][..., :1], 3, 2))
    assert len(data.source("train")) == 4
    assert len(data_of("phc_u373", tmp_path, "data.annotation=silver").source("test")) == 6
    (tmp_path / "02" / "t002.tif").unlink()
    with pytest.raises(InputError, match=r"lacks t002\.tif"):
        data.source("test")
    assert json.dumps(test.facts()) == "{}"
