"""COCO entries as people have them: the right objects, or the line that says what is wrong."""

import pytest

from tests.helpers.people import H, W, coco, outcome

CROWDS = "crowds (iscrowd), which are no objects unless data.crowds=true says so"
COCO = [
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
            "problems": [f"ROOT/a.json: all 1 annotations are {CROWDS}"],
            "notes": [
                "entries of ROOT/a.json that cannot be used: 1 (ROOT/a.json: "
                f"all 1 annotations are {CROWDS})"
            ],
            "left_out": [f"{CROWDS}: 1 (1)"],
        },
    ),
    (
        "a crowd beside an object",
        lambda root: coco(root, {}, {"iscrowd": 1}),
        {
            "objects": {"a.png: thing (1)": (140, 0)},
            "left_out": [f"{CROWDS}: 1 (2)"],
        },
    ),
    (
        "masks that CVAT's brush has painted",
        lambda root: coco(root, {}, {"iscrowd": 1}, crowds=True),
        {"objects": {"a.png: thing (1)": (140, 0), "a.png: thing (2)": (140, 0)}},
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
