"""Photos: turned as a viewer turns them, and scaled to 8 bits.

The table of files is tests/datamodules/test_photos_people_have.py.
"""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from interseg import images
from interseg.depth import to_bytes
from interseg.errors import InputError
from interseg.images import Size, image_header, image_size, read_image, turn
from interseg.labels import read_labels
from tests.helpers.drawing import draw

PHOTO, _ = draw(0)


def save(path, pixels, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


def test_the_machines_trouble_is_not_the_files(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", PHOTO, 1)
    failure: list[BaseException] = [OSError(errno.EMFILE, "Too many open files"), MemoryError()]

    def fail(*_, **__):
        raise failure[0]

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(InputError, match=r"a.png cannot be read \(Too many open files\)"):
        read_image(path)
    failure.pop(0)
    with pytest.raises(InputError, match=r"a.png is too large for this machine's memory"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_pillow_turns_it(orientation, tmp_path):
    path = save(tmp_path / "a.png", PHOTO, orientation)
    with Image.open(path) as file:
        expected = np.array(ImageOps.exif_transpose(file))
    assert np.array_equal(turn(PHOTO, orientation), expected)
    assert np.array_equal(read_image(path), expected)
    assert image_size(path) == (72, 96, orientation)
    assert image_size(path).upright == expected.shape[:2]
    assert image_size(path).stored == PHOTO.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [True, False])
def test_the_size_of_a_mask_says_whether_its_photo_is_turned(orientation, upright, tmp_path):
    path = save(tmp_path / "a.jpg", PHOTO, orientation)
    stored, shown = read_image(path, upright=False), read_image(path)
    swaps = orientation in (5, 6, 7, 8)
    assert np.array_equal(
        read_image(path, (72, 96), upright), shown if upright and not swaps else stored
    )
    assert np.array_equal(
        read_image(path, (96, 72), upright), shown if swaps or upright else stored
    )


def test_a_square_photo_fits_both_ways_and_a_foreign_size_says_nothing():
    assert Size(9, 9, 6).ambiguous
    assert not Size(9, 8, 6).ambiguous
    assert Size(9, 8, 3).ambiguous
    assert not Size(9, 9, 1).ambiguous
    for upright in (True, False):
        assert Size(9, 9, 6).turns((9, 9), upright) is upright
        assert Size(9, 8, 6).turns((5, 5), upright) is upright
        assert Size(9, 8, 6).turns((9, 8), upright) is False
        assert Size(9, 8, 6).turns((8, 9), upright) is True


def test_tiffs_are_turned_once(tmp_path):
    path = save(tmp_path / "a.tif", PHOTO, 6)
    assert image_size(path) == (96, 72, 1)
    assert np.array_equal(read_image(path), np.rot90(PHOTO, -1))
    assert np.array_equal(read_image(path, (96, 72)), np.rot90(PHOTO, -1))


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    content = save(tmp_path / "a.png", PHOTO, 6).read_bytes()
    at = content.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(content[at : at + 4], "big")
    (tmp_path / "b.png").write_bytes(
        content[:at] + content[end:-12] + content[at:end] + content[-12:]
    )
    assert image_size(tmp_path / "b.png").orientation == 6
    assert np.array_equal(read_image(tmp_path / "b.png"), read_image(tmp_path / "a.png"))


def test_a_header_is_read_without_decoding(tmp_path, monkeypatch):
    paths = [save(tmp_path / name, PHOTO, 1) for name in ("a.png", "a.jpg", "a.tif")]
    decoded = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda file: decoded.append(file))
    assert [image_header(path) for path in paths] == [(Size(72, 96), False)] * 3
    assert not decoded


def test_sides_of_more_pixels_than_coordinates_have_are_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", PHOTO, 1)
    monkeypatch.setattr(images, "LARGEST_SIDE", 95)
    with pytest.raises(InputError, match=r"a\.png is 72 x 96 pixels; sides of at most 95 are read"):
        read_image(path)


@pytest.mark.parametrize(
    ("values", "declared", "expected"),
    [
        (np.array([0, 255, 256, 65535], np.uint16), None, [0, 0, 1, 255]),
        (np.array([0, 16, 4095], np.uint16), None, [0, 1, 255]),
        (np.array([0, 16, 4095], np.uint16), 14, [0, 0, 63]),
        (np.array([0, 16, 4095], np.uint16), 10, [0, 1, 255]),
        (np.array([0, 16, 4095], np.uint16), 16, [0, 1, 255]),
        (np.array([0, 7, 255], np.int32), None, [0, 7, 255]),
        (np.array([0, 7, 255], np.float32), None, [0, 7, 255]),
        (np.array([0, 0.5, 1], np.float32), None, [0, 128, 255]),
        (np.array([0, 0.25, 0.5], np.float32), None, [0, 64, 128]),
        (np.array([-1, 0, 1.0]), None, [0, 128, 255]),
        (np.array([0, 1.5, 3.0]), None, [0, 128, 255]),
        (np.array([0, 70000, 140000], np.int32), None, [0, 128, 255]),
        (np.array([3.5, 3.5]), None, [0, 0]),
        (np.array([0, 0], np.uint16), None, [0, 0]),
    ],
)
def test_values_are_scaled_by_what_is_declared_or_held(values, declared, expected, tmp_path):
    scaled = to_bytes(values, declared, tmp_path)
    assert scaled.dtype == np.uint8
    assert scaled.tolist() == expected


def test_a_hot_pixel_darkens_no_photo():
    values = np.random.default_rng(0).integers(100, 800, (50, 60)).astype(np.uint16)
    expected = to_bytes(values, None, Path("a.tif"))
    values[7, 9] = 65535
    found = to_bytes(values, None, Path("a.tif"))
    assert found[7, 9] == 255
    found[7, 9] = expected[7, 9]
    assert np.array_equal(found, expected)
    declared = to_bytes(values, 12, Path("a.tif"))
    assert declared[7, 9] == 255
    assert to_bytes(np.full((4, 5), 65535, np.uint16), None, Path("a.tif")).min() == 255


def test_infinite_values_are_counted(tmp_path):
    with pytest.raises(InputError, match=r"has 2 pixels of NaN or infinity"):
        to_bytes(np.array([0, np.inf, np.nan]), None, tmp_path)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_a_turned_tiff_is_read_whether_it_is_compressed_or_not(orientation, compression, tmp_path):
    stored = np.arange(24, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "a.tif"
    Image.fromarray(stored).save(path, exif=exif, compression=compression)
    expected = turn(stored, orientation)
    assert image_size(path).upright == (6, 4)
    assert np.array_equal(read_image(path)[..., 0], expected)
    assert np.array_equal(read_labels(path), expected)


@pytest.mark.parametrize("colours", ["drawn", "any"])
def test_a_palette_of_black_and_white_is_read_by_its_colours(colours, tmp_path):
    object = np.zeros((24, 32), bool)
    object[4:14, 6:20] = True
    white_first = [255, 255, 255, 0, 0, 0]
    for palette, indices in (
        (white_first, ~object),
        (white_first[::-1], object),
    ):
        file = Image.fromarray(indices.astype(np.uint8))
        file.putpalette(palette)
        file.save(tmp_path / "a.png")
        assert np.array_equal(read_labels(tmp_path / "a.png", colours) > 0, object)
        assert np.array_equal(read_labels(tmp_path / "a.png"), indices), "classes are indices"
    nothing = Image.fromarray(np.ones((24, 32), np.uint8))
    nothing.putpalette(white_first)
    nothing.save(tmp_path / "b.png")
    assert not read_labels(tmp_path / "b.png", colours).any()


@pytest.mark.parametrize("colours", ["refuse", "drawn"])
def test_a_palette_of_colours_is_read_by_its_indices(colours, tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    file = Image.fromarray(labels)
    for first, second in ((255, 0), (0, 255)):
        file.putpalette([first] * 3 + [second] * 3 + [200, 10, 10])
        file.save(tmp_path / "a.png")
        assert np.array_equal(read_labels(tmp_path / "a.png", colours), labels)
    one = Image.fromarray(np.minimum(labels, 1))
    one.putpalette([0, 0, 0, 255, 255, 255, 200, 10, 10])
    one.save(tmp_path / "b.png")
    assert read_labels(tmp_path / "b.png", colours).max() == 1, "ids may have these colours"
