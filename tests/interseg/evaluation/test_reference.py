"""The field's evaluation, written again from its rules with scipy alone, gives the clicks and the
NoC that ours gives.

Rules: the prediction starts empty; an error region's pixels get their exact distance to its
outside, the image's border being outside, clicked pixels 0; the click is the first maximum in
row-major order of the type whose maximum is larger, negative at a tie; IoU over pixels that are not
ignored; stop at the target, 20 clicks at most; NoC is the first click that reaches the target, else
20.
"""

import csv

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from datamodules.folder import FolderDataModule
from interseg.clicks.users import RitmUser
from interseg.evaluation.game import Game, play
from interseg.inference.session import open_sessions
from lightning_modules.external import External
from tests.helpers.commands import called
from tests.helpers.drawing import draw, draw_folder, write
from tests.helpers.others import Squares

TARGETS, MOST = (0.8, 0.85, 0.9), 20


def reference_click(prediction, truth, clicks):
    depths = []
    for wrong in ((truth == 1) & ~prediction, (truth == 0) & prediction):
        depth = distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1]
        for y, x, _ in clicks:
            depth[y, x] = 0
        depths.append(depth)
    label = int(depths[0].max() > depths[1].max())
    y, x = np.unravel_index(depths[1 - label].argmax(), truth.shape)
    return int(y), int(x), label


def reference_iou(prediction, truth):
    object_, valid = truth == 1, truth != 255
    return (prediction & object_ & valid).sum() / ((prediction | object_) & valid).sum()


def reference_sample(predictor, image, truth, target):
    """One object by the field's loop: its clicks and its IoU after each."""
    prediction, answer, clicks, ious = np.zeros(truth.shape, bool), None, [], []
    predictor.set_image(image)
    for _ in range(MOST):
        clicks.append(reference_click(prediction, truth, clicks))
        points = np.array([(x, y) for y, x, _ in clicks], np.float32)
        answer = predictor.predict(points, np.array([label for *_, label in clicks]), answer)
        prediction = answer > 0
        ious.append(reference_iou(prediction, truth))
        if ious[-1] >= target:
            break
    return clicks, ious


def reference_noc(ious, target):
    return next((k for k, iou in enumerate(ious, 1) if iou >= target), MOST)


def noisy(seed, deviation=40):
    """A photo whose brightness is a poor guide to its object, and a truth with ignored pixels."""
    image, ids = draw(seed)
    rng = np.random.default_rng(seed)
    image = np.clip(image + rng.normal(0, deviation, image.shape), 0, 255).astype(np.uint8)
    truth = (ids == 1).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.02] = 255
    return image, truth


@pytest.mark.parametrize("seed", range(4))
def test_games_have_the_references_clicks_and_curves_to_the_last_digit(seed):
    image, truth = noisy(seed)
    clicks, ious = reference_sample(Squares(4), image, truth, 0.9)
    method = External(Squares(4))
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    (session,) = open_sessions(method, tensor)
    game = Game(session, truth, RitmUser(), MOST, target=0.9)
    play([game])
    assert [tuple(row[:3]) for row in session.clicks.tolist()] == clicks
    assert game.ious == ious
    assert len(clicks) > 4


def test_the_command_prints_the_references_noc(tmp_path):
    root = draw_folder(tmp_path / "data", 3)
    for seed, file in enumerate(sorted((root / "images").iterdir())):
        write(file, noisy(seed, 25 + 10 * seed)[0])
    line = [
        "--config",
        "external/own.yaml",
        "--trust",
        "tests",
        "model.predictor._target_=tests.helpers.others.Squares",
    ]
    line += [
        "--config",
        "data/folder.yaml",
        f"data.root={root}",
        "model.predictor.reach=5",
        f"run={tmp_path / 'eval'}",
    ]
    result = called(
        "evaluate.py",
        *line,
        "trainer.accelerator=cpu",
        "trainer.enable_progress_bar=false",
        "loading.num_workers=0",
    )
    assert result.returncode == 0, result.stderr
    data = FolderDataModule(root=str(root))
    data.prepare_data()
    source, rows = (
        data.source("test"),
        list(csv.DictReader((tmp_path / "eval" / "objects.csv").open())),
    )
    assert len(rows) == 6
    for row in rows:
        sample = source.read(int(row["id"]))
        clicks, ious = reference_sample(
            Squares(5), np.asarray(sample.image), np.asarray(sample.mask), max(TARGETS)
        )
        assert row["clicks"] == " ".join(f"{y}:{x}:{label}" for y, x, label in clicks)
        assert [float(row[f"iou@{k}"]) for k in range(1, len(ious) + 1)] == pytest.approx(
            ious, abs=1e-6
        )
        for target in TARGETS:
            assert int(row[f"noc@{100 * target:g}"]) == reference_noc(ious, target)
    assert len({row["noc@85"] for row in rows}) > 1
