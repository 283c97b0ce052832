"""COCO outlines as people have them: the right mask, or the line that says what is wrong."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.helpers.people import BOX, H, W, coco, outcome


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
]


@pytest.mark.parametrize(("name", "maker", "expected"), COCO)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
