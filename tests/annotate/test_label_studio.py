"""Label Studio's requests, recorded or as its documentation has them, get the session's masks."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from annotate.interactor import Interactor
from annotate.label_studio import encode_brush, make_backend
from annotate.outlines import polygons
from annotate.server import running
from tests.helpers.annotating import ask, tiny_model
from tests.helpers.drawing import draw, draw_folder, write

RECORDED = json.loads(Path(__file__).with_name("label_studio.json").read_text())
"""Bodies that Label Studio 1.23.2 sent of a project with an uploaded photo, on which its
interactive-annotating API was asked with one keypoint, then with two."""

SIZE = (72, 96)
CONFIG = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="tag" toName="image">
    <Label value="Banana" background="#FF0000"/>
    <Label value="Orange" background="#0d14d3"/>
  </BrushLabels>
  <KeyPointLabels name="tag2" toName="image" smart="true">
    <Label value="Banana" background="#000000" showInline="true"/>
  </KeyPointLabels>
</View>"""
CLICKS = [(30, 40, 1), (10, 80, 0), (50, 20, 1)]


def keypoint(y, x, label, **more):
    """A smart keypoint as Label Studio's page sends it."""
    value = {
        "x": 100 * (x + 0.5) / SIZE[1],
        "y": 100 * (y + 0.5) / SIZE[0],
        "width": 0.3189792663476874,
    }
    value |= {"labels": ["Banana"], "keypointlabels": ["Banana"]}
    sent = {
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": value,
        "is_positive": bool(label),
    }
    return (
        sent
        | {
            "id": "fBWv1t0S2L",
            "from_name": "tag2",
            "to_name": "image",
            "type": "keypointlabels",
            "origin": "manual",
        }
        | more
    )


def request(clicks=CLICKS, image="/data/upload/1/0a1b2c3d-0.png", config=CONFIG, **more):
    """A request of `/predict`."""
    context = {"result": [keypoint(*click) for click in clicks]} | more
    task = {
        "id": 7,
        "data": {"image": image},
        "meta": {},
        "project": 1,
        "annotations": [],
        "predictions": [],
    }
    params = {"login": None, "password": None, "context": context}
    return {"tasks": [task], "project": "1.1699355", "label_config": config, "params": params}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn photos, for all tests of this file."""
    return draw_folder(tmp_path_factory.mktemp("photos"), 1)


@pytest.fixture(scope="module")
def interactor():
    made = Interactor(tiny_model())
    yield made
    made.desk.close()


@pytest.fixture(scope="module")
def address(folder, interactor):
    with running(make_backend(interactor, folder / "images", "v1")) as found:
        yield found


def played(folder, clicks):
    session = tiny_model().session(folder / "images" / "0.png")
    for click in clicks:
        session.click(*click)
    return session


def decoded(rle):
    """Label Studio's run lengths read bit by bit."""
    bits = iter("".join(f"{byte:08b}" for byte in rle))

    def read(count):
        return int("".join(next(bits) for _ in range(count)), 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(values, np.uint8)


def test_a_photo_that_was_replaced_is_answered_as_it_is_now(interactor, tmp_path):
    shutil.copytree(draw_folder(tmp_path / "drawn", 2), tmp_path / "data")
    with running(make_backend(interactor, tmp_path / "data" / "images", "v1")) as address:
        for source in ("0.png", "1.png"):
            shutil.copyfile(
                tmp_path / "drawn" / "images" / source, tmp_path / "data" / "images" / "0.png"
            )
            _, answer = ask(address, "/predict", request())
            (region,) = answer["results"][0]["result"]
            found = decoded(region["value"]["rle"]).reshape(*SIZE, 4)[..., 3] > 0
            assert np.array_equal(found, played(tmp_path / "data", CLICKS).mask)


def test_a_photo_that_came_since_the_start_is_answered(interactor, tmp_path):
    images = draw_folder(tmp_path, 1) / "images"
    with running(make_backend(interactor, images, "v1")) as address:
        assert ask(address, "/predict", request(image="new.png"))[0] == 400
        shutil.copyfile(images / "0.png", images / "new.png")
        assert ask(address, "/predict", request(image="new.png"))[0] == 200


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 40), (150, 200)])
def test_brush_labels_are_read_bit_by_bit_to_the_mask_in_four_channels(size, share):
    mask = np.random.default_rng(3).random(size) < share
    rle = encode_brush(mask)
    assert all(0 <= byte < 256 for byte in rle)
    assert np.array_equal(
        decoded(rle).reshape(*size, 4), np.repeat(mask[..., None] * np.uint8(255), 4, axis=2)
    )


