"""The dashboard asks whatever offers something, and nobody else."""

import base64
import io
import json

import numpy as np
import pytest
import wandb
from PIL import Image
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.loggers import WandbLogger

from callbacks.dice import VolumeDice
from callbacks.noc import NumberOfClicks
from callbacks.offers import Captioned, Table, caption
from callbacks.report import Report
from callbacks.transfer import Transfer
from tests.helpers.wandb_records import records


def picture(kind="png"):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


class Offering(Callback):
    """Related to none of ours."""

    def quality(self):
        return [0.25, 0.5, 0.75]

    def images(self):
        return {
            "own": [Captioned(picture(), "first"), Captioned(picture("jpeg"), "second")],
            "none": [],
        }

    def tables(self):
        return {"own": Table(["name", "value"], [["a", 1.5], ["b", None]])}


class Silent(Callback):
    """Has measured nothing yet."""

    def quality(self):
        return []


def test_a_callback_of_ones_own_shows_up(tmp_path):
    from callbacks.dashboard import Dashboard

    logger = WandbLogger(save_dir=tmp_path, offline=True)
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=logger,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Offering(), Silent(), Dashboard()],
    )
    trainer.fit(BoringModel())
    wandb.teardown()  # its process writes the last records when it ends
    kept, _ = records(tmp_path)
    assert (kept["quality/first"], kept["quality/last"]) == (0.25, 0.75)
    assert kept["quality/curve_table/nrows"] == 3
    assert kept["pictures/own/captions"] == ["first", "second"]
    assert "pictures/none/count" not in kept
    (file,) = tmp_path.glob("wandb/offline-run-*/files/media/table/tables/own*.json")
    assert json.loads(file.read_text())["data"] == [["a", 1.5], ["b", None]]


def test_a_callback_that_has_nothing_yet_offers_nothing():
    from callbacks.dashboard import offered

    for callback in (Callback(), Silent(), NumberOfClicks(), Report(), VolumeDice(), Transfer()):
        assert offered(callback) == {}, callback


def test_rounds_are_captioned_by_their_numbers_and_those_without_a_picture_left_out():
    rounds = [{"task": 1, "dice": 0.12345, "picture": "abc", "name": "x"}, {"task": 2, "dice": 0.5}]
    assert caption(rounds) == [("abc", "task 1, dice 0.123")]


def test_reports_offer_what_they_have_shown():
    report = Report()
    report.rows = [
        {
            "name": "cat",
            "panels": [
                {"click": 1, "iou": 0.5, "jpeg": "abc"},
                {"click": 3, "iou": 0.75, "jpeg": "def"},
            ],
        }
    ]
    assert report.images() == {
        "clicks": [("abc", "cat, click 1: IoU 0.500"), ("def", "cat, click 3: IoU 0.750")]
    }
    noc = NumberOfClicks()
    noc.figures = {"objects": 3, "max_clicks": 2, "miou@1": 0.5, "miou@2": 0.75}
    assert noc.quality() == [0.5, 0.75]


def test_the_matrix_is_a_mean_over_sequences():
    transfer = Transfer()
    for sequence, iou in ((0, 0.25), (1, 0.75)):
        place = {"sequence": sequence, "task": 1}
        transfer.rows += [
            place | {"image": i, "kind": "answer", "basic": iou + i / 8} for i in range(2)
        ]
        transfer.rows.append(place | {"image": 1, "kind": "round 0", "basic": iou})
    transfer.rows.append({"sequence": 0, "task": 0, "image": 1, "kind": "answer", "basic": 0.5})
    expected = Table(["after task", "image 1", "image 2"], [[1, None, 0.5], [2, 0.5, 0.625]])
    assert transfer.tables() == {"matrix": expected}
    assert transfer.quality() == [pytest.approx(0.5)]
