"""COCO annotations as people have them: the right mask, or the line that says what is wrong."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.helpers.people import (
    BOX,
    H,
    W,
    coco,
    outcome,
)


def rle(mask):
    runs = coco_mask.encode(np.asfortranarray(mask))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


RUNS = {"size": [H, W], "counts": [4, 3, H * W - 7]}


COCO = [
    ("polygon", lambda root: coco(root, {}), {"objects": {"a.png: thing (1)": (140, 0)}}),
    (
        "run lengths",
        lambda root: coco(root, {"segmentation": RUNS}),
        {"objects": {"a.png: thing (1)": (3, 0)}},
    ),
    (
        "compressed run lengths",
        lambda root: coco(root, {"segmentation": rle(BOX)}),
        {"objects": {"a.png: thing (1)": (140, 0)}},
    ),
    (
        "run lengths of another size",
        lambda root: coco(root, {}, {"segmentation": {**RUNS, "size": [W, H]}}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has run lengths of size [32, 24], its image is [24, 32]"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has run lengths of size [32, 24], its image is [24, 32])"
            ],
        },
    ),
    (
        "run lengths too short",
        lambda root: coco(root, {}, {"segmentation": {**RUNS, "counts": [4, 3]}}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has run lengths of 7 pixels, its image has 768"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has run lengths of 7 pixels, its image has 768)"
            ],
        },
    ),
    (
        "run lengths cut",
        lambda root: coco(
            root, {}, {"segmentation": {**rle(BOX), "counts": rle(BOX)["counts"][:-3]}}
        ),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has run lengths of 460 pixels, its image has 768"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has run lengths of 460 pixels, its image has 768)"
            ],
        },
    ),
    (
        "run lengths of garbage",
        lambda root: coco(root, {}, {"segmentation": {**RUNS, "counts": "{~ é"}}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has run lengths that cannot be read (character '{')"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has run lengths that cannot be read (character '{'))"
            ],
        },
    ),
    (
        "run lengths of nothing",
        lambda root: coco(root, {}, {"segmentation": {**RUNS, "counts": [H * W]}}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has run lengths that cover no pixel"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has run lengths that cover no pixel)"
            ],
        },
    ),
    (
        "empty segmentation",
        lambda root: coco(root, {}, {"segmentation": []}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has no segmentation"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (annotation 2 has no segmentation)"
            ],
        },
    ),
    (
        "null segmentation",
        lambda root: coco(root, {}, {"segmentation": None}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has no segmentation"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (annotation 2 has no segmentation)"
            ],
        },
    ),
    (
        "no segmentation",
        lambda root: coco(root, {}, {"segmentation": "absent"}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has no segmentation"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (annotation 2 has no segmentation)"
            ],
        },
    ),
    (
        "points for polygons",
        lambda root: coco(root, {}, {"segmentation": [[6, 4], [20, 4], [20, 14]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": [
                "annotation 2 has a polygon of 2 numbers; it takes x and y of three points at least"
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has a polygon of 2 numbers; "
                "it takes x and y of three points at least)"
            ],
        },
    ),
    (
        "list of points",
        lambda root: coco(root, {}, {"segmentation": [[[6, 4], [20, 4], [20, 14]]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": [
                "annotation 2 has a polygon that is no list of numbers; "
                "a polygon is [x, y, x, y, ...], not a list of points"
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has a polygon that is no list of numbers; "
                "a polygon is [x, y, x, y, ...], not a list of points)"
            ],
        },
    ),
    (
        "odd numbers",
        lambda root: coco(root, {}, {"segmentation": [[6, 4, 20, 4, 20, 14, 6]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": [
                "annotation 2 has a polygon of 7 numbers; it takes x and y of three points at least"
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has a polygon of 7 numbers; "
                "it takes x and y of three points at least)"
            ],
        },
    ),
    (
        "polygon outside",
        lambda root: coco(root, {}, {"segmentation": [[50, 50, 60, 50, 60, 60]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has polygons that cover no pixel"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has polygons that cover no pixel)"
            ],
        },
    ),
    (
        "polygon in other units",
        lambda root: coco(root, {}, {"segmentation": [[6e4, 4e4, 7e4, 4e4, 7e4, 5e4]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": [
                "annotation 2 has a polygon from 40000 to 70000 in an image of 24 x 32 pixels"
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has a polygon from 40000 to 70000 in an image of 24 x 32 pixels)"
            ],
        },
    ),
    (
        "polygon of a point",
        lambda root: coco(root, {}, {"segmentation": [[6, 4, 6, 4, 6, 4]]}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 has polygons that cover no pixel"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 has polygons that cover no pixel)"
            ],
        },
    ),
    (
        "area null",
        lambda root: coco(root, {"area": None}, {"area": "absent"}),
        {"objects": {"a.png: thing (1)": (140, 0), "a.png: thing (2)": (140, 0)}},
    ),
    (
        "no id",
        lambda root: coco(root, {}, {"id": "absent"}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation number 2 has id None; ids are whole numbers"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (annotation number 2 has id None; "
                "ids are whole numbers)"
            ],
        },
    ),
    (
        "an id twice",
        lambda root: coco(root, {}, {"id": 1}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 1 has the id 1 of another annotation"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 1 has the id 1 of another annotation)"
            ],
        },
    ),
    (
        "unknown image",
        lambda root: coco(root, {}, {"image_id": 7}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "problems": ["annotation 2 is of image 7, which is not among the good images"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "1 (annotation 2 is of image 7, which is not among the good images)"
            ],
        },
    ),
    (
        "no category",
        lambda root: coco(root, {"category_id": "absent"}, {"category_id": None}),
        {"objects": {"a.png: object (1)": (140, 0), "a.png: object (2)": (140, 0)}},
    ),
    (
        "crowds alone",
        lambda root: coco(root, {"iscrowd": 1}),
        {
            "objects": {},
            "problems": ["ROOT/a.json: all 1 annotations are crowds, which are no objects"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (ROOT/a.json: "
                "all 1 annotations are crowds, which are no objects)"
            ],
            "left_out": ["crowds, which are no objects: 1 (1)"],
        },
    ),
    (
        "a crowd beside an object",
        lambda root: coco(root, {}, {"iscrowd": 1}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "left_out": ["crowds, which are no objects: 1 (2)"],
        },
    ),
    (
        "no image file",
        lambda root: coco(
            root, {}, images=[{"id": 1, "file_name": "b.png", "height": H, "width": W}]
        ),
        {
            "objects": {},
            "problems": ["ROOT/images/b.png does not exist; image 1 has 1 annotations"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (ROOT/images/b.png does not exist; "
                "image 1 has 1 annotations)"
            ],
        },
    ),
    (
        "image without height",
        lambda root: coco(root, {}, images=[{"id": 1, "file_name": "a.png", "width": W}]),
        {
            "objects": {},
            "problems": [
                "image 1 has height None; give the pixels of the image file",
                "annotation 1 is of image 1, which is not among the good images",
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 2 (image 1 has height None; "
                "give the pixels of the image file, annotation 1 is of image 1, "
                "which is not among the good images)"
            ],
        },
    ),
    (
        "image outside",
        lambda root: coco(
            root, {}, images=[{"id": 1, "file_name": "../a.png", "height": H, "width": W}]
        ),
        {
            "objects": {},
            "problems": [
                "image 1 has file_name '../a.png', which leads out of the folder of images",
                "annotation 1 is of image 1, which is not among the good images",
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "2 (image 1 has file_name '../a.png', which leads out of the folder of images, "
                "annotation 1 is of image 1, which is not among the good images)"
            ],
        },
    ),
    (
        "image at an absolute path",
        lambda root: coco(
            root, {}, images=[{"id": 1, "file_name": "C:\\a.png", "height": H, "width": W}]
        ),
        {
            "objects": {},
            "problems": [
                "image 1 has file_name 'C:\\\\a.png', which leads out of the folder of images",
                "annotation 1 is of image 1, which is not among the good images",
            ],
            "notes": [
                "entries of ROOT/a.json that cannot be used: "
                "2 (image 1 has file_name 'C:\\\\a.png', which leads out of the folder of images, "
                "annotation 1 is of image 1, which is not among the good images)"
            ],
        },
    ),
    (
        "images of null",
        lambda root: coco(root, {}, images=None),
        "error: ROOT/a.json: images is no list; a COCO file has lists of images, "
        "annotations and categories",
    ),
]


@pytest.mark.parametrize(("name", "maker", "expected"), COCO)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
