import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datamodules.coco import CocoDataModule
from datamodules.coco_source import CocoSource
from datamodules.folder import FolderDataModule
from datamodules.folder_source import FolderSource
from datamodules.grabcut import GrabCutDataModule
from datamodules.samples import SamplesDataModule
from datamodules.sources import number_values
from datamodules.splits import part_of
from interseg.errors import InputError
from tests.helpers.drawing import draw_folder, write


def folder_of(tmp_path: Path, masks: list[np.ndarray]) -> FolderSource:
    for i, mask in enumerate(masks):
        write(tmp_path / "images" / f"{i}.png", np.zeros((*mask.shape, 3), np.uint8))
        write(tmp_path / "masks" / f"{i}.png", mask)
    return FolderSource(tmp_path / "images", tmp_path / "masks")


def grid(*values):
    return np.repeat(np.array([values], np.uint8), 4, axis=0)


@pytest.mark.parametrize(
    ("masks", "kinds", "objects"),
    [
        ([grid(0, 1, 1), grid(1, 0, 0)], ["binary", "binary"], [1, 1]),
        ([grid(0, 255, 255)], ["binary"], [1]),
        ([grid(0, 128, 255)], ["trimap"], [1]),
        ([grid(0, 1, 2), grid(0, 1, 1)], ["ids", "binary"], [1, 2, 1]),
        ([grid(0, 3, 7, 255)], ["ids"], [3, 7]),
        ([grid(0, 1, 1), grid(0, 255, 0)], ["binary", "binary"], [1, 1]),
    ],
)
def test_each_mask_of_a_folder_is_understood_by_its_values(tmp_path, masks, kinds, objects):
    source = folder_of(tmp_path, masks)
    assert list(source.kinds.values()) == kinds
    assert [id for _, id, _ in source.entries] == objects
    assert not source.problems
    for index, (stem, id, _) in enumerate(source.entries):
        values = masks[int(stem)]
        expected = values == id if source.kinds[stem] == "ids" else values == values.max()
        assert np.array_equal(source.read(index).mask == 1, expected)


def test_ignored_pixels_of_trimaps_and_id_maps(tmp_path):
    trimap = folder_of(tmp_path / "a", [grid(0, 128, 255)]).read(0)
    assert trimap.mask[0].tolist() == [0, 255, 1]
    ids = folder_of(tmp_path / "b", [grid(0, 3, 7, 255)])
    assert ids.read(0).mask[0].tolist() == [0, 1, 0, 255]
    assert ids.read(0).others[0].tolist() == [0, 0, 1, 0]
    assert ids.name(1) == "0.png: object 7"


@pytest.mark.parametrize(("kind", "mode"), [("trimap", "1"), ("soft", "1"), ("trimap", "P")])
def test_masks_of_one_bit_and_of_grey_palettes_are_as_they_are_shown(kind, mode, tmp_path):
    write(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "masks").mkdir()
    values = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
    mask = Image.fromarray(values * 255).convert("1")
    if mode == "P":
        mask = Image.fromarray(values, "P")
        mask.putpalette([0, 0, 0, 255, 255, 255])
    mask.save(tmp_path / "masks" / "a.png")
    sample = FolderSource(tmp_path / "images", tmp_path / "masks", kind).read(0)
    assert sample.mask.tolist() == values.tolist()


def test_sixteen_bit_ids_are_read(tmp_path):
    write(tmp_path / "images" / "a.png", np.zeros((4, 3, 3), np.uint8))
    write(tmp_path / "masks" / "a.png", np.repeat(np.array([[0, 300, 1000]], np.uint16), 4, axis=0))
    source = FolderSource(tmp_path / "images", tmp_path / "masks")
    assert [source.entries[i][1] for i in range(2)] == [300, 1000]


def test_splits_of_a_folder_are_used_where_they_exist(folder, tmp_path):
    assert len(FolderDataModule(str(folder)).source("test")) == 10
    (tmp_path / "split").mkdir()
    folder.rename(tmp_path / "split" / "test")
    data = FolderDataModule(str(tmp_path / "split"))
    assert len(data.source("test")) == 10
    with pytest.raises(InputError, match="a part of the data set is expected in"):
        data.source("train")


