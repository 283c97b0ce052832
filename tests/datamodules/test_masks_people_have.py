"""Mask files of ids as people have them: the right objects, or the line that says what is wrong."""

import numpy as np
import pytest

from tests.helpers.people import BOX, TWO, VOID, masks, outcome

TRIMAP = np.where(BOX > 0, 255, 0).astype(np.uint8)
TRIMAP[3, :] = 128


MASKS = [
    (
        "0 and 1",
        lambda root: masks(root, {"a.png": BOX}),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        "0 and 255",
        lambda root: masks(root, {"a.png": BOX * 255}),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        "0/1 beside 0/255",
        lambda root: masks(root, {"a.png": BOX, "b.png": BOX * 255}),
        {"objects": {"a.png: object 1": (140, 0), "b.png: object 1": (140, 0)}},
    ),
    (
        "one value that is not 255",
        lambda root: masks(root, {"a.png": BOX * 128}),
        {
            "objects": {},
            "problems": [
                "ROOT/masks/a.png has 0 and 128 alone: ignored, or an object; "
                "give data.kind=trimap or binary, or draw the object as 255"
            ],
        },
    ),
    (
        "ids",
        lambda root: masks(root, {"a.png": TWO, "b.png": BOX}),
        {
            "objects": {
                "a.png: object 1": (140, 0),
                "a.png: object 2": (48, 0),
                "b.png: object 1": (140, 0),
            }
        },
    ),
    (
        "ids and 255",
        lambda root: masks(root, {"a.png": VOID}),
        {"objects": {"a.png: object 1": (140, 32), "a.png: object 2": (48, 32)}},
    ),
    (
        "0/255 among ids that ignore 255",
        lambda root: masks(root, {"a.png": VOID, "b.png": BOX * 255}),
        {
            "objects": {"a.png: object 1": (140, 32), "a.png: object 2": (48, 32)},
            "problems": [
                "ROOT/masks/b.png has 0 and 255 alone among masks of ids that ignore 255; "
                "draw its id, or remove it"
            ],
        },
    ),
    (
        "0/255 among ids that do not",
        lambda root: masks(root, {"a.png": TWO, "b.png": BOX * 255}),
        {
            "objects": {
                "a.png: object 1": (140, 0),
                "a.png: object 2": (48, 0),
                "b.png: object 1": (140, 0),
            }
        },
    ),
    (
        "trimap",
        lambda root: masks(root, {"a.png": TRIMAP}),
        {"objects": {"a.png: object 1": (140, 32)}},
    ),
    (
        "trimap among ids",
        lambda root: masks(root, {"a.png": TWO, "b.png": TRIMAP}),
        {
            "objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)},
            "problems": [
                "ROOT/masks/b.png has 0, 128 and 255 among masks of ids; "
                "give data.kind=trimap or ids, or remove it"
            ],
        },
    ),
    (
        "ids of 16 bits",
        lambda root: masks(root, {"a.png": TWO.astype(np.uint16) * 500}),
        {"objects": {"a.png: object 500": (140, 0), "a.png: object 1000": (48, 0)}},
    ),
    (
        ".npy",
        lambda root: masks(root, {"a.npy": TWO.astype(np.int64)}),
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
    ),
    (
        ".npy of truths",
        lambda root: masks(root, {"a.npy": BOX > 0}),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        ".npy of objects",
        lambda root: masks(root, {"a.npy": np.array([{"mask": 1}], object), "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.npy cannot be read as an array (Object arrays cannot be loaded when "
                "allow_pickle=False); replace or remove the file"
            ],
        },
    ),
    (
        ".npy of classes one-hot",
        lambda root: masks(root, {"a.npy": np.eye(3)[TWO], "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": ["ROOT/masks/a.npy holds an array of (24, 32, 3); a mask is (H, W)"],
        },
    ),
    (
        "GIF with ignored pixels",
        lambda root: masks(root, {"a.gif": VOID}),
        {"objects": {"a.png: object 1": (140, 32), "a.png: object 2": (48, 32)}},
    ),
    (
        "floating whole numbers",
        lambda root: masks(root, {"a.tif": TWO.astype(np.float32)}),
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
    ),
    (
        "no object",
        lambda root: masks(root, {"a.png": BOX * 0, "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png has no object (values [0]); draw one or remove the mask"
            ],
        },
    ),
    (
        "another size",
        lambda root: masks(root, {"a.png": BOX[:-1], "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png is 23 x 32, its image 24 x 32; a mask has its image's size"
            ],
        },
    ),
    (
        "text",
        lambda root: masks(root, {"a.png": b"no mask", "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png cannot be read as a mask (it is in no known format); "
                "replace or remove the file"
            ],
        },
    ),
]


@pytest.mark.parametrize(("name", "maker", "expected"), MASKS)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
