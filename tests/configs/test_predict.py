"""`interseg.load` and the command of scripted clicks, with a network trained for two epochs."""

import contextlib
import csv
import io
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import interseg
from commands.predict import main
from interseg.errors import InputError
from interseg.images import read_image
from interseg.inference.model import Model
from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 4)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    arguments = [
        "--config",
        "small.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        f"run={folder}",
    ]
    result = called(
        "train.py",
        *arguments,
        *tiny("small.yaml"),
        f"loading.augment={CROP[0]}",
        "trainer.max_epochs=2",
    )
    assert result.returncode == 0, result.stderr
    return folder


def predict(run, images, clicks, out, *more):
    places = ["--images", images, "--clicks", clicks, "--out", out]
    return called("predict.py", "--checkpoint", run, *places, *more)


def test_a_run_is_a_model_whose_sessions_answer_as_its_evaluation_did(run, data, tmp_path):
    result = called(
        *("evaluate.py", "--checkpoint", run, "max_clicks=3", f"run={tmp_path}"),
        *("full_curves=true", "callbacks.report=null"),
    )
    assert result.returncode == 0, result.stderr
    model = interseg.load(run, device="cpu")
    rows = list(csv.DictReader((tmp_path / "objects.csv").open()))
    assert len(rows) == 8
    for row in rows:
        name, number = row["name"].split(": object ")
        session = model.session(data / "images" / name)
        truth = np.array(Image.open(data / "masks" / name)) == int(number)
        for k, text in enumerate(row["clicks"].split(), 1):
            y, x, label = map(int, text.split(":"))
            mask = session.click(y, x, label)
            assert (mask & truth).sum() / (mask | truth).sum() == pytest.approx(
                float(row[f"iou@{k}"]), abs=2e-6
            )
        assert len(session.clicks) == len(session.seconds) == 3


def test_a_model_takes_overrides_pixels_and_masks(run, data):
    photo = read_image(data / "images" / "0.png")
    plain, flipped = interseg.load(run, device="cpu"), interseg.load(run, "flip=true", device="cpu")
    answers = [model.session(photo) for model in (plain, flipped)]
    for session in answers:
        session.click(30, 30)
    assert not np.array_equal(answers[0].probabilities, answers[1].probabilities)
    with pytest.raises(InputError, match=r"trainer.precision=bf16-true has no effect here"):
        interseg.load(run, "trainer.precision=bf16-true", device="cpu")
    low = interseg.load(run, "callbacks.loop.threshold=0.3", device="cpu").session(photo)
    assert np.array_equal(low.click(30, 30), plain.session(photo, threshold=0.3).click(30, 30))
    assert low.mask.sum() > answers[0].mask.sum()
    start = np.zeros(photo.shape[:2], bool)
    start[3:6] = True
    assert np.array_equal(plain.session(photo, mask=start).mask, start)