def test_label_studio_gets_the_sessions_masks_as_brush_labels(folder, address):
    assert ask(address, "/health") == (200, {"status": "UP", "model_class": "interseg"})
    setup = {
        "project": "1.1699355",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "abc",
        "extra_params": None,
    }
    assert ask(address, "/setup", setup) == (200, {"model_version": "v1"})
    assert ask(address, "/predict", request([])) == (200, {"results": [], "model_version": "v1"})
    ids = set()
    for count in (1, 2, 3, 2):
        status, answer = ask(address, "/predict", request(CLICKS[:count]))
        session = played(folder, CLICKS[:count])
        (prediction,) = answer["results"]
        (region,) = prediction["result"]
        ids.add(region["id"])
        assert status == 200
        assert (region["from_name"], region["to_name"], region["type"]) == (
            "tag",
            "image",
            "brushlabels",
        )
        assert (region["original_width"], region["original_height"], region["image_rotation"]) == (
            96,
            72,
            0,
        )
        assert (region["value"]["format"], region["value"]["brushlabels"]) == ("rle", ["Banana"])
        assert np.array_equal(
            decoded(region["value"]["rle"]).reshape(*SIZE, 4)[..., 3] > 0, session.mask
        )
        assert prediction["score"] == pytest.approx(session.probabilities[session.mask].mean())
    assert len(ids) == 4, "a region that is accepted takes the place of one with its id"


def test_label_studio_gets_polygons_where_its_config_has_those_alone(folder, address):
    config = CONFIG.replace("BrushLabels", "PolygonLabels")
    _, answer = ask(address, "/predict", request(config=config))
    regions = answer["results"][0]["result"]
    expected = polygons(played(folder, CLICKS).mask, 1.0)
    assert len(regions) == len(expected) > 0
    for region, ring in zip(regions, expected, strict=True):
        assert region["type"] == "polygonlabels"
        assert region["value"]["polygonlabels"] == ["Banana"]
        assert np.allclose(np.array(region["value"]["points"]) * [0.96, 0.72], ring)


def test_what_label_studio_itself_sent_is_answered(interactor, tmp_path):
    image, _ = draw(0, 400, 267)
    write(tmp_path / "my photo 1.png", image)
    (tmp_path / "my photo 1.png").rename(tmp_path / "my photo 1.jpg")
    with running(make_backend(interactor, tmp_path, "v1")) as address:
        agent = {"user-agent": RECORDED["user_agent"]}
        assert ask(address, "/health", headers=agent)[0] == 200
        assert ask(address, "/setup", RECORDED["setup"], agent) == (200, {"model_version": "v1"})
        regions = {"annotations": [{"result": [{"value": {"rle": [0] * 2**20}}]}]}  # drawn before
        RECORDED["predict"][0]["tasks"][0] |= regions
        session = tiny_model().session(tmp_path / "my photo 1.jpg")
        for body, click in zip(RECORDED["predict"], [(200, 133, 1), (20, 13, 0)], strict=True):
            status, answer = ask(address, "/predict", body, agent)
            session.click(*click)
            assert status == 200
            (region,) = answer["results"][0]["result"]
            assert (region["from_name"], region["value"]["brushlabels"]) == ("brush", ["Thing"])
            found = decoded(region["value"]["rle"]).reshape(400, 267, 4)[..., 3] > 0
            assert np.array_equal(found, session.mask)
        shutil.copyfile(tmp_path / "my photo 1.jpg", tmp_path / "my_photo 1.jpg")
    with running(make_backend(interactor, tmp_path, "v1")) as address:
        status, answer = ask(address, "/predict", RECORDED["predict"][0])
        assert status == 400
        assert "both my_photo_1.jpg in Label Studio" in answer["error"]


@pytest.mark.parametrize(
    "image",
    ["0.png", "/data/local-files/?d=some/where/0.png", "https://elsewhere.example/a%20b/0.png?x=1"],
)
def test_photos_are_found_by_their_names(address, image):
    assert ask(address, "/predict", request(image=image))[0] == 200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"image": "/data/local-files/?d=../../etc/passwd"},
            "passwd is not in the folder of --images",
        ),
        ({"image": 3}, "no photo under the key"),
        ({"config": "<View/>"}, "neither BrushLabels nor PolygonLabels"),
        ({"config": "<View>"}, "label_config cannot be read"),
        ({"config": '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>'}, "declares entities"),
        ({"result": [keypoint(3, 3, 1, type="rectanglelabels")]}, "something else than keypoints"),
        (
            {"result": [keypoint(3, 3, 1, original_width=97)]},
            "the photo is 72 x 96 here and 72 x 97 there",
        ),
        ({"result": [keypoint(3, 3, 1, value={"x": 101, "y": 3})]}, "in per cent"),
        ({"result": "all"}, "no keypoints"),
        ({"clicks": [(3, 3, 1)] * 201}, "there are 201 points"),
    ],
)
def test_what_label_studio_cannot_have_is_one_line(address, change, words):
    status, answer = ask(address, "/predict", request(**change))
    assert status == 400
    assert words in answer["error"]
    assert ask(address, "/predict", request())[0] == 200


def test_label_studios_password_is_the_token(folder, interactor):
    with running(
        make_backend(interactor, folder / "images", "v1", token="abcdefghijkl")
    ) as address:
        assert ask(address, "/health")[0] == 401
        for password, status in (("abcdefghijkl", 200), ("abcdefghijkm", 401)):
            coded = base64.b64encode(f"anybody:{password}".encode()).decode()
            assert ask(address, "/health", headers={"authorization": f"Basic {coded}"})[0] == status
        assert ask(address, "/health", headers={"authorization": "Basic é!"})[0] == 401
