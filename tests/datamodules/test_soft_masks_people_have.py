"""Mask files without clear edges: an object cut at half, or the line that says what is wrong."""

import pytest

from tests.helpers.people import BOX, PHOTO, SOFT, TWO, masks, outcome

FRINGED = {"quality": 60}


MASKS = [
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
]


@pytest.mark.parametrize(("name", "maker", "expected"), MASKS)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
