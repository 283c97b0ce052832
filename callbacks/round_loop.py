"""The interaction of a stream, of tasks or of volumes: before every round a user annotates."""

from typing import Any, Generic, TypeVar

from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import method_of
from interseg.batches import Round
from interseg.continual.stream import RoundMethod

B = TypeVar("B", bound=Round)


class RoundLoop(Callback, Generic[B]):
    """Base of the users of a stream; a subclass says in `annotate` who the user is.

    The method answers, the user annotates, and the training step learns from what is then in the
    batch. A batch without a task, of pretraining, is passed over.
    """

    def __init__(self) -> None:
        self.begin_task((-1, -1))

    def begin_task(self, task: tuple[int, int]) -> None:
        """Discard what was given for another task.

        Args:
            task: Numbers of the sequence and of the task in it.
        """
        self.task = task
        self.given: dict[int, Any] = {}
        """Annotations of the task in progress; a checkpoint holds them."""

    def annotate(self, trainer: Trainer, method: LightningModule, batch: B, answer: Any) -> None:
        """Let the user annotate, and put what follows into the batch.

        Args:
            trainer: Trainer of the run.
            method: Method that is taught.
            batch: Round that begins.
            answer: Answer of the method to it; None while nothing has been learned.
        """
        raise NotImplementedError

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: B,
        batch_idx: int,
    ) -> None:
        """Let the method answer and the user annotate."""
        if "task" not in batch:
            return
        place = (batch["sequence"], batch["task"])
        if place != self.task:
            self.begin_task(place)
        method: RoundMethod[B, Any] = method_of(pl_module, RoundMethod)
        with trainer.precision_plugin.forward_context():  # Lightning enters it for steps, not hooks
            answer = method.begin_round(batch)
        self.annotate(trainer, pl_module, batch, answer)

    def state_dict(self) -> dict[str, Any]:
        """Return what was given for the task in progress."""
        return {"task": self.task, "given": self.given}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what was given for the task in progress."""
        self.begin_task(tuple(state_dict["task"]))
        self.given = dict(state_dict["given"])
