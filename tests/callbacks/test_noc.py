"""Figures of an evaluation whose games end before what they count."""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from callbacks.noc import NumberOfClicks
from callbacks.user_loop import UserLoop
from interseg.errors import InputError
from interseg.evaluation.records import plays_all


@pytest.mark.parametrize(
    ("counted", "played", "message"),
    [
        ({"targets": [0.95]}, {}, r"targets has 0\.95, and the user ends at an IoU of 0\.9; give"),
        (
            {"full_curves": True},
            {},
            r"full_curves is true, and the user ends at an IoU of 0\.9; give",
        ),
        ({"targets": [0.95], "full_curves": True}, {"full_curves": True}, None),
        ({"targets": [0.95]}, {"targets": [0.8, 0.95]}, None),
        ({"targets": [0.7]}, {}, None),
    ],
)
def test_games_that_end_too_early_for_the_figures_are_refused(counted, played, message):
    figures = NumberOfClicks(**counted)
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[UserLoop(**played), figures])
    if message is None:
        figures.setup(trainer, LightningModule(), "test")
        return
    with pytest.raises(InputError, match=message):
        figures.setup(trainer, LightningModule(), "test")


@pytest.mark.parametrize(("limit", "whole"), [(1.0, True), (1, False), (0.5, False), (3, False)])
def test_one_batch_is_not_all_of_them(limit, whole):
    trainer = Trainer(accelerator="cpu", logger=False, limit_test_batches=limit)
    assert plays_all(trainer.limit_test_batches) == whole


def test_what_a_validation_cannot_read_is_told_once(capsys):
    figures = NumberOfClicks()
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[figures])
    for _ in range(2):
        figures.on_validation_epoch_start(trainer, LightningModule())
        unread = {"errors": ["0.png cannot be read"], "id": torch.zeros(0, dtype=torch.int64)}
        figures.on_validation_batch_end(trainer, LightningModule(), None, unread, 0)
        figures.on_validation_epoch_end(trainer, LightningModule())
    assert capsys.readouterr().err == "left out of val: 0.png cannot be read\n"
