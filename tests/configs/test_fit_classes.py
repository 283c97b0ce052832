"""A network of several classes by the commands: trained, corrected by clicks, measured."""

import csv
import json

import numpy as np
import pytest
import torch

from configs import build, resolve
from configs.checkpoints import load_weights, trained_config
from configs.run import build_model
from interseg.clicks.layout import parse_click
from interseg.clicks.users import RitmUser
from interseg.evaluation.drawing import colour_of
from interseg.inference.session import open_sessions
from tests.helpers.commands import called, tiny
from tests.helpers.drawing import draw, write

CLASSES, CLICKS = 3, 2
IMAGES = (
    "{_target_: datamodules.tasks.ClassFolderDataModule, root: ROOT, classes: 3, "
    "size: [40, 56], pretraining_images: 4, length: 1}"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Seven images of background and two kinds of ellipses, with pixels that count as none."""
    root = tmp_path_factory.mktemp("data")
    for i in range(7):
        image, ids = draw(i, 40, 56)
        image[ids == 2] -= 60
        ids[:3] = 255
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", ids)
    return root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    line = [
        "--config",
        "convert.yaml",
        "--config",
        "data/class_images.yaml",
        f"data.images={IMAGES.replace('ROOT', str(data))}",
    ]
    line += [*tiny("convert.yaml"), f"model.network.classes={CLASSES}", "trainer.max_epochs=9"]
    result = called("train.py", *line, f"run={folder}")
    assert result.returncode == 0, result.stderr
    line = ["refiner=brs", f"max_clicks={CLICKS}", "full_curves=true", "trainer.precision=64-true"]
    result = called("evaluate.py", "--checkpoint", folder, *line, f"run={folder / 'eval'}")
    assert result.returncode == 0, result.stderr
    return folder


def counted(mask, truth):
    """Pixels of each true class that were given each class, one by one."""
    pairs = np.zeros((CLASSES, CLASSES), int)
    for y, x in np.ndindex(truth.shape):
        if truth[y, x] != 255:
            pairs[truth[y, x], mask[y, x]] += 1
    return pairs


@pytest.fixture(scope="module")
def played(run):
    """Play each object by itself; return its clicks and its confusion before and after each."""
    config = resolve(trained_config(run / "checkpoints" / "last.ckpt")) | {"refiner": "brs"}
    model = build_model(config)
    load_weights(model, run / "checkpoints" / "last.ckpt")
    model.double().eval()
    objects = build(config["data"]).objects("test")
    games = []
    for id in range(len(objects)):
        sample = objects.read(id)
        image = (torch.from_numpy(sample.image).permute(2, 0, 1).float() / 255).double()
        (session,) = open_sessions(model, image[None], [id])
        pairs = [counted(session.mask, sample.mask)]
        for _ in range(CLICKS):
            click = RitmUser().next_click(
                session.mask, sample.mask, session.clicks, np.random.default_rng(0)
            )
            if click is not None:
                session.click(*click[:3])
            pairs.append(counted(session.mask, sample.mask))
        games.append((session.clicks, pairs))
    return games


def test_figures_over_all_pixels_are_those_of_the_slow_reference(run, played):
    report = json.loads((run / "eval" / "report.json").read_text())
    assert report["objects"] == len(played) == 3
    figures = {}
    for k in range(CLICKS + 1):
        pairs = sum(pairs[k] for _, pairs in played)
        figures[f"pixels@{k}"] = sum(pairs[c, c] for c in range(CLASSES)) / pairs.sum()
        unions = {c: pairs[c].sum() + pairs[:, c].sum() - pairs[c, c] for c in range(CLASSES)}
        figures[f"class_miou@{k}"] = np.mean(
            [pairs[c, c] / union for c, union in unions.items() if union]
        )
        own = [
            [
                p[k][c, c] / (p[k][c].sum() + p[k][:, c].sum() - p[k][c, c])
                for c in range(CLASSES)
                if p[k][c].sum()
            ]
            for _, p in played
        ]
        figures[f"miou@{k}"] = np.mean([np.mean(ious) for ious in own])
    assert {key: report[key] for key in figures} == pytest.approx(figures, abs=1e-12)
    assert all(report[f"class_miou@{k}"] != report[f"class_miou@{k + 1}"] for k in range(CLICKS)), (
        "every click changes the answers"
    )
    assert figures[f"pixels@{CLICKS}"] > figures["pixels@0"]
    assert report["refinements"] > 0
    assert "refinements" in report["contributed"]


def test_clicks_say_the_class_of_their_pixel(run, played):
    rows = list(csv.DictReader((run / "eval" / "objects.csv").open()))
    assert [[parse_click(text) for text in row["clicks"].split()] for row in rows] == [
        [tuple(click) for click in clicks.tolist()] for clicks, _ in played
    ]
    assert any(click[2] > 1 for clicks, _ in played for click in clicks)
    assert [row["name"] for row in rows] == build(
        resolve(trained_config(run / "checkpoints" / "last.ckpt"))["data"]
    ).names("test")


def test_the_page_draws_classes_and_its_legend_says_so(run):
    page = (run / "eval" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 * CLICKS
    for label in range(CLASSES):
        assert (
            '<span style="background:#{:02x}{:02x}{:02x}"></span>class {}'.format(
                *colour_of(label), label
            )
            in page
        )
    assert "class 3" not in page
    assert "negative click" not in page
    assert "<td>pixels of their class</td>" in page
    assert "<td>mean IoU over classes</td>" in page
    assert "evaluations of the energy" in page


def test_evaluations_of_classes_are_compared(run, tmp_path):
    line = ["refiner=null", f"max_clicks={CLICKS}", "full_curves=true", "callbacks.report=null"]
    result = called("evaluate.py", "--checkpoint", run, *line, f"run={tmp_path / 'eval'}")
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    assert "refinements" not in report
    assert report["pixels@0"] == report[f"pixels@{CLICKS}"], (
        "without a refiner clicks change nothing"
    )
    result = called(
        "compare.py", tmp_path / "eval", run / "eval", "--out", tmp_path / "compare.html"
    )
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "compare.html").read_text()
    assert page.count("<figure>") > 0
    for label in range(CLASSES):
        assert (
            '<span style="background:#{:02x}{:02x}{:02x}"></span>class {}'.format(
                *colour_of(label), label
            )
            in page
        )
    assert "positive click" not in page
