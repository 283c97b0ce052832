"""A run that is told to stop leaves a checkpoint of the step in hand, and a SLURM job that runs out of time is queued again.

SIGUSR1 is what `configs/slurm/train.sh` asks SLURM to send before the time limit and before a pre-emption: the run writes its
checkpoint, queues its job again and ends. At SIGTERM a job's run writes its checkpoint and goes on until SLURM ends it, which queues
pre-empted jobs again itself and leaves cancelled ones; a run without SLURM ends.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from callbacks.checkpoint import write_last
from interseg.distributed import from_all_ranks

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)


class Requeue(Checkpoint):
    """Hears the signals and answers between two steps, when all state is consistent, on every rank after the same step.

    Lightning's own handlers act within a step: one writes a checkpoint, the other calls a collective, for which a rank that is in
    another one waits for ever. It is a `Checkpoint` because Lightning calls those after all other callbacks.
    """

    def __init__(self) -> None:
        self._heard: set[int] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hear the signals in place of Lightning, which puts the handlers of before back at its end."""
        self._hear()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Likewise."""
        self._hear()

    def _hear(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, lambda given, frame: self._heard.add(given))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Answer; an epoch's last batch leaves it to the epoch's end."""
        if batch_idx + 1 < trainer.num_training_batches:
            self._answer(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answer."""
        self._answer(trainer)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any) -> None:
        """An evaluation has kept its batches (`interseg/records.py`) and leaves; ranks need not agree."""
        if self._heard:
            self._leave(trainer, self._heard)

    def _answer(self, trainer: Trainer) -> None:
        heard = set(self._heard)
        if not trainer.strategy.reduce_boolean_decision(bool(heard), all=False):
            return
        self._heard -= heard
        write_last(trainer)
        self._leave(trainer, set().union(*from_all_ranks(heard)))

    def _leave(self, trainer: Trainer, heard: set[int]) -> None:
        """End the run, unless SLURM will."""
        job = slurm_job()
        if job is None:
            names = " and ".join(signal.Signals(number).name for number in sorted(heard))
            sys.exit(f"stopped by {names}; the same command with run={trainer.default_root_dir} checkpoint=last goes on")
        if signal.SIGUSR1 in heard:
            if trainer.is_global_zero:
                queue_again(job)
            sys.exit(0)


def slurm_job() -> str | None:
    """The number of the job that this process belongs to, an array's task with the array's; None without SLURM."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def queue_again(job: str) -> None:
    """Queue a job again; the reason is printed where SLURM refuses."""
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode:
        print(f"job {job} could not be queued again: {done.stderr.strip()}; submit it anew with the same run=FOLDER", file=sys.stderr)
