"""`checkpoints/last.ckpt`, from which a run that was killed goes on as if it had not been."""

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn


class LastCheckpoint(Checkpoint):
    """Writer of the whole state of training.

    It writes at the ends of epochs, the last one always, within epochs every few steps, and
    before validations. Where `max_steps` or `max_time` ends a run within an epoch, it writes behind
    the last step: with more of them the run goes on with the next batch.

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
        self._ended_within = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write within an epoch; its last batch leaves it to the epoch's end."""
        steps, rest = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        if rest or batch_idx + 1 >= trainer.num_training_batches:
            return
        self._ended_within = is_over(trainer)
        due = self.every_n_steps and steps % self.every_n_steps == 0
        if due or self._ended_within:
            write_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end of an epoch, unless the run ended within it and is written."""
        if self._ended_within:
            return
        epochs = trainer.current_epoch + 1
        if epochs % self.every_n_epochs == 0 or epochs == trainer.max_epochs or is_over(trainer):
            write_last(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write before a validation of training."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        ended = batches == trainer.num_training_batches
        if ended or batches % trainer.accumulate_grad_batches == 0:
            write_last(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the config that stands in the run's folder, as text."""
        config = Path(trainer.default_root_dir, "config.yaml")
        checkpoint["config"] = config.read_text(encoding="utf-8") if config.exists() else ""


def is_over(trainer: Trainer) -> bool:
    """Tell whether steps or time have ended the run."""
    return trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step


def write_last(trainer: Trainer) -> None:
    """Write the whole state of training to `checkpoints/last.ckpt` in the run's folder."""
    trainer.save_checkpoint(
        Path(trainer.default_root_dir, "checkpoints", "last.ckpt"), weights_only=False
    )
