"""The look at a data set that a newcomer takes first."""

import base64
import re

import cv2
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from configs import build, load, resolve
from datamodules.check import check_data, spread
from datamodules.findings import count_sizes, picture_of
from interseg.errors import InputError
from tests.helpers.commands import called
from tests.helpers.drawing import draw_folder, write
from tests.helpers.people import BOX, PHOTO, TARGET, TWO, VOXELS, H, W, classes, save


def look(root, *words, config="data/folder.yaml"):
    result = called(
        "check.py",
        "--config",
        config,
        f"data.root={root}",
        *words,
        "--out",
        root.parent / "check.html",
        cwd=root.parent,
    )
    page = root.parent / "check.html"
    return result, page.read_text(encoding="utf-8") if page.exists() else ""


def pictures(page):
    found = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+) with its mask">', page
    )
    return {
        name: cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data, name in found
    }


def test_a_folder_is_counted_its_masks_explained_and_shown(folder):
    write(folder / "masks" / "notes.bmp", BOX)
    (folder / "images" / "readme.txt").write_text("mine")
    result, page = look(folder)
    lines = result.stdout.splitlines()
    assert result.returncode == 0
    assert lines[:3] == ["train", f"  {'images':20}5", f"  {'objects':20}10"]
    assert f"  {'sizes':20}72 x 96 (4), 72 x 80 (1)" in lines
    assert (
        f"  {'masks':20}ids (5): several values, each an object; "
        "255, where it is the largest, is ignored" in lines
    )
    assert lines.count(f"  {'objects':20}those of train") == 2
    assert (
        f"note: training and evaluation see the same objects: {folder} has no train/ and test/; "
        in result.stdout
    )
    assert "left out: files in images/ that are no images by their suffix: 1 (readme.txt)" in lines
    assert "left out: masks in masks/ without an image: 1 (notes.bmp)" in lines
    assert "nothing is wrong" in lines
    shown = pictures(page)
    assert list(shown) == [f"{i}.png: object 1" for i in range(5)]
    assert {picture.shape for picture in shown.values()} == {(195, 260, 3), (234, 260, 3)}
    assert "http" not in page.replace("http-equiv", ""), "the page needs no other"


def test_what_is_wrong_is_named_and_ends_in_1(folder):
    (folder / "masks" / "0.png").write_text("none")
    (folder / "masks" / "3.png").unlink()
    (folder / "images" / "1.png").write_bytes((folder / "images" / "1.png").read_bytes()[:200])
    write(folder / "masks" / "2.png", np.zeros((72, 96), np.uint8))
    result, page = look(folder)
    assert result.returncode == 1
    wrong = [line for line in result.stdout.splitlines() if line.startswith("wrong: ")]
    assert wrong[0].startswith(f"wrong: {folder}/masks/0.png cannot be read as a mask")
    assert wrong[1].startswith(
        f"wrong: 1.png: object 1: {folder}/images/1.png cannot be read as an image"
    )
    assert len(wrong) == 2, (
        "what is wrong with a photo is said once, though it has two objects and is of all splits"
    )
    assert "2 things are wrong" in result.stdout
    assert "left out: photos in images/ without a mask in masks/: 1 (3.png)" in result.stdout
    assert "left out: masks in masks/ without an object: 1 (2.png)" in result.stdout
    assert all(line.removeprefix("wrong: ") in page for line in wrong)


def test_splits_are_looked_at_one_by_one(tmp_path):
    draw_folder(tmp_path / "set" / "train", 3)
    draw_folder(tmp_path / "set" / "test", 2)
    draw_folder(tmp_path / "set" / "val", 1)
    result, _ = look(tmp_path / "set")
    assert result.returncode == 0
    assert re.findall(r"images +(\d)", result.stdout) == ["3", "1", "2"]
    assert "same objects" not in result.stdout
    (tmp_path / "set" / "test" / "masks" / "0.png").write_text("none")
    (tmp_path / "set" / "train").rename(tmp_path / "set" / "training")
    result, _ = look(tmp_path / "set")
    assert result.returncode == 1
    assert "wrong: train: a part of the data set is expected in" in result.stdout
    assert "0.png cannot be read as a mask" in result.stdout