def test_coco_reads_polygons_keyholes_and_leaves_crowds_out(coco):
    source = CocoSource(coco / "annotations.json", coco / "images")
    assert len(source) == 6
    assert source.size(0) == (72, 96)
    square, ring = source.read(0), source.read(1)
    assert square.mask[10:40, 10:40].all()
    assert square.mask.sum() == 900
    assert ring.mask.sum() == 40 * 50 - 20 * 30
    assert (ring.others > 0).sum() == 900 + (source.coco.anns[99]["area"] > 0) * (
        ring.others[:3, :3] > 0
    ).sum()
    assert not (square.others[square.mask == 1]).any()
    assert source.name(1) == "0.jpg: thing (2)"


def test_coco_takes_categories_and_draws_objects_of_different_images(coco):
    file = coco / "annotations.json"
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 1, "name": "person"}, {"id": 2, "name": "kite"}]
    for row in content["annotations"]:
        row["category_id"] = 1 if row["image_id"] == 1 or row["id"] % 2 else 2
    file.write_text(json.dumps(content))

    def names(**options):
        source = CocoSource(file, coco / "images", **options)
        return [source.name(i) for i in range(len(source))]

    seen, unseen = names(categories="seen"), names(categories="unseen")
    assert sorted(seen + unseen) == sorted(names())
    assert all("person" in name for name in seen)
    assert names(categories=["kite"]) == unseen == ["1.jpg: kite (4)", "2.jpg: kite (6)"]
    drawn = names(categories="seen", per_category=3)
    assert len(drawn) == 3
    assert len({name.split(":")[0] for name in drawn}) == 3
    assert drawn == names(categories="seen", per_category=3)
    assert len(names(per_category=1)) == 2
    with pytest.raises(
        InputError,
        match="categories has 'dog'; use seen, unseen or names of the file: kite, person",
    ):
        names(categories=["dog"])


def test_grabcut_ignores_grey_and_matches_by_stem(grabcut):
    source = FolderSource(grabcut / "data_GT", grabcut / "boundary_GT", "trimap")
    assert len(source) == 4
    assert set(np.unique(source.read(0).mask)) == {0, 1, 255}
    (grabcut / "boundary_GT" / "3.bmp").unlink()
    source = FolderSource(grabcut / "data_GT", grabcut / "boundary_GT", "trimap")
    assert len(source) == 3
    assert "3.jpg has no mask" in source.problems[0]


def test_missing_data_name_the_folder(tmp_path):
    for module in (CocoDataModule, FolderDataModule, GrabCutDataModule):
        with pytest.raises(InputError, match=r"nowhere.*does not exist"):
            module(str(tmp_path / "nowhere")).source("test")


def test_the_samples_are_many_tight_and_split_by_photo():
    data = SamplesDataModule()
    train, test = data.source("train"), data.source("test")
    assert len(train) + len(test) >= 60
    photos = [
        {image["file_name"] for image in source.coco.imgs.values()} for source in (train, test)
    ]
    assert not photos[0] & photos[1]
    assert len(photos[0] | photos[1]) >= 12
    areas, holes = [], 0
    for source in (train, test):
        for i in range(len(source)):
            sample = source.read(i)
            assert sample.mask.shape == source.size(i)
            areas.append(int(sample.mask.sum()))
            assert areas[-1] == source.rows[i]["area"]
            _, hierarchy = cv2.findContours(sample.mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            holes += bool((hierarchy[0, :, 3] >= 0).any())
    assert min(areas) < 150
    assert holes >= 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: (f / "images" / "0.png").write_text("no image"),
            "0.png cannot be read as an image",
        ),
        (lambda f: (f / "masks" / "0.png").write_text("no mask"), "0.png cannot be read as a mask"),
        (
            lambda f: write(f / "masks" / "0.png", np.ones((5, 6), np.uint8)),
            "0.png is 5 x 6, its image 72 x 96",
        ),
        (
            lambda f: write(f / "masks" / "0.png", np.zeros((72, 96), np.uint8)),
            "0.png has no object",
        ),
        (lambda f: (f / "masks" / "0.png").unlink(), "0.png has no mask in"),
    ],
)
def test_a_bad_file_of_a_folder_is_a_named_problem(folder, spoil, message):
    spoil(folder)
    source = FolderSource(folder / "images", folder / "masks")
    assert len(source) == 8
    assert len(source.problems) == 1
    assert message in source.problems[0]


