"""A table of small files as people have them: the right value, or the exact line that says what is wrong and what to do."""

import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.folder import FolderSource
from datamodules.volume_files import read_volume
from interseg.images import read_image
from tests.helpers.people import (
    BLUE,
    BOX,
    PHOTO,
    RED,
    SOFT,
    TWO,
    H,
    W,
    classes,
    coco,
    coloured,
    masks,
    outcome,
    photo,
    save,
    split_of,
    volume,
    write_series,
)


def rle(mask):
    runs = coco_mask.encode(np.asfortranarray(mask))
    return {"size": runs["size"], "counts": runs["counts"].decode()}


def elsewhere(root):
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile "
        "= ../secret.raw\n"
    )
    (root / "a.mhd").write_text(header)
    return read_volume(root / "a.mhd")


MEDIUM = (np.arange(H * W).reshape(H, W) * 5 + 100).astype(np.uint16)
"""Grey values to 3,935, as a sensor of 12 bits gives them."""
FULL = (np.arange(H * W).reshape(H, W) * 80).astype(np.uint16)
"""Grey values to 61,360."""
DEEP = np.stack([MEDIUM, MEDIUM // 2, MEDIUM // 4], -1)


def grey(pixels):
    return np.repeat(np.asarray(pixels, np.uint8)[..., None], 3, -1)


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
    """A photo with an EXIF orientation, its mask upright or as stored, and whether both lie on each other."""
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


def dicom(root, places=(0, 2, 4, 6, 8, 10), series=None, spoil=None, second=False):
    paths = write_series(root / "case", "1.2.3", "T2", places)
    if second:
        write_series(root / "case", "1.2.4", "ADC", places)
    if spoil is not None:
        content = paths[spoil].read_bytes()
        paths[spoil].write_bytes(content[: len(content) // 2])
    image = read_volume(root / "case", series=series)
    return image.GetSize(), image.GetSpacing()[2]


TRIMAP = np.where(BOX > 0, 255, 0).astype(np.uint8)
TRIMAP[3, :] = 128
VOID = TWO.copy()
VOID[0] = 255
FRINGED = {"quality": 60}
ALPHA = np.full((H, W, 1), 255, np.uint8)
HOLED = np.where(BOX[..., None] > 0, np.uint8(255), np.uint8(0))

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
    ("YCbCr", lambda root: near(photo(root, "a.tif", PHOTO, "YCbCr"), PHOTO), True),
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
                "give data.kind=binary or ids, or draw its id"
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
                "ROOT/masks/a.png has transparent parts (alpha from 0), which are no labels; "
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
                "ROOT/masks/a.png has transparent parts (alpha from 0), which are no labels; "
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
                "give data.kind=colours for an object a colour, or save ids or classes in grey"
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
                "ROOT/masks/a.npy has values that are no whole numbers (float64); "
                "a mask holds ids or classes, no probabilities"
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
                "ROOT/masks/a.tif is stored as CMYK, which holds no labels; "
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
        {"objects": {"a.png: object 1": (140, 0), "a.png: object 2": (48, 0)}},
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
        ["2.png", "3.png", "4.png"],
    ),
    ("split, test", lambda root: split_of(root, "test", split=[0.6, 0.4]), ["0.png", "1.png"]),
    (
        "split, no shares",
        lambda root: split_of(root, "test", split=0.8),
        "error: split is 0.8; give two or three shares that sum to 1, e.g. data.split=[0.8,0.2]",
    ),
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
        "give data.kind=colours for an object a colour, or save ids or classes in grey",
    ),
    ("classes as colours of equal channels", lambda root: classes(root, grey(TWO)), [[0, 1, 2]]),
    (
        "classes and alpha",
        lambda root: classes(root, np.dstack([TWO, HOLED])),
        "error: ROOT/masks/0.png has transparent parts (alpha from 0), which are no labels; "
        "save the mask without alpha",
    ),
    (
        "another size",
        lambda root: classes(root, TWO[1:]),
        "error: ROOT/masks/0.png is 23 x 32, its image 24 x 32; a mask has its image's size",
    ),
]

VOLUMES = [
    ("NIfTI", lambda root: volume(root, "a.nii.gz"), (6, True)),
    (
        "a.nii cut to 0.05",
        lambda root: volume(root, "a.nii", 0.05),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 478; "
        "copy or download it again",
    ),
    (
        "a.nii cut to 0.5",
        lambda root: volume(root, "a.nii", 0.5),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 4784; "
        "copy or download it again",
    ),
    (
        "a.nii cut to 0.999",
        lambda root: volume(root, "a.nii", 0.999),
        "error: ROOT/a.nii is cut short: its voxels need 9568 bytes, it has 9558; "
        "copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.05",
        lambda root: volume(root, "a.nii.gz", 0.05),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.5",
        lambda root: volume(root, "a.nii.gz", 0.5),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.nii.gz cut to 0.999",
        lambda root: volume(root, "a.nii.gz", 0.999),
        "error: ROOT/a.nii.gz cannot be read as a volume, "
        "it is damaged or cut short (Compressed file ended before the end-of-stream marker was "
        "reached); copy or download it again",
    ),
    (
        "a.mha cut to 0.5",
        lambda root: volume(root, "a.mha", 0.5),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "a.mha cut to 0.98",
        lambda root: volume(root, "a.mha", 0.98),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "a.nrrd cut to 0.5",
        lambda root: volume(root, "a.nrrd", 0.5),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 2230 2-sized things, not 4608 (48.3941% of expected)); replace the file",
    ),
    (
        "a.nrrd cut to 0.98",
        lambda root: volume(root, "a.nrrd", 0.98),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 4513 2-sized things, not 4608 (97.9384% of expected)); replace the file",
    ),
    (
        "a.gipl cut to 0.5",
        lambda root: volume(root, "a.gipl", 0.5),
        "error: ROOT/a.gipl is cut short: its voxels need 9472 bytes, it has 4736; "
        "copy or download it again",
    ),
    (
        "a.gipl cut to 0.98",
        lambda root: volume(root, "a.gipl", 0.98),
        "error: ROOT/a.gipl is cut short: its voxels need 9472 bytes, it has 9283; "
        "copy or download it again",
    ),
    (
        "a.vtk cut to 0.5",
        lambda root: volume(root, "a.vtk", 0.5),
        "error: ROOT/a.vtk is cut short: its voxels need 9586 bytes, it has 4793; "
        "copy or download it again",
    ),
    (
        "a.vtk cut to 0.98",
        lambda root: volume(root, "a.vtk", 0.98),
        "error: ROOT/a.vtk is cut short: its voxels need 9586 bytes, it has 9394; "
        "copy or download it again",
    ),
    (
        "a.tif cut to 0.5",
        lambda root: volume(root, "a.tif", 0.5),
        "error: ROOT/a.tif is cut short: it names pictures behind its end; "
        "copy or download it again",
    ),
    (
        "a.tif cut to 0.98",
        lambda root: volume(root, "a.tif", 0.98),
        "error: ROOT/a.tif is cut short: it names pictures behind its end; "
        "copy or download it again",
    ),
    (
        "a.mrc cut to 0.5",
        lambda root: volume(root, "a.mrc", 0.5),
        "error: ROOT/a.mrc is cut short: its voxels need 10240 bytes, it has 5120; "
        "copy or download it again",
    ),
    (
        "a.mrc cut to 0.98",
        lambda root: volume(root, "a.mrc", 0.98),
        "error: ROOT/a.mrc is cut short: its voxels need 10240 bytes, it has 10035; "
        "copy or download it again",
    ),
    (
        "NIfTI pair, voxels cut",
        lambda root: volume(root, "a.hdr", 0.5, "a.img"),
        "error: ROOT/a.hdr is cut short: its voxels need 9216 bytes, it has 4608; "
        "copy or download it again",
    ),
    ("NIfTI pair", lambda root: volume(root, "a.hdr"), (6, True)),
    (
        "MetaImage, voxels cut",
        lambda root: volume(root, "a.mhd", 0.5, "a.raw"),
        "error: ROOT/a.mhd cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "MetaImage, compressed",
        lambda root: volume(root, "a.mha", 0.9, zipped=True),
        "error: ROOT/a.mha cannot be read as a volume (it is damaged or cut short); "
        "replace the file",
    ),
    (
        "NRRD, compressed",
        lambda root: volume(root, "a.nrrd", 0.9, zipped=True),
        "error: ROOT/a.nrrd cannot be read as a volume ([nrrd] _nrrdEncodingGzip_read: "
        "expected 9216 bytes but received 8256); replace the file",
    ),
    (
        "NRRD, voxels cut",
        lambda root: volume(root, "a.nhdr", 0.5, "a.raw"),
        "error: ROOT/a.nhdr cannot be read as a volume ([nrrd] _nrrdEncodingRaw_read: "
        "fread got only 2304 2-sized things, not 4608 (50% of expected)); replace the file",
    ),
    ("GIPL", lambda root: volume(root, "a.gipl"), (6, True)),
    ("VTK", lambda root: volume(root, "a.vtk"), (6, True)),
    (
        "voxels elsewhere",
        elsewhere,
        "error: ROOT/a.mhd names '../secret.raw', which leads out of its folder; "
        "keep the voxels beside it",
    ),
    ("DICOM", dicom, ((32, 24, 6), 2.0)),
    (
        "DICOM, two series",
        lambda root: dicom(root, second=True),
        "error: ROOT/case holds 2 DICOM series: 1.2.3 (T2, 6 slices); 1.2.4 (ADC, 6 slices); "
        "say which by data.series=ID_OR_DESCRIPTION",
    ),
    (
        "DICOM, a series by description",
        lambda root: dicom(root, second=True, series="ADC"),
        ((32, 24, 6), 2.0),
    ),
    (
        "DICOM, a series by id",
        lambda root: dicom(root, second=True, series="1.2.3"),
        ((32, 24, 6), 2.0),
    ),
    (
        "DICOM, no such series",
        lambda root: dicom(root, second=True, series="T1"),
        "error: ROOT/case holds 2 DICOM series, 0 of them 'T1': 1.2.3 (T2, 6 slices); "
        "1.2.4 (ADC, 6 slices); say which by data.series=ID_OR_DESCRIPTION",
    ),
    (
        "DICOM, a slice cut short",
        lambda root: dicom(root, spoil=2),
        "error: ROOT/case/1.2.3_2.dcm is of no DICOM series, it is damaged or cut short; "
        "copy or download it again, or remove it",
    ),
    (
        "DICOM, the last slice cut short",
        lambda root: dicom(root, spoil=5),
        "error: ROOT/case/1.2.3_5.dcm is of no DICOM series, it is damaged or cut short; "
        "copy or download it again, or remove it",
    ),
    (
        "DICOM, a slice is missing",
        lambda root: dicom(root, places=(0, 2, 6, 8, 10)),
        "error: ROOT/case lacks slices between 2 and 6 mm; copy or download the series again",
    ),
    (
        "DICOM, two volumes in one series",
        lambda root: dicom(root, places=(0, 2, 4, 0, 2, 4)),
        "error: ROOT/case has several slices at 0 mm: it mixes volumes; leave one in the folder",
    ),
    (
        "folder without slices",
        lambda root: read_volume(root),
        "error: ROOT holds no DICOM series; give the folder of its slices",
    ),
]


@pytest.mark.parametrize(
    ("name", "maker", "expected"), [*PHOTOS, *MASKS, *NAMES, *TURNS, *COCO, *CLASSES, *VOLUMES]
)
def test_a_file_gives_its_value_or_the_line_that_says_what_is_wrong(
    name, maker, expected, tmp_path
):
    assert outcome(maker, tmp_path) == expected
