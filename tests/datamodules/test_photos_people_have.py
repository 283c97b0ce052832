"""Photos as people have them: the right pixels, or the exact line that says what is wrong."""

import zlib

import numpy as np
import PIL
import pytest
from PIL import Image

from datamodules.folder_source import FolderSource
from interseg.images import read_image
from tests.helpers.people import (
    BLUE,
    BOX,
    PHOTO,
    RED,
    TWO,
    H,
    W,
    coloured,
    grey,
    masks,
    outcome,
    photo,
    save,
)

MEDIUM = (np.arange(H * W).reshape(H, W) * 5 + 100).astype(np.uint16)
"""Grey values to 3,935, as a sensor of 12 bits gives them."""


FULL = (np.arange(H * W).reshape(H, W) * 80).astype(np.uint16)
"""Grey values to 61,360."""


DEEP = np.stack([MEDIUM, MEDIUM // 2, MEDIUM // 4], -1)


def same(read, expected):
    return bool(read.dtype == np.uint8 and np.array_equal(read, expected))


def near(read, expected, distance=3):
    return bool(np.abs(read.astype(int) - expected).mean() < distance)


def frames(root, name, count, **options):
    pictures = [Image.fromarray(np.full((H, W), 40 * n, np.uint8)) for n in range(1, count + 1)]
    pictures[0].save(root / name, save_all=True, append_images=pictures[1:], **options)
    return read_image(root / name)[0, 0].tolist()


def bytes_of(root, name, pixels, keep, **options):
    path = save(root / name, pixels, **options)
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * keep)])
    return read_image(path)[0, 0].tolist()


def huge(root):
    header = (
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    )
    (root / "a.png").write_bytes(
        header + zlib.crc32(header[12:]).to_bytes(4, "big") + b"\0\0\0\0IDAT" + b"\0\0\0\0IEND"
    )
    return read_image(root / "a.png")


def turned(root, orientation, mask, others=()):
    """Write a photo with an EXIF orientation and its mask; check that both fit each other."""
    upright = np.where(TWO[..., None] > 0, np.uint8(255), np.uint8(0)).repeat(3, -1)
    stored = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright), 8: np.rot90(upright, -1)}
    photos, files = {}, {}
    for name, number, how in (("a", orientation, mask), *others):
        photos[f"{name}.png"] = (np.ascontiguousarray(stored[number]), {"orientation": number})
        files[f"{name}.png"] = np.ascontiguousarray(
            (upright if how == "upright" else stored[number])[..., 0] // 255
        )
    found = masks(root, files, photos)
    source = FolderSource(root / "images", root / "masks")
    lies = all(
        np.array_equal(sample.image[..., 0] > 0, sample.mask > 0)
        for sample in map(source.read, range(len(source)))
    )
    return lies, found.get("notes", [])


