"""Folders of images and masks: the right pairs, or the line that says what is wrong."""

import unicodedata

import numpy as np
import pytest

from tests.helpers.people import (
    BLUE,
    BOX,
    HOLED,
    PHOTO,
    RED,
    TWO,
    VOID,
    classes,
    coloured,
    grey,
    masks,
    outcome,
    split_of,
)

NAMES = [
    (
        "hidden files",
        lambda root: masks(
            root,
            {"a.png": BOX, "._a.png": b"mac", ".DS_Store": b"mac"},
            {"a.png": PHOTO, "._a.png": b"mac"},
        ),
        {"objects": {"a.png: object 1": (140, 0)}},
    ),
    (
        "a_mask.png",
        lambda root: masks(
            root, {"a_mask.png": BOX, "b-seg.png": BOX}, {"a.jpg": PHOTO, "b.jpg": PHOTO}
        ),
        {"objects": {"a.jpg: object 1": (140, 0), "b.jpg: object 1": (140, 0)}},
    ),
    (
        "a_mask.png beside a.png",
        lambda root: masks(root, {"a_mask.png": BOX, "a.png": TWO}, {"a.jpg": PHOTO}),
        {
            "objects": {"a.jpg: object 1": (140, 0), "a.jpg: object 2": (48, 0)},
            "left_out": ["masks in masks/ without an image: 1 (a_mask.png)"],
        },
    ),
    (
        "a_mask.png beside a_gt.png",
        lambda root: masks(root, {"a_mask.png": BOX, "a_gt.png": TWO}, {"a.jpg": PHOTO}),
        "error: a_gt.png and a_mask.png may both be the mask of a; keep one in ROOT/masks",
    ),
    (
        "a.jpg.png",
        lambda root: masks(root, {"a.jpg.png": BOX}, {"a.jpg": PHOTO}),
        {"objects": {"a.jpg: object 1": (140, 0)}},
    ),
    (
        "case",
        lambda root: masks(root, {"img_A.PNG": BOX}, {"IMG_a.JPG": PHOTO}),
        {"objects": {"IMG_a.JPG: object 1": (140, 0)}},
    ),
    (
        "composed and decomposed",
        lambda root: masks(root, {unicodedata.normalize("NFD", "é.png"): BOX}, {"é.jpg": PHOTO})[
            "objects"
        ],
        {"é.jpg: object 1": (140, 0)},
    ),
    (
        "other files",
        lambda root: masks(
            root, {"a.png": BOX, "notes.txt": b"", "b.png": BOX}, {"a.png": PHOTO, "c.csv": b""}
        ),
        {
            "objects": {"a.png: object 1": (140, 0)},
            "left_out": [
                "files in images/ that are no images by their suffix: 1 (c.csv)",
                "files in masks/ that are no images by their suffix: 1 (notes.txt)",
                "masks in masks/ without an image: 1 (b.png)",
            ],
        },
    ),
    (
        "a photo without a mask",
        lambda root: masks(root, {"a.png": BOX}, {"a.png": PHOTO, "b.png": PHOTO}),
        {
            "objects": {"a.png: object 1": (140, 0)},
            "problems": ["ROOT/images/b.png has no mask in ROOT/masks"],
        },
    ),
    (
        "a photo without a mask, in a set that is annotated in part",
        lambda root: masks(root, {"a.png": BOX}, {"a.png": PHOTO, "b.png": PHOTO}, partly=True),
        {
            "objects": {"a.png: object 1": (140, 0)},
            "left_out": ["photos in images/ without a mask in masks/: 1 (b.png)"],
        },
    ),
    (
        "folders below",
        lambda root: masks(
            root, {"a.png": BOX, "more/b.png": BOX}, {"a.png": PHOTO, "more/b.png": PHOTO}
        ),
        {
            "objects": {"a.png: object 1": (140, 0)},
            "left_out": [
                "folders in images/, which data.nested=true reads: 1 (more)",
                "folders in masks/, which data.nested=true reads: 1 (more)",
            ],
        },
    ),
    (
        "nested",
        lambda root: masks(
            root,
            {"a.png": BOX, "more/a.png": TWO},
            {"a.png": PHOTO, "more/a.png": PHOTO},
            nested=True,
        ),
        {
            "objects": {
                "a.png: object 1": (140, 0),
                "more/a.png: object 1": (140, 0),
                "more/a.png: object 2": (48, 0),
            }
        },
    ),
    (
        "two of one name",
        lambda root: masks(root, {"a.png": BOX, "a.tif": BOX}, {"a.jpg": PHOTO}),
        "error: a.png and a.tif in ROOT/masks share a stem; masks are matched by stem, keep one",
    ),
    (
        "no pair",
        lambda root: masks(root, {"b.png": BOX}, {"a.jpg": PHOTO}),
        "error: no file of ROOT/masks has the stem of an image in ROOT/images; "
        "masks are named like their images",
    ),
    (
        "no split",
        lambda root: split_of(root, "test"),
        ["0.png", "1.png", "2.png", "3.png", "4.png"],
    ),
    (
        "split, training",
        lambda root: split_of(root, "train", split=[0.6, 0.4]),
        ["1.png", "2.png", "4.png"],
    ),
    ("split, test", lambda root: split_of(root, "test", split=[0.6, 0.4]), ["0.png", "3.png"]),
    (
        "split, an empty part",
        lambda root: split_of(root, "test", split=[0.95, 0.05]),
        "error: data.split=[0.95, 0.05] of 5 images leaves none for test; "
        "give other shares, or more images",
    ),
    (
        "split, no shares",
        lambda root: split_of(root, "test", split=0.8),
        "error: split is 0.8; give two or three shares that sum to 1, e.g. data.split=[0.8,0.2]",
    ),
]


CLASSES = [
    ("class numbers", lambda root: classes(root, VOID, BOX), [[0, 1, 2, 255], [0, 1]]),
    (
        "0/255 alone",
        lambda root: classes(root, BOX * 255, BOX * 255, count=2),
        "error: the masks in ROOT/masks hold class 0 alone; an object drawn as 255 is ignored: "
        "draw it as 1",
    ),
    (
        "a value that is no class",
        lambda root: classes(root, TWO, BOX * 7),
        "error: ROOT/masks/1.png has the value 7; "
        "classes are 0 to 2 (data.classes=3), 255 is ignored",
    ),
    (
        "one class alone",
        lambda root: classes(root, BOX * 0, BOX * 0),
        "error: the masks in ROOT/masks hold class 0 alone; number the classes from 0",
    ),
    (
        "classes as colours",
        lambda root: classes(root, coloured(TWO, (0, 0, 0), RED, BLUE)),
        "error: ROOT/masks/0.png is drawn in 3 colours; "
        "save ids or classes in grey (a folder of masks with an object a colour: "
        "data.kind=colours)",
    ),
    ("classes as colours of equal channels", lambda root: classes(root, grey(TWO)), [[0, 1, 2]]),
    (
        "classes and alpha",
        lambda root: classes(root, np.dstack([TWO, HOLED])),
        "error: ROOT/masks/0.png has transparent parts (alpha from 0), which have no label; "
        "save the mask without alpha",
    ),
    (
        "another size",
        lambda root: classes(root, TWO[1:]),
        "error: ROOT/masks/0.png is 23 x 32, its image 24 x 32; a mask has its image's size",
    ),
]


@pytest.mark.parametrize(("name", "maker", "expected"), [*NAMES, *CLASSES])
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
