"""Photos of two sets, found in other sizes, files and lights; others are not taken for them."""

from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.check import check_data
from datamodules.duplicates import ALIKE, BITS, fingerprint, nearest_pairs
from datamodules.folder import FolderDataModule
from datamodules.joined import JoinedDataModule
from interseg.errors import InputError
from tests.helpers.drawing import draw_folder, write

PHOTOS = Path(str(files("skimage") / "data"))


def photo(name):
    return cv2.imread(str(PHOTOS / name))[..., ::-1].copy()


def jpeg(image, quality):
    return cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


VERSIONS = {
    "same": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "stretched": lambda image: cv2.resize(image, (480, 480), interpolation=cv2.INTER_AREA),
    "small JPEG": lambda image: jpeg(
        cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA), 40
    ),
    "brighter": lambda image: (image * 1.3).clip(0, 255).astype(np.uint8),
    "grey": lambda image: np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1),
    "cut": lambda image: image[
        len(image) // 50 : -(len(image) // 50), image.shape[1] // 50 : -(image.shape[1] // 50)
    ],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_a_photo_are_alike_and_other_photos_are_not(version):
    names = ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png"]
    first = {name: fingerprint(photo(name)) for name in names}
    second = {f"copy of {name}": fingerprint(VERSIONS[version](photo(name))) for name in names}
    pairs = nearest_pairs(first, second)
    assert {pair.first: pair.second for pair in pairs} == {
        name: f"copy of {name}" for name in names
    }
    assert all(pair.distance <= ALIKE for pair in pairs)
    assert (pairs[0].distance == 0) or version not in ("same", "mirrored")
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)
    for name in names:
        others = {key: value for key, value in second.items() if key != f"copy of {name}"}
        (nearest,) = nearest_pairs({name: first[name]}, others)
        assert nearest.distance > ALIKE


def test_distances_are_those_of_the_bits():
    rng = np.random.default_rng(0)
    prints = [fingerprint(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)) for _ in range(7)]
    first, second = (
        {f"{name}{i}": prints[i] for i in part}
        for name, part in (("a", (0, 1, 2)), ("b", (3, 4, 5, 6)))
    )

    def apart(a, b):
        return sum(bin(int(x) ^ int(y)).count("1") for x, y in zip(a, b, strict=True))

    for distance, a, b in nearest_pairs(first, second):
        straight = first[a].straight
        expected = {
            name: min(apart(straight, view) for view in other) for name, other in second.items()
        }
        assert distance == min(expected.values()) == expected[b] < BITS


@pytest.fixture
def sets(tmp_path):
    """Put a photo of the test set into one of two training sets, mirrored and in another size."""
    draw_folder(tmp_path / "drawn", 2)
    for number, name in enumerate(("chelsea.png", "rocket.jpg")):
        for place, image in (
            ("photos", photo(name)),
            ("held", photo(("coffee.png", "chelsea.png")[number])),
        ):
            image = (
                cv2.resize(image[:, ::-1], (200, 160), interpolation=cv2.INTER_AREA)
                if place == "held"
                else image
            )
            mask = np.zeros(image.shape[:2], np.uint8)
            mask[40:90, 50:150] = 1
            write(tmp_path / place / "images" / f"{number}.png", image)
            write(tmp_path / place / "masks" / f"{number}.png", mask)
    return tmp_path


def joined(sets, **options):
    parts = {name: FolderDataModule(str(sets / name)) for name in ("drawn", "photos", "held")}
    return JoinedDataModule(parts, train=["drawn", "photos"], evaluate=["held"], **options)


def test_a_look_at_the_data_names_and_shows_them(sets):
    found = check_data(joined(sets))
    assert "photos of train that look like one of val: 1 (photos/0.png like 1.png)" in found.notes
    (beside,) = [part for part in found.parts if part.name == "train beside val"]
    assert beside.facts["photos in both"].startswith("1: the nearest differ in ")
    assert [picture.name for picture in beside.pictures[:2]] == [
        "train: photos/0.png",
        "val: 1.png",
    ]
    assert beside.pictures[0].image.shape == photo("chelsea.png").shape
    assert beside.pictures[0].mask.sum() == 50 * 100


def test_they_can_be_left_out_by_name(sets):
    data = joined(sets, without={"photos": ["0.png"]})
    assert not [note for note in check_data(data).notes if "look like" in note]
    assert data.names("train") == [*joined(sets).names("train")[:4], "photos/1.png: object 1"]
    assert "photos: images that data.without names: 1 (0.png)" in data.left_out
    assert len(data.objects("test")) == 2
    with pytest.raises(
        InputError,
        match=r"data.without.photos names '7.png'; photos has 2 images, the first is 0.png",
    ):
        joined(sets, without={"photos": ["7.png"]}).objects("train")
    with pytest.raises(InputError, match=r"data.without names 'foto'; did you mean photos\?"):
        joined(sets, without={"foto": ["0.png"]})
