"""What a mask is taken for, by its own values and beside others."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from datamodules.mask_kinds import Found, is_smeared, kind_of, labels_of, object_ids, settle
from tests.helpers.drawing import draw


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer)).astype(np.int32)


def object_mask(seed, height=72, width=96):
    return ((draw(seed, height, width)[1] > 0) * 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("size", [(72, 96), (300, 400)])
def test_a_jpeg_of_an_object_is_soft_and_cut_at_half_near_the_object(seed, quality, size):
    truth = object_mask(seed, *size)
    found = jpeg(truth, quality)
    assert kind_of(found, lossy=True) == (
        "soft" if np.setdiff1d(found, (0, 255)).size else "binary"
    )
    labels, ignored = labels_of(found, "soft")
    assert ignored is None
    assert (labels != truth // 255).mean() < 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "smooth",
    [
        lambda m: cv2.GaussianBlur(m, (5, 5), 0),
        lambda m: cv2.resize(m, (64, 48), interpolation=cv2.INTER_AREA),
    ],
)
def test_anti_aliased_edges_are_soft(seed, smooth):
    assert kind_of(smooth(object_mask(seed)).astype(np.int32)) == "soft"


def nuclei(count=150, seed=0):
    """Small discs of two to five pixels' radius, an id each."""
    rng, ids = np.random.default_rng(seed), np.zeros((256, 256), np.int32)
    for id in range(1, count + 1):
        cv2.circle(
            ids, (int(rng.integers(256)), int(rng.integers(256))), int(rng.integers(2, 6)), id, -1
        )
    return ids


def voided(ids):
    """Ids with ignored pixels of 255 round them, as in VOC."""
    edge = cv2.dilate((ids > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.where(edge & (ids == 0), 255, ids)


@pytest.mark.parametrize(
    "labels",
    [
        nuclei(),
        voided(nuclei(40)),
        voided(draw(0)[1].astype(np.int32)),
        np.where(draw(0)[1] > 0, draw(0)[1], 255).astype(np.int32),
        np.arange(1, 33).repeat(8).reshape(1, -1).repeat(20, 0).astype(np.int32),
        np.where(draw(0)[1] == 0, 0, 239 + draw(0)[1]).astype(np.int32),
    ],
)
def test_ids_stay_ids_be_they_many_small_or_beside_255(labels):
    assert kind_of(labels) == "ids"


def test_thin_ids_with_255_are_no_soft_mask():
    ids = np.zeros((40, 40), np.int32)
    ids[10:30] = 255
    ids[5], ids[35] = 1, 2
    assert kind_of(ids) == "ids"


@pytest.mark.parametrize(
    "labels",
    [
        np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.int32),
        cv2.GaussianBlur(object_mask(0), (61, 61), 0).astype(np.int32) // 2,
        cv2.GaussianBlur((draw(0, 200, 300)[1] * 100).astype(np.uint8), (5, 5), 0).astype(np.int32),
    ],
    ids=["noise", "probabilities", "soft ids"],
)
def test_values_without_areas_are_no_ids(labels):
    assert kind_of(labels) == "unclear"


def test_a_jpeg_keeps_no_ids():
    found = jpeg(draw(0)[1] * 60, 90)
    assert kind_of(found, lossy=True) == "unclear"
    assert is_smeared(found, lossy=True)
    assert not is_smeared(draw(0)[1].astype(np.int32), lossy=False)


def found(*values, kind=None):
    labels = np.array([values], np.int32)
    return Found(frozenset(values), kind or kind_of(labels))


def test_what_is_odd_is_named_and_its_neighbours_go_on():
    files = {
        "ids": found(0, 3, 7, 255),
        "one": found(0, 1),
        "white": found(0, 255),
        "grey": found(0, 128, 255),
        "none": found(0),
    }
    kinds, odd = settle(files)
    assert kinds == {"ids": "ids", "one": "binary", "none": "empty"}
    assert odd.keys() == {"white", "grey"}
    del files["ids"]
    assert settle(files) == (
        {"one": "binary", "white": "binary", "grey": "trimap", "none": "empty"},
        {},
    )
    files["ids"] = found(0, 3, 7)
    assert settle(files)[1].keys() == {"grey"}
    _, odd = settle({"white": found(0, 255), "half": found(0, 128)})
    assert odd == {
        "half": "has 0 and 128 alone: ignored, or an object; "
        "give data.kind=trimap or binary, or draw the object as 255"
    }


@pytest.mark.parametrize(
    ("values", "kind", "background", "ids"),
    [
        ({0, 1}, "binary", 0, [1]),
        ({0}, "binary", 0, []),
        ({0, 3, 255}, "ids", 0, [3]),
        ({0, 3, 300}, "ids", 0, [3, 300]),
        ({0, 128}, "trimap", 0, []),
        ({0, 128, 255}, "trimap", 0, [1]),
        ({0, 127}, "soft", 0, []),
        ({0, 128}, "soft", 0, [1]),
        ({0, 255, 65280}, "colours", 255, [65280, 2**24]),
    ],
)
def test_objects_of_each_kind(values, kind, background, ids):
    assert object_ids(frozenset(values), kind, background) == ids
    labels, ignored = labels_of(np.array([sorted(values)], np.int32), kind, background)
    assert sorted(set(labels[0].tolist()) - {0, ignored}) == ids