def test_a_checkpoint_alone_anywhere_is_loaded_and_evaluated(run, data, tmp_path):
    alone = tmp_path / "elsewhere.ckpt"
    shutil.copy(run / "checkpoints" / "last.ckpt", alone)
    photo = data / "images" / "1.png"
    one, other = (
        interseg.load(path, device="cpu").session(photo).click(20, 20) for path in (run, alone)
    )
    assert np.array_equal(one, other)
    line = ["--checkpoint", alone, "max_clicks=1", "callbacks.report=null"]
    result = called("evaluate.py", *line, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (
        json.loads((tmp_path / "runs" / "small" / "called" / "report.json").read_text())["objects"]
        == 8
    )


def test_an_exported_run_answers_as_the_run(run, data, tmp_path):
    result = called(
        "export.py", "--checkpoint", run, "--out", tmp_path / "export", "model.long_side=64"
    )
    assert result.returncode == 0, result.stderr
    assert (
        "ClickNetwork cannot be split: decoder.onnx runs it whole at every click" in result.stderr
    )
    models = (
        interseg.load(run, "model.long_side=64", device="cpu"),
        interseg.load(tmp_path / "export", device="cpu"),
    )
    sessions = [model.session(data / "images" / "0.png") for model in models]
    for session in sessions:
        session.click(30, 24)
        session.click(5, 5, label=0)
    assert np.abs(sessions[0].probabilities - sessions[1].probabilities).max() < 1e-4
    export = ["export.py", "--checkpoint", run, "--out", tmp_path / "other"]
    result = called(*export, "model.long_side=64", "callbacks.loop.threshold=0.3")
    assert result.returncode == 0, result.stderr
    low = interseg.load(tmp_path / "other", device="cpu").session(data / "images" / "0.png")
    assert np.array_equal(low.click(30, 24), low.probabilities > 0.3)
    result = called(*export, "flip=true")
    assert result.returncode == 2
    assert "refiner, zoom, flip and model.cascade cannot be part of an export" in result.stderr


def test_what_cannot_be_loaded_is_one_clear_error(run, data, tmp_path):
    with pytest.raises(InputError, match="nowhere is no run"):
        interseg.load("nowhere")
    (tmp_path / "junk.ckpt").write_text("junk")
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        interseg.load(tmp_path / "junk.ckpt")
    with pytest.raises(InputError, match="device is 'gpu', which cannot be used"):
        interseg.load(run, device="gpu")
    model = interseg.load(run, device="cpu")
    with pytest.raises(InputError, match=r"the image is \(3, 4\) of float64; give a path"):
        model.session(np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"nothing.jpg does not exist"):
        model.session(data / "nothing.jpg")


def test_scripted_clicks_become_masks_and_annotations(run, data, tmp_path):
    clicks = [
        ("0.png", "left", 30, 24, 1),
        ("0.png", "left", 5, 5, 0),
        ("0.png", "right", 30, 72, 1),
        ("2.png", "1", 40, 70, 1),
    ]
    lines = ["image,object,y,x,label", *(",".join(map(str, row)) for row in clicks)]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    result = predict(run, data / "images", tmp_path / "clicks.csv", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "3 masks on 2 photos, 0 problems" in result.stdout
    model = interseg.load(run, device="cpu")
    expected = {}
    for image, name, y, x, label in clicks:
        session = expected.setdefault((image, name), model.session(data / "images" / image))
        session.click(y, x, label)
    ids = np.array(Image.open(tmp_path / "out" / "masks" / "0.png"))
    right = expected["0.png", "right"].mask
    assert np.array_equal(ids == 2, right)
    assert np.array_equal(ids == 1, expected["0.png", "left"].mask & ~right)
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["0.png", "2.png"]
    assert [row["area"] for row in content["annotations"]] == [
        int(session.mask.sum()) for session in expected.values()
    ]
    assert content["annotations"][0]["clicks"] == ["30:24:1", "5:5:0"]
    again = [run, data / "images", tmp_path / "clicks.csv", tmp_path / "out"]
    assert "annotations.json exists; give --out another folder" in predict(*again).stderr
    assert predict(*again, "overwrite=true").returncode == 0


def test_masks_drawn_by_hand_are_not_replaced(run, data, tmp_path):
    (tmp_path / "clicks.csv").write_text("image,y,x\n0.png,3,3\n")
    own = shutil.copytree(data, tmp_path / "own")
    before = (own / "masks" / "0.png").read_bytes()
    result = predict(run, own / "images", tmp_path / "clicks.csv", own)
    assert result.returncode == 2
    assert "0.png exists" in result.stderr
    assert (own / "masks" / "0.png").read_bytes() == before


def test_what_was_answered_before_an_error_has_its_rows(run, data, tmp_path, monkeypatch):
    lines = ["image,object,y,x,label", "0.png,1,30,24,1", "0.png,2,30,24,1", "1.png,1,30,24,1"]
    (tmp_path / "clicks.csv").write_text("\n".join([*lines, "2.png,1,30,24,1"]))
    opened = []

    def fail(self, image):
        opened.append(image.name)
        if len(opened) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. " * 20)
        if len(opened) == 3:
            raise KeyboardInterrupt
        return session(self, image)

    session = Model.session
    monkeypatch.setattr(Model, "session", fail)
    words = ["--images", data / "images", "--clicks", tmp_path / "clicks.csv"]
    line = ["predict.py", "--checkpoint", run, *words, "--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", [*map(str, line), "--device", "cpu"])
    error = io.StringIO()
    with contextlib.redirect_stderr(error), pytest.raises(KeyboardInterrupt):
        main()
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [row["image_id"] for row in content["annotations"]] == [1, 1]
    assert "left out: 1.png: the device's memory is too small" in error.getvalue()
    assert "note: 0.png, object 1: empty, or wholly below others" in error.getvalue()


def test_bad_rows_are_named_and_counted_and_the_rest_is_done(run, data, tmp_path):
    lines = [
        "image,object,y,x,label",
        "0.png,1,30,24,1",
        "0.png,2,300,24,1",
        "0.png,3,x,24,1",
        "none.png,1,3,3,1",
        "1.png,1,30,24,1",
    ]
    lines += ["../images/2.png,1,3,3,1", "../data.csv,1,3,3,1", "3.png,1,3,3,7"]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    result = predict(run, data / "images", tmp_path / "clicks.csv", tmp_path / "out")
    assert result.returncode == 1
    left_out = [line for line in result.stderr.splitlines() if line.startswith("left out: ")]
    assert (
        "2 masks on 2 photos, 6 problems" in result.stdout
        or "3 masks on 3 photos, 5 problems" in result.stdout
    )
    for message in (
        "0.png, object 2: click (y=300, x=24) lies outside",
        "line 4: y is 'x'",
        "none.png does not exist",
        "has label 7",
    ):
        assert any(message in line for line in left_out), (message, left_out)
    assert any("../data.csv, object 1: it lies outside" in line for line in left_out)
    assert "Traceback" not in result.stderr


def test_masks_are_written_below_out_however_a_photo_is_named(run, data, tmp_path):
    photos = shutil.copytree(data / "images", tmp_path / "photos")
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    (tmp_path / "link").symlink_to(photos)
    names = [photos / "0.png", "../photos/1.png", "./2.png", tmp_path / "link" / "3.png"]
    lines = ["image,object,y,x", *(f"{name},1,30,24" for name in names)]
    lines += [".,1,30,24", "./0.png,2,1e300,24", "0.png,1,5,5"]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    result = predict(run, photos, tmp_path / "clicks.csv", tmp_path / "out")
    assert result.returncode == 1
    assert "4 masks on 4 photos, 2 problems" in result.stdout, result.stderr
    assert "., object 1: it lies outside" in result.stderr
    assert "give a whole number, in pixels" in result.stderr
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before
    written = sorted((tmp_path / "out" / "masks").iterdir())
    assert [path.name for path in written] == [f"{k}.png" for k in range(4)]
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [f"{k}.png" for k in range(4)]
    assert content["annotations"][0]["clicks"] == ["30:24:1", "5:5:1"], "one object, named twice"


def test_two_photos_with_masks_of_one_name_are_refused(run, data, tmp_path):
    (tmp_path / "clicks.csv").write_text("image,y,x\n0.png,3,3\n0.jpg,3,3\n")
    result = predict(run, data / "images", tmp_path / "clicks.csv", tmp_path / "out")
    assert result.returncode == 2
    assert "0.png and 0.jpg would both have masks/0.png; rename one" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", __file__], "test_predict.py is a file; name a folder"),
        (["--clicks", "nowhere.csv"], "nowhere.csv cannot be read as clicks"),
        (["--images", "nowhere"], "there is no folder nowhere"),
        (["refiner=newton"], "refiner is 'newton'; use one of brs"),
    ],
)
def test_a_wrong_command_is_one_line(more, message, run, data, tmp_path):
    (tmp_path / "clicks.csv").write_text("image,y,x\n0.png,3,3\n")
    result = predict(run, data / "images", tmp_path / "clicks.csv", tmp_path / "out", *more)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