def test_splits_with_the_same_names_are_told_apart(tmp_path):
    draw_folder(tmp_path / "set" / "train", 2)
    draw_folder(tmp_path / "set" / "test", 2)
    result, _ = look(tmp_path / "set")
    assert "val" in result.stdout
    assert result.stdout.count("objects             those of") == 2, "drawn alike"
    for i in range(2):
        file = tmp_path / "set" / "test" / "images" / f"{i}.png"
        write(file, np.asarray(255 - np.array(Image.open(file)), np.uint8))
    result, _ = look(tmp_path / "set")
    assert result.returncode == 0
    assert result.stdout.count("objects             those of") == 1, "val is test"
    assert "validation sees the test split" in result.stdout


def test_an_empty_folder_is_one_line(tmp_path):
    result, page = look(tmp_path / "set")
    assert result.returncode == 1
    assert "wrong: train: your data set is expected in" in result.stdout
    assert not pictures(page)


def test_a_set_of_classes_has_their_shares(tmp_path):
    classes(tmp_path / "set", TWO, np.where(TWO == 0, 255, TWO))
    words = ["data.classes=3", f"data.size=[{H},{W}]", "data.pretraining_images=1", "data.length=1"]
    result, page = look(tmp_path / "set", *words, config="data/class_folder.yaml")
    assert result.returncode == 0
    assert f"  {'images':20}2: 1 to pretrain on, 1 for tasks of one" in result.stdout
    known = 580 + 2 * 188
    shares = ", ".join(
        f"{label}: {100 * count / known:.2g} %" for label, count in enumerate((580, 280, 96))
    )
    assert f"  {'classes':20}{shares}; ignored: {100 * 580 / (2 * H * W):.2g} %" in result.stdout
    assert list(pictures(page)) == ["0.png", "1.png"]
    result, _ = look(tmp_path / "set", *words, "data.classes=4", config="data/class_folder.yaml")
    assert result.returncode == 1
    assert "wrong: no pixel is of class 3" in result.stdout
    result, _ = look(
        tmp_path / "set", *words, "data.pretraining_images=9", config="data/class_folder.yaml"
    )
    assert "wrong: " in result.stdout
    assert "lower data.pretraining_images or data.length" in result.stdout


def test_images_of_classes_that_are_clicked_are_shown_by_class(tmp_path):
    classes(tmp_path / "set", TWO, TWO)
    words = [
        f"data.images.root={tmp_path / 'set'}",
        "data.images.classes=3",
        "data.images.pretraining_images=1",
        "data.images.length=1",
    ]
    data = build(
        resolve(load(["data/class_images.yaml"], [*words, f"data.images.size=[{H},{W}]"]))["data"]
    )
    found = check_data(data)
    assert not found.problems
    assert [part.name for part in found.parts] == ["train", "val", "test", "train beside val"]
    (picture,) = found.parts[0].pictures
    assert np.array_equal(picture.mask, TWO)
    assert not [note for note in found.notes if "pixels in a view" in note or "inverted" in note]


