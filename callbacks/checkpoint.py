"""`checkpoints/last.ckpt`, from which a run that was killed goes on as if it had not been."""

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn


class LastCheckpoint(Checkpoint):
    """Writer of the whole state of training.

    It writes at the ends of epochs, the last one always, within epochs every few steps, and
    before and after validations. Where `max_steps` or `max_time` ends a run within an epoch, it
    writes behind the last step: with more of them the run goes on with the next batch (with the
    next epoch, if time ends between the batches of an accumulated step).

    The file carries the run's config. It is replaced in one move
    (`configs.plugins.AtomicCheckpointIO`): a kill while it is written leaves the one before. A run
    that was ended in a validation goes on behind it: one that outlasts a job's time limit would
    hold it up for ever. Only a validation between the batches of an accumulated step
    (`val_check_interval` no multiple of `accumulate_grad_batches`) has no checkpoint of its own.

    Args:
        every_n_steps: Number of steps between two writes within an epoch; None for the ends of
            epochs only. With accumulated gradients a step has several batches, and nothing is
            written between them: a checkpoint holds no gradients.
        every_n_epochs: Number of epochs between two writes at an epoch's end.
    """

    def __init__(self, every_n_steps: int | None = 500, every_n_epochs: int = 1) -> None:
        self.every_n_steps, self.every_n_epochs = every_n_steps, every_n_epochs
        self._written: tuple[int, int] | None = None
        self._place: dict[str, Any] = {}
        """State of the loops and of the data in the last file that was written within an epoch."""
        self._keeps = False
        self._within: dict[str, Any] | None = None
        """The same, where it is to stand in the next file too."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write within an epoch; its last batch leaves it to the epoch's end."""
        steps, rest = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        if rest or batch_idx + 1 >= trainer.num_training_batches:
            return
        due = self.every_n_steps and steps % self.every_n_steps == 0
        if due or is_over(trainer):
            self._write_within(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end of an epoch.

        If the run ended within it, the file keeps the place of the last step, beside what other
        callbacks keep at the epoch's end.
        """
        epochs = trainer.current_epoch + 1
        if ends_within_epoch(trainer) and self._written == place_of(trainer):
            self._within = self._place
            write_last(trainer)
            self._within = None
        elif epochs % self.every_n_epochs == 0 or epochs == trainer.max_epochs or is_over(trainer):
            write_last(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write before a validation of training."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        batches = batches_of(trainer)
        ended = batches == trainer.num_training_batches
        if ended or batches % trainer.accumulate_grad_batches == 0:
            self._write_within(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what other callbacks keep of a validation within an epoch."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if self._written == place_of(trainer) and ends_within_epoch(trainer):
            self._write_within(trainer)

    def _write_within(self, trainer: Trainer) -> None:
        if self._written == place_of(trainer):  # Lightning resumes best behind a batch
            self._within = self._place
        self._written, self._keeps = place_of(trainer), True
        write_last(trainer)
        self._keeps, self._within = False, None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the config that stands in the run's folder, as text."""
        if self._within is not None:
            checkpoint |= self._within
        elif self._keeps:
            name = type(trainer.datamodule).__qualname__  # type: ignore[attr-defined]
            self._place = {key: checkpoint[key] for key in ("loops", name) if key in checkpoint}
        config = Path(trainer.default_root_dir, "config.yaml")
        checkpoint["config"] = config.read_text(encoding="utf-8") if config.exists() else ""


def is_over(trainer: Trainer) -> bool:
    """Tell whether steps, time or another callback have ended the run."""
    stopped = trainer.should_stop and trainer.fit_loop._can_stop_early
    return stopped or 0 <= trainer.max_steps <= trainer.global_step


def ends_within_epoch(trainer: Trainer) -> bool:
    """Tell whether there are batches of the epoch to come."""
    last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch  # of loaders without a length
    return not last and batches_of(trainer) < trainer.num_training_batches


def place_of(trainer: Trainer) -> tuple[int, int]:
    """Return the epoch, and the number of its batches so far."""
    return trainer.current_epoch, batches_of(trainer)


def batches_of(trainer: Trainer) -> int:
    """Return the number of the epoch's batches so far."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)


def write_last(trainer: Trainer) -> None:
    """Write the whole state of training to `checkpoints/last.ckpt` in the run's folder."""
    trainer.save_checkpoint(
        Path(trainer.default_root_dir, "checkpoints", "last.ckpt"), weights_only=False
    )
