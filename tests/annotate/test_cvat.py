"""CVAT's requests to an interactor, by its documented contract, get the session's mask."""

import base64
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from annotate import cvat
from annotate.cvat import main as cvat_main
from annotate.interactor import Interactor, area
from annotate.outlines import polygons
from interseg.errors import InputError
from tests.helpers.annotating import model_of_classes, tiny_model
from tests.helpers.drawing import draw_folder

CLICKS = [(30, 40, 1), (10, 80, 0), (50, 20, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Drawn photos, for all tests of this file."""
    return draw_folder(tmp_path_factory.mktemp("photos"), 1)


@pytest.fixture(scope="module")
def context():
    """Nuclio's context, the network loaded."""
    model = Interactor(tiny_model())
    yield SimpleNamespace(
        user_data=SimpleNamespace(model=model), Response=lambda **given: SimpleNamespace(**given)
    )
    model.desk.close()


def asked(context, body):
    answer = cvat_main.handler(context, SimpleNamespace(body=body))
    assert answer.content_type == "application/json"
    return answer.status_code, json.loads(answer.body)


def cvat_request(folder, **more):
    image = base64.b64encode((folder / "images" / "0.png").read_bytes()).decode()
    points = {
        "pos_points": [[x, y] for y, x, label in CLICKS if label],
        "neg_points": [[x, y] for y, x, label in CLICKS if not label],
    }
    return {"image": image, **points, "threshold": 0.4, "obj_bbox": None} | more


def test_cvat_gets_the_sessions_mask_and_its_outline(context, folder):
    session = tiny_model().session(folder / "images" / "0.png", threshold=0.4)
    for click in (CLICKS[0], CLICKS[2], CLICKS[1]):
        session.click(*click)
    expected = session.mask
    for body in (cvat_request(folder), json.dumps(cvat_request(folder)).encode()):
        status, answer = asked(context, body)
        assert status == 200
        assert np.array_equal(np.array(answer["mask"]), expected * 255)
        ring = max(polygons(expected, 1.0), key=area)
        assert answer["points"] == np.rint(ring).astype(int).tolist()
    context.user_data.model.model.session = None  # a photo is encoded once
    assert asked(context, cvat_request(folder))[0] == 200
    del context.user_data.model.model.session


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "no base64"}, "image cannot be read"),
        ({"image": base64.b64encode(b"no photo").decode()}, "image cannot be read"),
        ({"pos_points": []}, "give a point on the object"),
        ({"pos_points": [[1]]}, "pos_points is"),
        ({"pos_points": [[96, 3]]}, "96"),
        ({"threshold": 1}, "threshold is 1"),
    ],
)
def test_what_cvat_cannot_have_is_one_line(context, folder, change, words):
    status, answer = asked(context, cvat_request(folder, **change))
    assert status == 400
    assert words in answer["error"]
    assert asked(context, cvat_request(folder))[0] == 200


def test_photos_that_cvat_sends_may_be_grey_or_have_a_palette(context):
    for mode in ("L", "P", "RGBA"):
        file = io.BytesIO()
        Image.new(mode, (40, 30)).save(file, "PNG")
        body = {
            "image": base64.b64encode(file.getvalue()).decode(),
            "pos_points": [[3, 4]],
            "neg_points": [],
        }
        status, answer = asked(context, body)
        assert status == 200
        assert np.array(answer["mask"]).shape == (30, 40)


def test_the_function_names_a_handler_that_is_there():
    function = yaml.safe_load(Path(cvat.__file__).with_name("function.yaml").read_text())
    module, _, name = function["spec"]["handler"].partition(":")
    assert (module, callable(getattr(cvat_main, name))) == (cvat_main.__name__, True)
    assert function["metadata"]["annotations"]["type"] == "interactor"


def test_networks_of_classes_do_not_answer_other_tools():
    with pytest.raises(InputError, match="other tools ask for one object"):
        Interactor(model_of_classes())
