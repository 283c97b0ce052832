"""Figures of an evaluation whose games end before what they count."""

import pytest
from pytorch_lightning import LightningModule, Trainer

from callbacks.noc import NumberOfClicks
from callbacks.user_loop import UserLoop
from interseg.errors import InputError


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
