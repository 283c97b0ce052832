"""Masks in colours, palettes and alpha: the right objects, or the line that says what is wrong."""

import numpy as np
import pytest

from tests.helpers.people import BLUE, BOX, HOLED, RED, TWO, H, W, coloured, grey, masks, outcome

ALPHA = np.full((H, W, 1), 255, np.uint8)


MASKS = [
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
]


@pytest.mark.parametrize(("name", "maker", "expected"), MASKS)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