def test_an_image_that_breaks_after_listing_is_named_when_it_is_read(grabcut):
    source = FolderSource(grabcut / "data_GT", grabcut / "boundary_GT", "trimap")
    content = (grabcut / "data_GT" / "0.jpg").read_bytes()
    (grabcut / "data_GT" / "0.jpg").write_bytes(content[:200])
    with pytest.raises(InputError, match=r"0.jpg cannot be read as an image"):
        source.read(0)
    (grabcut / "data_GT" / "0.jpg").unlink()
    with pytest.raises(InputError, match=r"0.jpg does not exist"):
        source.read(0)


def test_bad_coco_files_and_folders_are_named(coco, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        CocoSource(coco / "none.json", coco)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        CocoSource(tmp_path / "a.json", coco)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match="lacks annotations, categories, images"):
        CocoSource(tmp_path / "a.json", coco)
    content = json.loads((coco / "annotations.json").read_text())
    content["images"][0]["height"] = 70
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="the annotations say 70 x 96"):
        CocoSource(tmp_path / "a.json", coco / "images").read(0)


def test_stems_that_clash_or_never_match_and_unknown_kinds_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="masks are 'colour'"):
        FolderSource(folder / "images", folder / "masks", "colour")
    write(folder / "masks" / "0.bmp", np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match="share a stem"):
        FolderSource(folder / "images", folder / "masks")
    write(tmp_path / "other" / "x.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match="has the stem of an image"):
        FolderSource(folder / "images", tmp_path / "other")


def test_parts_of_a_binary_mask_are_objects_where_told(tmp_path):
    cells = np.zeros((20, 30), np.uint8)
    cells[2:6, 2:6], cells[2:6, 10:14], cells[10:14, 4:9] = 255, 255, 255
    cells[14, 9] = 255  # at a corner
    folder_of(tmp_path, [cells])
    whole = FolderSource(tmp_path / "images", tmp_path / "masks")
    assert len(whole) == 1
    assert whole.notes == [
        "binary masks of several parts, each mask taken as one object (data.kind=parts: an object "
        "a part): 1 (0.png)"
    ]
    source = FolderSource(tmp_path / "images", tmp_path / "masks", "parts")
    assert source.facts() == {"masks": "parts, as data.kind says"}
    assert [source.name(i) for i in range(3)] == [f"0.png: object {i}" for i in (1, 2, 3)]
    assert [int((source.read(i).mask == 1).sum()) for i in range(3)] == [16, 16, 21]
    assert sum(source.read(i).mask for i in range(3)).max() == 1


def test_without_a_test_folder_evaluation_sees_the_val_split(tmp_path):
    draw_folder(tmp_path / "train", 2)
    draw_folder(tmp_path / "val", 1)
    data = FolderDataModule(str(tmp_path))
    assert data.names("test") == data.names("val")
    assert data.notes == [f"there is no test/ beside {tmp_path}/val: evaluation sees the val split"]


@pytest.mark.parametrize("most", [7, 70000])
def test_other_objects_are_numbered_in_their_order(most):
    labels = np.random.default_rng(0).choice([0, 3, 5, most], (9, 8)).astype(np.int32)
    expected = np.searchsorted(np.unique(labels), labels)
    assert number_values(labels).tolist() == expected.tolist()
    many = np.arange(400, dtype=np.int32).reshape(20, 20)
    assert number_values(many).tolist() == many.clip(0, 255).tolist()


def test_few_photos_change_sides_when_a_set_grows():
    before, after = ([f"{i}.png" for i in range(count)] for count in (40, 50))
    drawn = part_of(before, [0.8, 0.2], "test", 3, "numbers")
    order = np.random.default_rng(3).permutation(40)
    assert {before[i] for i in drawn} == {sorted(before)[i] for i in order[32:]}
    learned = set(part_of(before, [0.8, 0.2], "train", 3))
    held_out = set(part_of(after, [0.8, 0.2], "test", 3))
    assert len(learned) == 32
    assert len(held_out) == 10
    assert len(learned & held_out) <= 2