YCBCR = ("YCbCr", lambda root: near(photo(root, "a.tif", PHOTO, "YCbCr"), PHOTO), True)
PHOTOS = [
    ("colours", lambda root: same(photo(root, "a.png", PHOTO), PHOTO), True),
    ("upper-case suffix", lambda root: same(photo(root, "a.PNG", PHOTO), PHOTO), True),
    ("grey", lambda root: same(photo(root, "a.png", PHOTO[..., 0]), grey(PHOTO[..., 0])), True),
    (
        "grey and alpha",
        lambda root: same(photo(root, "a.png", PHOTO[..., :2]), grey(PHOTO[..., 0])),
        True,
    ),
    (
        "colours and alpha",
        lambda root: same(photo(root, "a.png", np.dstack([PHOTO, PHOTO[..., 0]])), PHOTO),
        True,
    ),
    (
        "palette",
        lambda root: near(photo(root, "a.png", PHOTO // 64 * 64, "P"), PHOTO // 64 * 64, 60),
        True,
    ),
    (
        "palette and alpha",
        lambda root: same(
            photo(root, "a.tif", coloured(BOX, RED, BLUE), "PA"), coloured(BOX, RED, BLUE)
        ),
        True,
    ),
    (
        "black and white",
        lambda root: same(photo(root, "a.png", BOX * 255, "1"), grey(BOX * 255)),
        True,
    ),
    ("CMYK", lambda root: near(photo(root, "a.tif", PHOTO, "CMYK"), PHOTO), True),
    *([YCBCR] if PIL.__version__ >= "13" else []),  # before, Pillow reads no such TIFF
    ("LAB", lambda root: near(photo(root, "a.tif", PHOTO, "LAB"), PHOTO, 30), True),
    ("16 bits", lambda root: same(photo(root, "a.png", FULL), grey(FULL // 256)), True),
    (
        "16 bits, big-endian",
        lambda root: same(photo(root, "a.tif", FULL.astype(">u2")), grey(FULL // 256)),
        True,
    ),
    ("12 bits in 16", lambda root: same(photo(root, "a.png", MEDIUM), grey(MEDIUM // 16)), True),
    (
        "8 bits in 16",
        lambda root: same(
            photo(root, "a.tif", PHOTO[..., 0].astype(np.uint16)), grey(PHOTO[..., 0])
        ),
        True,
    ),
    (
        "14 bits declared",
        lambda root: same(
            photo(root, "a.tif", MEDIUM, tiffinfo={281: 2**14 - 1}), grey(MEDIUM // 64)
        ),
        True,
    ),
    (
        "12 bits in 16, colours",
        lambda root: same(photo(root, "a.png", DEEP), (DEEP // 16).astype(np.uint8)),
        True,
    ),
    (
        "12 bits in 16, colours, TIFF",
        lambda root: same(photo(root, "a.tif", DEEP), (DEEP // 16).astype(np.uint8)),
        True,
    ),
    (
        "fractions",
        lambda root: same(
            photo(root, "a.tif", (PHOTO[..., 0] / 255).astype(np.float32)), grey(PHOTO[..., 0])
        ),
        True,
    ),
    (
        "floating, own range",
        lambda root: near(
            photo(root, "a.tif", (PHOTO[..., 0] / 9 - 7).astype(np.float32)), grey(PHOTO[..., 0]), 1
        ),
        True,
    ),
    (
        "32 bits",
        lambda root: near(
            photo(root, "a.tif", PHOTO[..., 0].astype(np.int32) * 1000), grey(PHOTO[..., 0]), 1
        ),
        True,
    ),
    (
        "NaN",
        lambda root: photo(root, "a.tif", np.full((H, W), np.nan, np.float32)),
        "error: ROOT/a.tif has 768 pixels of NaN or infinity; repair or remove the file",
    ),
    ("GIF of one frame", lambda root: frames(root, "a.gif", 1), [40, 40, 40]),
    (
        "GIF of three frames",
        lambda root: frames(root, "a.gif", 3),
        "error: ROOT/a.gif has 3 frames; save each as a file of its own",
    ),
    (
        "TIFF of three pages",
        lambda root: frames(root, "a.tif", 3),
        "error: ROOT/a.tif has 3 frames; save each as a file of its own",
    ),
    ("MPO, as phones write it", lambda root: frames(root, "a.jpg", 2, format="MPO"), [40, 40, 40]),
    (
        "orientation 6, no mask",
        lambda root: same(photo(root, "a.png", PHOTO, orientation=6), np.rot90(PHOTO, -1)),
        True,
    ),
    (
        "orientation 5, no mask",
        lambda root: same(photo(root, "a.png", PHOTO, orientation=5), PHOTO.swapaxes(0, 1)),
        True,
    ),
    (
        "above Pillow's limit",
        huge,
        "error: ROOT/a.png is too large (Image size (3600000000 pixels) exceeds limit of "
        "178956970 pixels, could be decompression bomb DOS attack.); reduce or cut it",
    ),
    (
        "JPEG cut short",
        lambda root: bytes_of(root, "a.jpg", PHOTO, 0.6),
        "error: ROOT/a.jpg cannot be read as an image (image file is truncated (47 bytes not "
        "processed)); replace or remove the file",
    ),
    (
        "PNG cut short",
        lambda root: bytes_of(root, "a.png", PHOTO, 0.6),
        "error: ROOT/a.png cannot be read as an image (image file is truncated); "
        "replace or remove the file",
    ),
    (
        "PNG of 16 bits cut short",
        lambda root: bytes_of(root, "a.png", DEEP, 0.6),
        "error: ROOT/a.png cannot be read as an image (image file is truncated); "
        "replace or remove the file",
    ),
    (
        "empty file",
        lambda root: bytes_of(root, "a.jpg", PHOTO, 0),
        "error: ROOT/a.jpg cannot be read as an image (it is in no known format); "
        "replace or remove the file",
    ),
    ("missing file", lambda root: read_image(root / "a.jpg"), "error: ROOT/a.jpg does not exist"),
]


TURNS = [
    (
        "orientation 3, mask upright",
        lambda root: turned(root, 3, "upright"),
        (
            True,
            [
                "photos whose EXIF orientation fits their masks both ways, read upright, "
                "as viewers show them: 1 (a.png)"
            ],
        ),
    ),
    ("orientation 6, mask upright", lambda root: turned(root, 6, "upright"), (True, [])),
    ("orientation 6, mask as stored", lambda root: turned(root, 6, "stored"), (True, [])),
    ("orientation 8, mask upright", lambda root: turned(root, 8, "upright"), (True, [])),
    (
        "3 and 6, masks as stored",
        lambda root: turned(root, 3, "stored", [("b", 6, "stored")]),
        (
            True,
            [
                "photos whose EXIF orientation fits their masks both ways, read as stored, "
                "since masks of others are drawn so: 1 (a.png)"
            ],
        ),
    ),
    (
        "3 and 6, masks upright",
        lambda root: turned(root, 3, "upright", [("b", 6, "upright")]),
        (
            True,
            [
                "photos whose EXIF orientation fits their masks both ways, read upright, "
                "as viewers show them: 1 (a.png)"
            ],
        ),
    ),
    (
        "6, mask fits neither",
        lambda root: masks(
            root,
            {"a.png": BOX[1:], "b.png": BOX},
            {"a.png": (PHOTO, {"orientation": 6}), "b.png": PHOTO},
        ),
        {
            "objects": {"b.png: object 1": (140, 0)},
            "problems": [
                "ROOT/masks/a.png is 23 x 32, its image 24 x 32 (EXIF orientation 6); "
                "a mask has its image's size"
            ],
        },
    ),
]


@pytest.mark.parametrize(("name", "maker", "expected"), [*PHOTOS, *TURNS])
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
