"""A run that is told to stop leaves a checkpoint of the step in hand.

SIGUSR1 is what `configs/slurm/train.sh` passes on before a job's time limit or pre-emption: the run
writes its checkpoint and ends, and the script queues the job again. At SIGTERM a job's run writes
its checkpoint and goes on until SLURM ends it, which queues pre-empted jobs again itself and leaves
cancelled ones; a run without SLURM ends. Ctrl+C (SIGINT) is heard in the same way, and ends the
process at once when it is pressed again.
"""

import os
import signal
import sys
import threading
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment

from callbacks.checkpoint import ends_within_epoch, write_last
from interseg.distributed import from_all_ranks

SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


class Requeue(Checkpoint):
    """Listener to signals that answers between two steps, when all state is consistent.

    It does so on every rank after the same step.

    Lightning's own handlers act within a step: one writes a checkpoint, the other calls a
    collective, for which a rank that is in another one waits for ever. It is a `Checkpoint` because
    Lightning calls those after all other callbacks. Between the batches of a validation or an
    evaluation a rank leaves by itself: there the checkpoint is `LastCheckpoint`'s of before, or the
    evaluation's record.
    """

    def __init__(self) -> None:
        self._heard: set[int] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which restores the earlier handlers at its end."""
        self._hear(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over, as in training."""
        self._hear(trainer)

    def _hear(self, trainer: Trainer) -> None:
        def heard(number: int, frame: Any) -> None:
            if number == signal.SIGINT:  # a terminal gives it to all ranks
                if number in self._heard:
                    raise KeyboardInterrupt
                if trainer.is_global_zero:
                    print("\nends after this step; Ctrl+C again ends at once", file=sys.stderr)
            self._heard.add(number)
            launcher = trainer.strategy.launcher
            if launcher is not None and slurm_job() is None and number != signal.SIGINT:
                launcher.kill(signal.Signals(number))  # the ranks that this process has started

        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number != signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, heard)  # shells ignore Ctrl+C for what runs behind them

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Answer a signal after a step; an epoch's last batch leaves it to the epoch's end."""
        between_steps = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if between_steps and batch_idx + 1 < trainer.num_training_batches:
            self._answer(trainer, within=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answer."""
        self._answer(trainer, writes=not ends_within_epoch(trainer))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Leave."""
        self._leave(trainer, self._heard)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Leave."""
        self._leave(trainer, self._heard)

    def _answer(self, trainer: Trainer, writes: bool = True, within: bool = False) -> None:
        heard = set(self._heard)
        if trainer.strategy.reduce_boolean_decision(bool(heard), all=False):
            self._heard -= heard
            if writes:  # where time ends a run within an epoch, its last step is written
                write_last(trainer)
            together = set().union(*from_all_ranks(heard))
            if within and self._leaves(together):  # Lightning would log the step behind this hook
                trainer._logger_connector.on_batch_end()
                trainer._logger_connector.update_train_step_metrics()
            if together and slurm_job() is None and not trainer.is_global_zero:
                sys.exit(0)  # Lightning kills the main process when another one fails
            self._leave(trainer, together)

    def _leave(self, trainer: Trainer, heard: set[int]) -> None:
        """End the run, unless SLURM will or nothing was heard."""
        if not self._leaves(heard):
            return
        if slurm_job() is None or signal.SIGINT in heard:
            names = " and ".join(signal.Signals(number).name for number in sorted(heard))
            again = " checkpoint=last" * bool(trainer.training or trainer.validating)
            sys.exit(
                f"stopped by {names}; the same command with "
                f"run={trainer.default_root_dir}{again} goes on"
            )
        sys.exit(0)

    def _leaves(self, heard: set[int]) -> bool:
        """Tell whether the run ends now; SLURM itself ends one that heard SIGTERM alone."""
        outside = bool(heard) and slurm_job() is None
        return outside or bool(heard & {signal.SIGINT, signal.SIGUSR1})


def in_step() -> bool:
    """Check whether `srun` started this process as a task of a step.

    A shell that a person opened by `salloc` or `srun --pty` is none.

    Lightning knows shells by their job's name, which the steps that are started in them share. One
    of several tasks is a step's, unless it has a terminal.
    """
    several = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and not os.isatty(0)
    return "SLURM_STEP_ID" in os.environ and (several or SLURMEnvironment.detect())


def slurm_job() -> str | None:
    """Return the number of this process's batch job or step, with the array's for a task of one.

    None without SLURM, and in a shell that `salloc` or `srun --pty` opened, in which a person
    starts and ends commands.
    """
    if os.environ.get("ENVIRONMENT") != "BATCH" and not in_step():
        return None
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
