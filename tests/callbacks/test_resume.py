"""Trainings that were killed: they go on as if they had not been."""

from functools import cache

import pytest
import torch
from pytorch_lightning import Callback

from callbacks.checkpoint import LastCheckpoint
from configs.plugins import AtomicCheckpointIO
from interseg.errors import InputError
from interseg.networks.ritm_network import RITMNetwork
from interseg.networks.simpleclick_network import SimpleClickNetwork
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.click_runs import (
    EPOCHS,
    STEPS,
    assert_same_training,
    data,
    interrupted,
    module,
    selection_and_refinement,
    trainer,
    two_phases,
)
from tests.helpers.hrnet import TINY_HRNET
from tests.helpers.training import Kill, assert_equal, last, memory


def ritm():
    """RITM's network, whose norms are live."""
    torch.manual_seed(3)
    return ITIS(
        RITMNetwork(TINY_HRNET, None),
        optimisation=Optimisation("adamw", learning_rate=1e-3),
    )


def simpleclick():
    """SimpleClick's network, whose head drops channels."""
    torch.manual_seed(3)
    network = SimpleClickNetwork("test_vit", None, widths=(16, 16, 16, 16), width=16)
    return ITIS(
        network,
        mask_map="probabilities",
        optimisation=Optimisation("adamw", learning_rate=1e-3),
    )


def flat():
    """ITIS at one rate, whatever the number of steps."""
    method = module()
    method.optimisation = Optimisation("adamw", learning_rate=1e-3)
    return method


@pytest.mark.parametrize(
    ("step", "early"),
    [(1, True), (STEPS, True), (STEPS, False), (STEPS + 1, True), (EPOCHS * STEPS - 1, False)],
)  # before and after a step: at the ends, at an epoch's and behind it
def test_killed_anywhere_it_goes_on_with_the_same_order_clicks_and_weights(
    undisturbed, tmp_path, step, early
):
    assert_same_training(
        last(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(step, early))
    )


@pytest.fixture(scope="module")
def whole(undisturbed, tmp_path_factory):
    """State that a method's run has learned which nothing disturbs.

    It is trained when it is first asked for.
    """

    @cache
    def trained(method):
        root = tmp_path_factory.mktemp("whole")
        trainer(root).fit(method(), data(undisturbed / "folder"))
        return last(root)

    return trained


@pytest.mark.parametrize("method", [two_phases, selection_and_refinement])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_of_two_phases_goes_on_in_either(undisturbed, whole, tmp_path, step, method):
    assert_same_training(
        whole(method),
        interrupted(tmp_path, undisturbed / "folder", Kill(step, True), method=method),
    )


@pytest.mark.parametrize("method", [ritm, simpleclick])
def test_networks_of_other_recipes_go_on_too(undisturbed, whole, tmp_path, method):
    assert_same_training(
        whole(method), interrupted(tmp_path, undisturbed / "folder", Kill(3, True), method=method)
    )


def test_a_checkpoint_of_an_epochs_end_is_enough(undisturbed, tmp_path):
    assert_same_training(
        last(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(5, True), every=None)
    )


def test_resumed_with_loader_processes(undisturbed, tmp_path):
    assert_same_training(
        last(undisturbed), interrupted(tmp_path, undisturbed / "folder", Kill(3, True), workers=2)
    )


def test_a_checkpoint_carries_its_config_and_is_replaced_in_one_move(
    undisturbed, tmp_path, monkeypatch
):
    (tmp_path / "config.yaml").write_text("name: mine")
    trainer(tmp_path, epochs=1).fit(module(), data(undisturbed / "folder"))
    assert last(tmp_path)["config"] == "name: mine"
    before = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()

    def full(content, file):
        file.write(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"No space left.*the one before it is whole"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == before
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


class Writes(Callback):
    """Counts the batches behind which a checkpoint is written."""

    def __init__(self):
        self.batches = []

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.batches.append(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def test_nothing_is_written_between_the_batches_of_a_step(undisturbed, tmp_path):
    writes = Writes()
    fit = trainer(tmp_path, writes, epochs=1)
    fit.accumulate_grad_batches = 2
    fit.fit(module(), data(undisturbed / "folder", 2))
    assert fit.num_training_batches == 5
    assert writes.batches == [2, 4, 5]


@pytest.mark.parametrize("every", [1, None])
@pytest.mark.parametrize("ended", [STEPS, 2 * STEPS, STEPS + 1])  # at epochs' ends, and within one
def test_a_run_that_steps_end_goes_on_to_more_steps(undisturbed, tmp_path, ended, every):
    options = {"epochs": -1, "every": every}
    source = data(undisturbed / "folder")
    trainer(tmp_path / "whole", steps=7, **options).fit(flat(), source)
    for steps in (ended, 7):
        fit = trainer(tmp_path / "parts", steps=steps, **options)
        file = tmp_path / "parts" / "checkpoints" / "last.ckpt"
        known = file if file.exists() else None
        fit.fit(flat(), data(undisturbed / "folder"), ckpt_path=known, weights_only=True)
    found, expected = last(tmp_path / "parts"), last(tmp_path / "whole")
    assert found["global_step"] == 7
    assert_equal(expected["state_dict"], found["state_dict"])
    assert_equal(memory(expected), memory(found))
    assert found["FolderDataModule"] == expected["FolderDataModule"]


def test_what_is_kept_at_an_epochs_end_stands_in_the_file_of_a_run_that_ended_within_it(
    undisturbed, tmp_path
):
    class Ends(Callback):
        """Counts the ends of epochs, as `ModelCheckpoint` keeps its best one there."""

        state = 0

        def on_train_epoch_end(self, trainer, pl_module):
            self.state += 1
            trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=False)

        def state_dict(self):
            return {"ends": self.state}

    fit = trainer(tmp_path, Ends(), epochs=-1, every=None, steps=STEPS + 1)
    fit.callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint))
    fit.fit(flat(), data(undisturbed / "folder"))
    assert last(tmp_path)["callbacks"][Ends().state_key] == {"ends": 2}
    place = last(tmp_path)["FolderDataModule"]
    assert (place["epoch"], place["batch"]) == (1, 1)


def test_the_end_is_written_where_steps_end_the_run(undisturbed, tmp_path):
    fit = trainer(tmp_path, epochs=None, every=None)
    fit.fit_loop.epoch_loop.max_steps = 2
    next(c for c in fit.callbacks if isinstance(c, LastCheckpoint)).every_n_epochs = 5
    fit.fit(module(), data(undisturbed / "folder"))
    assert last(tmp_path)["global_step"] == 2
