"""COCO files as people have them.

Single annotations are in test_coco_people_have.py, their polygons and run lengths in
test_coco_outlines_people_have.py.
"""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from configs import build, load, resolve
from datamodules.coco import CocoDataModule
from datamodules.coco_json import (
    NO_CATEGORY,
    check_content,
    check_polygons,
    is_certain,
    read_json,
)
from datamodules.coco_source import CocoSource
from interseg.errors import InputError
from interseg.masks import unpack_runs


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_are_unpacked_as_pycocotools_packs_them(seed):
    rng = np.random.default_rng(seed)
    mask = (rng.random((rng.integers(1, 60), rng.integers(1, 60))) < rng.random()).astype(np.uint8)
    runs = coco_mask.encode(np.asfortranarray(mask))
    lengths = unpack_runs(runs["counts"].decode())
    flat = np.repeat(np.arange(len(lengths)) % 2, lengths)
    assert np.array_equal(flat.reshape(mask.shape, order="F"), mask)


GARBAGE = [
    ("{", "character '{'"),
    ("o", "ends within a number"),
    ("ooooooooo1", "character"),
    (" ", "character ' '"),
]


@pytest.mark.parametrize(("text", "message"), GARBAGE)
def test_what_is_no_run_lengths_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        unpack_runs(text)


@pytest.mark.parametrize("seed", range(30))
def test_polygons_that_are_not_drawn_to_see_cover_pixels(seed):
    rng = np.random.default_rng(seed)
    polygon = (
        rng.random(2 * rng.integers(3, 8)) * rng.choice([2, 10, 40]) + rng.choice([-20, 0, 30])
    ).tolist()
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 50, 60))).any()
    assert drawn or not is_certain(polygon, (50, 60))
    assert (check_polygons([polygon], (50, 60)) is None) == drawn


def test_what_is_bad_is_named_and_its_neighbours_go_on(coco):
    def spoil(content):
        content["annotations"][0]["segmentation"] = []
        content["annotations"][2] |= {"area": None, "category_id": None}
        content["annotations"].append("none")
        content["categories"].append({"id": 2})

    edit(coco / "annotations.json", spoil)
    source = CocoSource(coco / "annotations.json", coco / "images")
    assert [row["id"] for row in source.rows] == [2, 3, 4, 5, 6]
    assert source.problems == [
        "category 2 has id 2 and name None",
        "annotation 1 has no segmentation",
        "annotation number 8 is str, no mapping",
    ]
    assert source.name(1) == "1.jpg: object (3)"
    assert source.rows[1]["category_id"] == NO_CATEGORY
    (line,) = source.left_out
    assert line.endswith("no objects unless data.crowds=true says so: 1 (99)")
    assert len(source.notes) == 1
    assert "annotations.json that cannot be used: 3 (category 2 has" in source.notes[0]


def test_training_goes_on_without_bad_annotations_and_evaluation_counts_them(coco):
    edit(
        coco / "annotations.json",
        lambda content: content["annotations"][0].update(segmentation=None),
    )
    words = [
        f"data.root={coco}",
        "data.images=images",
        "data.annotations=annotations.json",
        "loading.num_workers=0",
        "loading.batch_size=5",
    ]
    data = build(resolve(load(["data/coco.yaml"], words))["data"])
    (batch,) = data.train_dataloader()
    assert len(batch["id"]) == 5
    assert data.objects("test").problems == ["annotation 1 has no segmentation"]
    assert data.problems == ["annotation 1 has no segmentation"], "once, though both splits have it"
    assert len(data.notes) == 2
    assert "that cannot be used: 1 (annotation 1" in data.notes[0]
    assert data.notes[1].startswith("training and evaluation see the same objects: ")


