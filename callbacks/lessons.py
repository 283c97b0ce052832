"""What a person who teaches hears of a fit: updates, refined answers, and when a task is over."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from callbacks.lookup import data_of, find_method, method_of
from interseg.batches import Round
from interseg.continual.stream import GatedMethod, OpenStream, RoundMethod
from interseg.continual.teacher import Learned, Listener


class Lessons(Callback):
    """Reporter of a fit to the person who teaches it, behind the loop that asks that person.

    The person says when a task is done: then its round is made the last one, and the stream goes
    on.

    Args:
        teacher: Person's side.
    """

    def __init__(self, teacher: Listener) -> None:
        self.teacher = teacher
        self.done, self.of = 0, 0

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Round,
        batch_idx: int,
    ) -> None:
        """Count the updates of a round that the loop has filled in."""
        method: RoundMethod[Round, Any] = method_of(pl_module, RoundMethod)
        self.done, self.of = 0, method.updates(batch)

    def on_before_optimizer_step(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        optimizer: Optimizer,
    ) -> None:
        """Tell of an update."""
        self.done += 1
        self.teacher.update(self.done, max(self.of, self.done))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Round,
        batch_idx: int,
    ) -> None:
        """Tell of the refined answer, and go on."""
        last = bool(batch["last_round"])
        refined = outputs["probabilities"][0].float().cpu().numpy()
        gated = find_method(pl_module, GatedMethod)
        layers = gated.activation() if gated else []
        activation = [layer.float().cpu().numpy() for layer in layers]
        self.teacher.learned(Learned(batch["task"], batch["round"], last, refined, activation))
        data_of(trainer, OpenStream).advance(last)
