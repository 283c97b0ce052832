"""Mask files as people have them: the right objects, or the line that says what is wrong."""

import numpy as np
import pytest

from tests.helpers.people import (
    BLUE,
    BOX,
    HOLED,
    PHOTO,
    RED,
    SOFT,
    TWO,
    VOID,
    H,
    W,
    coloured,
    grey,
    masks,
    outcome,
)

TRIMAP = np.where(BOX > 0, 255, 0).astype(np.uint8)
TRIMAP[3, :] = 128


FRINGED = {"quality": 60}


ALPHA = np.full((H, W, 1), 255, np.uint8)


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
        "palette",
        lambda root: masks(root, {"a.png": (TWO, {"mode": "P"})}),
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
    ),
    (
        "black and white",
        lambda root: masks(root, {"a.png": (BOX * 255, {"mode": "1"})}),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        "grey and opaque alpha",
        lambda root: masks(root, {"a.png": np.dstack([BOX * 255, ALPHA])}),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        "grey and alpha",
        lambda root: masks(root, {"a.png": np.dstack([BOX * 255, HOLED])}),
        {
            "objects": {},
            "problems": [
                "ROOT/masks/a.png has transparent parts (alpha from 0), which have no label; "
                "save the mask without alpha"
            ],
        },
    ),
    (
        "colours and opaque alpha",
        lambda root: masks(root, {"a.png": np.dstack([grey(TWO), ALPHA])}),
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
    ),
    (
        "the object in alpha",
        lambda root: masks(root, {"a.png": np.dstack([grey(BOX * 255), HOLED])}),
        {
            "objects": {},
            "problems": [
                "ROOT/masks/a.png has transparent parts (alpha from 0), which have no label; "
                "save the mask without alpha"
            ],
        },
    ),
    (
        "grey as colours",
        lambda root: masks(root, {"a.png": grey(TWO)}),
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
    ),
    (
        "colours",
        lambda root: masks(root, {"a.png": coloured(TWO, (0, 0, 0), RED, BLUE)}),
        {
            "objects": {},
            "problems": [
                "ROOT/masks/a.png is drawn in 3 colours; "
                "save ids or classes in grey (a folder of masks with an object a colour: "
                "data.kind=colours)"
            ],
        },
    ),
    (
        "colours, kind=colours",
        lambda root: masks(root, {"a.png": coloured(TWO, (0, 0, 0), RED, BLUE)}, kind="colours"),
        {"objects": {"a.png: object #0000ff": (48, 0), "a.png: object #ff0000": (140, 0)}},
    ),
    (
        "colours on white",
        lambda root: masks(
            root,
            {"a.png": coloured(TWO, (255,) * 3, RED, (0, 0, 0))},
            kind="colours",
            background="#ffffff",
        ),
        {"objects": {"a.png: object #ff0000": (140, 0), "a.png: object #000000": (48, 0)}},
    ),
    (
        "colours on white, not said",
        lambda root: masks(root, {"a.png": coloured(TWO, (255,) * 3, RED, BLUE)}, kind="colours"),
        "error: no mask has the background #000000, all have #0000ff, #ff0000, #ffffff; "
        "give data.background='#rrggbb'",
    ),
    (
        "palette, kind=colours",
        lambda root: masks(
            root, {"a.png": (coloured(BOX, (0, 0, 0), RED), {"mode": "P"})}, kind="colours"
        ),
        {"objects": {"a.png: object #ff0000": (140, 0)}},
    ),
    (
        "colours as JPEG",
        lambda root: masks(root, {"a.jpg": coloured(TWO, (0, 0, 0), RED, BLUE)}, kind="colours"),
        {
            "objects": {},
            "problems": [
                "ROOT/masks/a.jpg has 410 colours, most without areas of their own; "
                "save it as PNG without anti-aliasing"
            ],
        },
    ),
    (
        "JPEG",
        lambda root: masks(root, {"a.jpg": (BOX * 255, FRINGED), "b.png": BOX * 255}),
        {
            "objects": {"a.png: object 1": (140, 0), "b.png: object 1": (140, 0)},
            "notes": [
                "masks with soft edges, cut at half (data.kind=ids reads their values as ids): "
                "1 (a.jpg)"
            ],
        },
    ),
    (
        "JPEG, kind=ids on demand",
        lambda root: len(masks(root, {"a.jpg": (BOX * 255, FRINGED)}, kind="ids")["objects"]) > 20,
        True,
    ),
    (
        "ids as JPEG",
        lambda root: masks(root, {"a.jpg": (TWO * 60, FRINGED), "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.jpg has 73 values, most without areas (a photo, probabilities, "
                "soft edges, a JPEG of ids); save ids as PNG, "
                "or give data.kind=soft to cut all masks at half, or ids to take every value"
            ],
        },
    ),
    (
        "anti-aliased",
        lambda root: masks(root, {"a.png": SOFT}),
        {
            "objects": {"a.png: object 1": (136, 0)},
            "notes": [
                "masks with soft edges, cut at half (data.kind=ids reads their values as ids): "
                "1 (a.png)"
            ],
        },
    ),
    (
        "photo for a mask",
        lambda root: masks(root, {"a.png": PHOTO[..., 0], "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png has 246 values, most without areas (a photo, probabilities, "
                "soft edges, a JPEG of ids); save ids as PNG, "
                "or give data.kind=soft to cut all masks at half, or ids to take every value"
            ],
        },
    ),
    (
        "probabilities as .npy",
        lambda root: masks(root, {"a.npy": SOFT / 255, "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.npy has values that are not whole numbers (float64); "
                "a mask holds ids or classes, not probabilities"
            ],
        },
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
        "CMYK",
        lambda root: masks(root, {"a.tif": (grey(BOX), {"mode": "CMYK"}), "b.png": BOX}),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.tif is stored as CMYK, which cannot hold labels; "
                "save the mask as a grey PNG"
            ],
        },
    ),
    (
        "colours of 16 bits",
        lambda root: masks(
            root, {"a.png": np.repeat(TWO[..., None].astype(np.uint16) * 300, 3, -1), "b.png": BOX}
        ),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png has several channels of 16 bits; "
                "save ids or classes as a grey PNG of one channel"
            ],
        },
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
