"""Trainings by clicks on small photos: tiny methods, data, trainer, and runs that are killed."""

import pytest
import torch
from torch.multiprocessing import ProcessRaisedException

from callbacks.checkpoint import LastCheckpoint
from callbacks.noc import NumberOfClicks
from callbacks.user_loop import UserLoop
from datamodules.base import Loading
from datamodules.folder import FolderDataModule
from interseg.networks.brs_network import BRSNetwork
from interseg.networks.click_network import ClickNetwork
from interseg.networks.two_in_one_network import TwoInOneNetwork
from lightning_modules.brs import BRS
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.small_network import ENCODER
from tests.helpers.training import AUGMENT, Killed, assert_equal, last, memory, quiet_trainer

EPOCHS, STEPS = 3, 2  # 10 objects in batches of 4, the odd ones dropped


def module(dropout=0.5, inference=None):
    torch.manual_seed(3)
    options = {"decoder_channels": 16, "encoder_output_stride": 16, "decoder_aspp_dropout": dropout}
    network = ClickNetwork(encoder=ENCODER, pretrained=None, guidance_channels=3, options=options)
    optimisation = Optimisation(learning_rate=1e-3, schedule="cosine", warmup=2)
    return ITIS(network, optimisation=optimisation, inference=inference)


def two_phases():
    """BRS, whose fine decoder begins to learn in the second of three epochs."""
    torch.manual_seed(3)
    network = BRSNetwork(ENCODER, None, width=8, norm="group")
    return BRS(
        network,
        coarse_epochs=1,
        optimisation=Optimisation(
            "adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine"
        ),
    )


def selection_and_refinement():
    """Two-in-one, whose refinement begins to learn in the second of three epochs."""
    torch.manual_seed(3)
    network = TwoInOneNetwork(ENCODER, None, width=16, crop_size=16, norm="group")
    optimisation = Optimisation("adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine")
    return TwoInOne(network, selection_epochs=1, selected=(0.0, 1.0), optimisation=optimisation)


def trainer(
    root,
    *callbacks,
    devices=1,
    every=1,
    epochs=EPOCHS,
    reset=0.3,
    precision="32-true",
    steps=-1,
):
    loop = UserLoop(reset_probability=reset, max_clicks=4, targets=(0.9,))
    return quiet_trainer(
        root,
        [loop, NumberOfClicks((0.9,)), LastCheckpoint(every), *callbacks],
        epochs,
        devices,
        precision,
        steps,
    )


def data(folder, batch_size=4, workers=0):
    return FolderDataModule(
        str(folder),
        loading=Loading(
            num_workers=workers,
            batch_size=batch_size,
            augment=AUGMENT,
            eval_batch_size=3,
            distances=True,
        ),
    )


def interrupted(root, source, kill, batch_size=4, workers=0, method=module, **options):
    """Train until the kill, then go on from what is left on the disk."""
    with pytest.raises((Killed, ProcessRaisedException)):
        trainer(root, kill, **options).fit(method(), data(source, batch_size, workers))
    file = root / "checkpoints" / "last.ckpt"
    trainer(root, **options).fit(
        method(),
        data(source, batch_size, workers),
        ckpt_path=file if file.exists() else None,
        weights_only=True,
    )
    return last(root)


def assert_same_training(expected, resumed):
    assert resumed["global_step"] == EPOCHS * STEPS
    assert len(memory(resumed)["clicks"]) > 10
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(expected[part], resumed[part], part)
    assert_equal(memory(expected), memory(resumed))