def test_volumes_have_sizes_spacings_and_the_targets_share(tmp_path):
    for folder, pixels in {"images": VOXELS, "labels": TARGET}.items():
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(3):
            image = SimpleITK.GetImageFromArray(pixels[: 6 - number])
            image.SetSpacing((0.5, 1, 2 + number // 2))
            SimpleITK.WriteImage(image, str(tmp_path / "set" / folder / f"{number}.nii.gz"))
    words = ["data.held_out=1", f"data.cache={tmp_path}/cache"]
    result, page = look(tmp_path / "set", *words, config="data/volume_folder.yaml")
    assert result.returncode == 0
    assert f"  {'volumes':20}3" in result.stdout
    assert f"  {'sizes':20}6 x 24 x 32 (1), 5 x 24 x 32 (1), 4 x 24 x 32 (1)" in result.stdout
    assert f"  {'spacings':20}2 x 1 x 0.5 (2), 3 x 1 x 0.5 (1) mm" in result.stdout
    assert re.search(r"the target's share +18 to 18 %", result.stdout)
    assert list(pictures(page)) == [f"{number}.nii.gz, slice 0" for number in range(3)]
    for number in (0, 2):
        path = tmp_path / "set" / "images" / f"{number}.nii.gz"
        path.write_bytes(path.read_bytes()[:-100])
    result, _ = look(tmp_path / "set", *words, config="data/volume_folder.yaml")
    assert result.returncode == 1
    assert (
        len(re.findall(r"wrong: .*/images/[02]\.nii\.gz cannot be read as a volume", result.stdout))
        == 2
    ), "all, not the first alone"
    result, _ = look(tmp_path / "set", "data.held_out=3", config="data/volume_folder.yaml")
    assert result.returncode == 1


def test_many_lines_are_cut_on_the_screen_and_whole_on_the_page(tmp_path):
    for number in range(25):
        save(tmp_path / "set" / "images" / f"{number:02}.png", PHOTO)
        save(tmp_path / "set" / "masks" / f"{number:02}.png", BOX[:-1])
    save(tmp_path / "set" / "masks" / "00.png", BOX)
    result, page = look(tmp_path / "set")
    assert result.stdout.count("wrong: ") == 21
    assert "wrong: 4 more, which the page lists" in result.stdout
    assert page.count("a mask has its image") == 24


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.s_[10:12, 10:12], "2 of 2 objects have fewer than 16 pixels in a view of 448 x 448"),
        (np.s_[5:395, 5:395], "covers more than 60% of its image in the median"),
        (np.s_[100:200, 100:200], None),
    ],
)
def test_objects_that_are_hardly_seen_and_masks_that_may_be_inverted_are_noted(
    pixels, words, tmp_path
):
    for name in ("a", "b"):
        mask = np.zeros((400, 400), np.uint8)
        mask[pixels] = 255
        photo = np.random.default_rng(ord(name)).integers(0, 255, (400, 400, 3), np.uint8)
        save(tmp_path / "set" / "images" / f"{name}.png", photo)
        save(tmp_path / "set" / "masks" / f"{name}.png", mask)
    printed = look(tmp_path / "set")[0].stdout
    assert ("in a view of" in printed or "inverted" in printed) == (words is not None)
    assert words is None or words in printed


def test_a_large_photo_is_not_kept_whole_for_its_picture():
    mask = np.zeros((3000, 2000), bool)
    mask[600:1200] = True
    picture = picture_of("large", np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255, mask)
    assert picture.image.shape == (1024, 683, 3)
    assert picture.mask.dtype == bool
    assert abs(picture.mask.mean() - 0.2) < 2e-3
    assert np.array_equal(picture.image[..., 0] > 127, picture.mask)


def test_what_is_no_data_module_is_told():
    with pytest.raises(InputError, match="int is not a data module of clicks, tasks or volumes"):
        check_data(3)


def test_pictures_are_from_all_over_and_sizes_counted():
    assert spread(range(100)) == {0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99}
    assert spread([7, 8]) == {7, 8}
    assert spread([]) == set()
    assert (
        count_sizes([(1, 2), (3, 4), (3, 4), (5, 6), (7, 8), (9, 9)])
        == "3 x 4 (2), 1 x 2 (1), 5 x 6 (1) and 2 more"
    )


def test_a_coco_set_has_its_categories_and_what_was_decided_of_its_photos(coco):
    save(coco / "images" / "1.jpg", np.zeros((72, 96, 3), np.uint8), orientation=3)
    words = ["data.images=images", "data.annotations=annotations.json"]
    result, page = look(coco, *words, config="data/coco.yaml")
    assert result.returncode == 0
    assert re.search(r"categories +1: thing 6\n", result.stdout)
    assert re.search(
        r"photos +photos whose EXIF orientation fits their masks both ways, read upright, .*: "
        r"1 \(1\.jpg\)",
        result.stdout,
    )
    assert "which are no objects unless data.crowds=true says so: 1 (99)" in result.stdout
    assert list(pictures(page)) == ["0.jpg: thing (1)", "1.jpg: thing (3)", "2.jpg: thing (5)"]
    (coco / "images" / "2.jpg").write_bytes(b"none")
    result, _ = look(coco, *words, config="data/coco.yaml")
    assert result.returncode == 1
    assert "2.jpg cannot be read as an image" in result.stdout