def test_an_area_that_nobody_measured_is_counted_where_it_matters(coco):
    def spoil(content):
        for row in content["annotations"]:
            row["area"] = None

    before = CocoSource(coco / "annotations.json", coco / "images")
    edit(coco / "annotations.json", spoil)
    source = CocoSource(coco / "annotations.json", coco / "images", min_area=1000)
    assert [row["id"] for row in source.rows] == [2, 4, 6]
    every = CocoSource(coco / "annotations.json", coco / "images")
    for index in range(6):
        assert np.array_equal(every.read(index).mask, before.read(index).mask)


def test_missing_images_are_named_when_the_file_is_listed(coco):
    (coco / "images" / "1.jpg").unlink()
    source = CocoSource(coco / "annotations.json", coco / "images")
    assert [row["image_id"] for row in source.rows] == [1, 1, 3, 3]
    assert source.problems == [f"{coco}/images/1.jpg does not exist; image 2 has 2 annotations"]
    with pytest.raises(InputError, match=r"images of a COCO data set is expected in .*photos"):
        CocoDataModule(str(coco), images="photos", annotations="annotations.json").source("test")


def test_one_file_for_all_splits_is_said_or_split_by_image(coco):
    one = CocoDataModule(str(coco), annotations="annotations.json")
    train = one.source("train")
    assert train is one.source("test")
    assert train.notes == [
        "training and evaluation see the same objects: "
        f"{coco}/annotations.json is the file of all splits; "
        "data.split=[0.8,0.2] parts them by image"
    ]
    parts = CocoDataModule(str(coco), annotations="annotations.json", split=[0.6, 0.4])
    images = [
        {parts.source(split).image(index) for index in range(len(parts.source(split)))}
        for split in ("train", "val", "test")
    ]
    assert [len(found) for found in images] == [2, 1, 1]
    assert not images[0] & images[2]
    assert images[1] == images[2]
    assert not parts.source("test").notes
    (coco / "annotations").mkdir()
    for split in ("train", "test"):
        (coco / "annotations" / f"{split}.json").write_text((coco / "annotations.json").read_text())
    assert not CocoDataModule(str(coco)).source("train").notes
    with pytest.raises(
        InputError, match=r"each split has a file of its own, .*train\.json, and data\.split is"
    ):
        CocoDataModule(str(coco), split=[0.8, 0.2]).source("train")


def test_a_test_file_of_ones_own_is_played_and_without_one_that_of_validation(coco):
    (coco / "annotations").mkdir()
    content = json.loads((coco / "annotations.json").read_text())
    for split, count in (("train", 5), ("val", 3)):
        some = content | {"annotations": content["annotations"][:count]}
        (coco / "annotations" / f"{split}.json").write_text(json.dumps(some))
    given = {"root": str(coco), "annotations": "annotations/{split}.json"}
    played = CocoDataModule(**given).source("test")
    assert len(played) == 3
    assert any("there is no test file" in line for line in played.notes)
    some = content | {"annotations": content["annotations"][:2]}
    (coco / "annotations" / "test.json").write_text(json.dumps(some))
    assert len(CocoDataModule(**given).source("test")) == 2
    assert len(CocoDataModule(**given, splits={"test": "val"}).source("test")) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100000, r"a\.json is no JSON file"),
        ("\x00", r"a\.json is no JSON file"),
        ("{}", r"a\.json lacks annotations, categories, images"),
        ('{"images": [], "annotations": {}, "categories": []}', r"a\.json: annotations is no list"),
    ],
)
def test_what_is_no_coco_file_is_told(content, message, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "a.json")


def test_a_byte_order_mark_is_no_error(coco):
    path = coco / "annotations.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(CocoSource(path, coco / "images")) == 6


@pytest.mark.parametrize(
    "key", ["id", "image_id", "segmentation", "category_id", "area", "iscrowd"]
)
def test_a_missing_key_is_named_or_does_without(key, coco):
    content = json.loads((coco / "annotations.json").read_text())
    for row in content["annotations"]:
        del row[key]
    kept, problems = check_content(content)
    needed = key in ("id", "image_id", "segmentation")
    assert len(kept["annotations"]) == (0 if needed else 7)
    assert len(problems) == (7 if needed else 0)
