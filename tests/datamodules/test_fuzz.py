"""Readers of 2,000 damaged files end in a right array or in `InputError`, and in nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from datamodules.coco_source import CocoSource
from datamodules.instances import read_instances
from datamodules.volume_files import read_volume
from interseg.errors import InputError
from interseg.images import read_image
from interseg.labels import read_labels
from tests.helpers.people import PHOTO, POLYGON, TWO, VOXELS, H, W, save


def steady(examples: int) -> settings:
    """The same examples in every run, none kept on the disk."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=checks,
    )


def image_of(path: Path) -> np.ndarray:
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return pixels


def labels_of(path: Path) -> np.ndarray:
    labels = read_instances(path) if path.suffix == ".mat" else read_labels(path)
    assert labels.dtype == np.int32
    assert labels.ndim == 2
    assert labels.min() >= 0
    return labels


def voxels_of(path: Path) -> np.ndarray:
    image = read_volume(path)
    assert image.GetDimension() == 3
    return SimpleITK.GetArrayFromImage(image)


def array_or_line(read: Callable[[], Any]) -> Any:
    """What is read, or the line of the `InputError` that says why not."""
    try:
        return read()
    except InputError as error:
        return str(error)


def write_real(path: Path) -> None:
    """A whole file of a format."""
    if path.name.endswith((".nii", ".nii.gz", ".nrrd", ".mha")):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS[:3]), str(path))
    elif path.suffix == ".mat":
        savemat(path, {"GTinst": {"Segmentation": TWO}}, do_compression=True)
    else:
        save(path, PHOTO if path.stem == "photo" else TWO)


@st.composite
def damaged(draw: Any, content: bytes) -> tuple[bytes, bool]:
    """Damage bytes: cut, flip or overwrite them; tell whether the result is their beginning."""
    how = draw(st.sampled_from(["cut", "flip", "overwrite", "tail", "random"]))
    place = draw(st.integers(0, len(content) - 1))
    if how == "cut":
        return content[:place], True
    if how == "flip":
        changed = bytearray(content)
        for bit in draw(st.lists(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=4)):
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed), False
    junk = draw(st.binary(max_size=64))
    if how == "overwrite":
        return content[:place] + junk + content[place + len(junk) :], False
    return (content[:place] if how == "tail" else b"") + junk, False


FORMATS = [
    ("photo.png", image_of, 180),
    ("photo.jpg", image_of, 180),
    ("photo.tif", image_of, 180),
    ("photo.gif", image_of, 80),
    ("mask.png", labels_of, 180),
    ("mask.tif", labels_of, 180),
    ("mask.npy", labels_of, 180),
    ("mask.mat", labels_of, 180),
    ("volume.nii", voxels_of, 120),
    ("volume.nii.gz", voxels_of, 120),
    ("volume.nrrd", voxels_of, 120),
    ("volume.mha", voxels_of, 120),
]


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning"
)  # Pillow warns of what it then refuses
@pytest.mark.parametrize(("name", "read", "examples"), FORMATS, ids=[row[0] for row in FORMATS])
def test_a_damaged_file_gives_a_right_array_or_an_input_error(name, read, examples, tmp_path):
    path = tmp_path / name
    write_real(path)
    content, truth = path.read_bytes(), read(path)
    outcomes = {"read": 0, "refused": 0}

    @steady(examples)
    @given(damaged(content))
    def check(damage):
        changed, cut = damage
        path.write_bytes(changed)
        found = array_or_line(lambda: read(path))
        outcomes["refused" if isinstance(found, str) else "read"] += 1
        if isinstance(found, str):
            assert str(path) in found
            assert "\n" not in found
        elif cut:
            assert np.array_equal(found, truth), "what was cut short is whole or refused"

    check()
    assert outcomes["refused"] > examples // 10


CONTENT = {
    "images": [
        {"id": 1, "file_name": "a.png", "height": H, "width": W},
        {"id": 2, "file_name": "b.png", "height": H, "width": W},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "area": 140,
            "segmentation": POLYGON,
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "iscrowd": 0,
            "area": 3,
            "segmentation": {"size": [H, W], "counts": [4, 3, H * W - 7]},
        },
        {
            "id": 3,
            "image_id": 2,
            "category_id": 1,
            "iscrowd": 1,
            "area": 9,
            "segmentation": {"size": [H, W], "counts": "X12O10000O1"},
        },
    ],
    "categories": [{"id": 1, "name": "thing"}, {"id": 2, "name": "stuff"}],
}
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 40)
    | st.floats()
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a JSON."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def edited(content: Any, place: tuple[Any, ...], value: Any, *, remove: bool) -> Any:
    """A JSON with one value replaced, or removed."""
    if not place:
        return value
    changed = dict(content) if isinstance(content, dict) else list(content)
    if remove and len(place) == 1:
        del changed[place[0]]
    else:
        changed[place[0]] = edited(changed[place[0]], place[1:], value, remove=remove)
    return changed


@steady(400)
@given(st.data())
def test_an_edited_coco_file_gives_right_masks_or_an_input_error(tmp_path_factory, data):
    content: Any = CONTENT
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places(content)))
        content = edited(content, place, data.draw(VALUES), remove=data.draw(st.booleans()))
    root = tmp_path_factory.getbasetemp() / "coco"
    if not root.exists():
        save(root / "a.png", PHOTO)
        save(root / "b.png", PHOTO)
    (root / "a.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        source = CocoSource(root / "a.json", root)
    except InputError:
        return
    assert all("\n" not in line for line in source.problems)
    for index in range(len(source)):
        assert source.size(index) == (H, W) or source.size(index) != PHOTO.shape[:2]
        sample = array_or_line(lambda index=index: source.read(index))
        if isinstance(sample, str):
            assert str(root) in sample
            continue
        assert sample.image.shape == (H, W, 3)
        assert sample.mask.shape == (H, W)
        assert sample.mask.any()


@steady(100)
@given(
    st.binary(max_size=200)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_a_coco_file_or_an_input_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"any\.json"):
        CocoSource(path, path.parent)
