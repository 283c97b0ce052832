"""A run that is told to stop leaves a checkpoint after the step in hand.

The folder tests/slurm has the same in jobs of a real SLURM.
"""

import contextlib
import csv
import os
import signal

import pytest
import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger
from torch.multiprocessing import ProcessExitedException

from callbacks.requeue import SIGNALS, Requeue, slurm_job
from configs.run import slurm_step
from interseg.errors import InputError
from tests.helpers.click_runs import (
    EPOCHS,
    STEPS,
    assert_same_training,
    data,
    module,
    trainer,
)
from tests.helpers.training import last


@pytest.fixture(autouse=True)
def terminal():
    """Hear Ctrl+C, which a shell ignores for what runs behind it, these tests perhaps."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Told(Callback):
    """Sends a signal to one rank's process in the middle of a step."""

    def __init__(self, step, number, rank=0):
        self.step, self.number, self.rank = step, number, rank

    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("step", "number"),
    [(step, SIGNALS[step % 3]) for step in range(3)],
)
def test_a_run_that_is_told_to_stop_goes_on_where_it_was(undisturbed, tmp_path, step, number):
    source, before = undisturbed / "folder", signal.getsignal(number)
    with pytest.raises(SystemExit, match=f"{number.name}.*checkpoint=last"):
        trainer(tmp_path, Requeue(), Told(step, number), every=None).fit(module(), data(source))
    assert signal.getsignal(number) == before
    assert last(tmp_path)["global_step"] == step + 1
    trainer(tmp_path, Requeue()).fit(
        module(), data(source), ckpt_path=tmp_path / "checkpoints" / "last.ckpt", weights_only=True
    )
    assert_same_training(last(undisturbed), last(tmp_path))


def test_the_step_at_which_a_run_is_stopped_has_its_row(undisturbed, tmp_path):
    tables = []
    for callbacks in ([], [Told(2, signal.SIGTERM)]):
        fit = trainer(tmp_path / str(len(callbacks)), Requeue(), *callbacks)
        fit.logger = CSVLogger(tmp_path, name="", version=str(len(callbacks)))
        fit.log_every_n_steps = 1
        with contextlib.suppress(SystemExit):
            fit.fit(module(), data(undisturbed / "folder"))
        with (tmp_path / str(len(callbacks)) / "metrics.csv").open() as file:
            tables.append([row["train/loss"] for row in csv.DictReader(file)])
    assert len(tables[0]) == EPOCHS * STEPS
    assert tables[1] == tables[0][:3]


def test_ctrl_c_is_told_of_and_a_second_one_ends_at_once(undisturbed, tmp_path, capsys):
    told = [Told(2, signal.SIGINT), Told(2, signal.SIGINT)]
    with pytest.raises(SystemExit):
        trainer(tmp_path, Requeue(), *told, every=None).fit(module(), data(undisturbed / "folder"))
    assert "Ctrl+C again ends at once" in capsys.readouterr().err
    assert last(tmp_path)["global_step"] == 2, "the step in hand is not finished"


def test_ctrl_c_that_a_shell_ignores_stays_ignored(undisturbed, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        trainer(tmp_path, Requeue(), Told(2, signal.SIGINT)).fit(
            module(), data(undisturbed / "folder")
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert_same_training(last(undisturbed), last(tmp_path))


class ToldInValidation(Told):
    """Sends it at a validation's first batch."""

    def on_validation_batch_start(self, trainer, *_):
        self.on_before_optimizer_step(trainer)


def validating(root, *callbacks, interval, devices=1):
    """Validates every so many batches, on two batches, and writes checkpoints at the ends of
    epochs only.
    """
    fit = trainer(root, *callbacks, devices=devices, every=None)
    fit.limit_val_batches, fit.val_check_interval = 2, interval
    return fit


@pytest.mark.parametrize(("step", "interval"), [(1, 1), (EPOCHS * STEPS, STEPS)])
def test_a_run_that_is_told_in_a_validation_goes_on_behind_it(
    undisturbed,
    tmp_path,
    step,
    interval,
):
    source, cut = undisturbed / "folder", tmp_path / "cut"
    validating(tmp_path / "whole", interval=interval).fit(module(), data(source))
    with pytest.raises(SystemExit, match=r"SIGUSR1.*checkpoint=last"):
        validating(cut, Requeue(), ToldInValidation(step, signal.SIGUSR1), interval=interval).fit(
            module(), data(source)
        )
    assert last(cut)["global_step"] == step
    validating(cut, Requeue(), interval=interval).fit(
        module(), data(source), ckpt_path=cut / "checkpoints" / "last.ckpt", weights_only=True
    )
    assert_same_training(last(tmp_path / "whole"), last(cut))


def test_one_rank_that_is_told_stops_all_after_the_same_step(undisturbed, tmp_path):
    source = undisturbed / "folder"
    trainer(tmp_path / "whole", devices=2).fit(module(), data(source, batch_size=2))
    with pytest.raises((SystemExit, ProcessExitedException)):
        trainer(
            tmp_path / "cut", Requeue(), Told(2, signal.SIGTERM, rank=1), devices=2, every=None
        ).fit(module(), data(source, batch_size=2))
    file = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    assert last(tmp_path / "cut")["global_step"] == 3
    trainer(tmp_path / "cut", Requeue(), devices=2).fit(
        module(), data(source, batch_size=2), ckpt_path=file, weights_only=True
    )
    assert_same_training(last(tmp_path / "whole"), last(tmp_path / "cut"))


def test_a_job_that_gets_sigterm_writes_and_goes_on_until_slurm_ends_it(
    undisturbed,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("ENVIRONMENT", "BATCH")
    written = []

    class Written(Callback):
        def on_save_checkpoint(self, trainer, *_):
            written.append(trainer.global_step)

    trainer(tmp_path, Requeue(), Told(2, signal.SIGTERM), Written(), every=None).fit(
        module(), data(undisturbed / "folder")
    )
    assert written == [2, 3, 4, 6]
    assert_same_training(last(undisturbed), last(tmp_path))


def test_a_task_of_an_array_is_queued_again_alone(monkeypatch):
    for key in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "BATCH")
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert slurm_job() == "12"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")  # the last task has the array's own number
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "12_3"


def test_a_shell_in_an_allocation_is_no_job_and_a_step_is(monkeypatch):
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    for key, value in {"SLURM_JOB_ID": "12", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "mine"}.items():
        monkeypatch.setenv(key, value)
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    assert slurm_job() == "12"
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # srun --pty bash
    assert slurm_job() is None
    monkeypatch.setenv(
        "SLURM_JOB_NAME", "interactive"
    )  # srun python train.py in what salloc opened
    for key, value in {
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
    }.items():
        monkeypatch.setenv(key, value)
    assert slurm_job() == "12"
    assert slurm_step()[0] == {"devices": 2, "num_nodes": 1}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert slurm_step("cpu")[0]["devices"] == 2, "which needs no GPU"
    with pytest.raises(InputError, match="each sees 1 GPU"):
        slurm_step("auto")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # srun torchrun ... train.py
    assert slurm_step("auto") == ({}, [])
