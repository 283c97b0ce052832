"""R[t, i] of a task stream (CLIS).

After a task every image of the sequence is answered again, shared out over the ranks.
"""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.lookup import data_of, method_of
from callbacks.offers import Table
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.stream import TaskMethod, TaskStream
from interseg.continual.transfer import mean_measured
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou
from interseg.evaluation.stream_figures import (
    Row,
    answer_figures,
    mean_matrix,
    round_kinds,
    stream_figures,
)
from interseg.files import write_table, write_whole


class Transfer(Callback):
    """Writer of `transfer.csv` and `transfer.json`.

    The table has a row a figure of R, the other file each sequence's basic, forward, backward and
    drop, and means. All are on pixels that the user has not annotated; the official code's variant
    is on all of them.

    `transfer.json` also says what a round in which something was annotated takes from the
    annotations to the refined answer: seconds and forward passes of the network, a pass for each
    draw. The clock stops when the last pass is given to the device.

    An answer's draws are seeded by (seed, sequence, task, image), so that the figures do not depend
    on which rank gives it.

    Args:
        after: Tasks (1, 2, ...) after which all images of the sequence are answered; None for all.
        forward_after: Task after which later images count; the paper's 4.
        backward_after: Task after which earlier images count; the paper's 8.
        seed: Seed of the answers' draws.

    Raises:
        InputError: `after` lacks one of the two tasks.
    """

    def __init__(
        self,
        after: list[int] | None = None,
        forward_after: int = 4,
        backward_after: int = 8,
        seed: int = 0,
    ) -> None:
        measured = {forward_after, backward_after}
        if after is not None and not measured <= set(after):
            raise InputError(
                f"callbacks.transfer: after={after} leaves out tasks of forward_after="
                f"{forward_after} or backward_after={backward_after}, after which is measured; "
                "add them"
            )
        self.after, self.seed = after, seed
        self.forward_after, self.backward_after = forward_after, backward_after
        self.rows: list[Row] = []
        self.annotations: dict[tuple[int, int], Tensor] = {}
        self.passes, self.begun, self.ended = 0, 0.0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the tasks after which is measured."""
        data = data_of(trainer, TaskStream)
        if data.protocol.kind == "sequence":
            self._check(data.length)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Watch the network from the annotations on."""
        if "task" in batch:
            network = method_of(pl_module, TaskMethod).network
            self.hook = network.register_forward_hook(self._count)
            self.passes, self.begun = 0, time.perf_counter()

    def _count(self, *_: Any) -> None:
        self.passes, self.ended = self.passes + 1, time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Measure a round's refined answer, and after a task all of its sequence's."""
        if "task" not in batch:
            return
        self.hook.remove()
        data = data_of(trainer, TaskStream)
        self._add_round(batch, outputs, data.classes)
        if not batch["last_round"]:
            return
        sequence, task = batch["sequence"], batch["task"]
        kept = {key: given for key, given in self.annotations.items() if key[0] == sequence}
        self.annotations = kept | {(sequence, task): batch["annotation"][0].cpu()}
        if self.after is None or task + 1 in self.after:
            self.rows += self._answers(trainer, data, sequence, task)
        if task == data.length - 1:
            self._write(trainer, data.length)

    def _check(self, length: int) -> None:
        """Raise `InputError` where no later or earlier images would be there to measure."""
        if 1 <= self.forward_after < length and 2 <= self.backward_after <= length:
            return
        tasks = f"forward_after={self.forward_after}, backward_after={self.backward_after}"
        given = f"callbacks.transfer: {tasks} with {length} tasks"
        raise InputError(f"{given}; later and earlier images must be there")

    def _add_round(self, batch: TaskBatch, outputs: Any, classes: int) -> None:
        """Add a row for a round's refined answer, and one more in a task's last round."""
        annotated = bool(batch["new"].any())
        costs = {"seconds": self.ended - self.begun, "passes": self.passes} if annotated else {}
        predictions = outputs["probabilities"].argmax(1).cpu().numpy()
        propagated = outputs["propagated"].cpu().numpy()
        initial = batch["probabilities"].argmax(1).cpu().numpy()
        masks, given = batch["mask"].cpu().numpy(), batch["annotation"].cpu().numpy()
        rest = np.where(given != IGNORE, IGNORE, masks)
        place = {"sequence": batch["sequence"], "task": batch["task"], "image": batch["task"]}
        for row, mask in enumerate(masks):
            figures = answer_figures(predictions[row], mask, rest[row], classes)
            figures["before"] = mean_iou(initial[row], mask, classes)
            figures["propagated"] = mean_iou(propagated[row], rest[row], classes)
            figures["annotated"] = float((rest[row] != mask).mean())
            self.rows.append(place | {"kind": f"round {batch['round']}"} | figures | costs)
            if batch["last_round"]:
                self.rows.append(place | {"kind": "refined"} | figures)

    def _answers(self, trainer: Trainer, data: TaskStream, sequence: int, task: int) -> list[Row]:
        """Return a row for each image of the sequence, answered by the ranks in turns."""
        module = trainer.lightning_module
        rows = []
        module.eval()
        for number, index in enumerate(data.images_of(sequence)):
            if number % trainer.world_size != trainer.global_rank:
                continue
            batch = data.batch_of([index])
            answer = self._answer(module, batch, (sequence, task, number))
            prediction, mask = answer.argmax(1)[0].cpu().numpy(), batch["mask"][0].numpy()
            given = self.annotations.get((sequence, number))
            rest = mask if given is None else np.where(given.numpy() != IGNORE, IGNORE, mask)
            place = {"sequence": sequence, "task": task, "image": number, "kind": "answer"}
            rows.append(place | answer_figures(prediction, mask, rest, data.classes))
        module.train()
        gathered = [row for part in from_all_ranks(rows) for row in part]
        return sorted(gathered, key=lambda row: row["image"])

    def _answer(
        self,
        module: LightningModule,
        batch: TaskBatch,
        place: tuple[int, int, int],
    ) -> Tensor:
        """Return probabilities by draws that depend on sequence, task and image alone."""
        method = method_of(module, TaskMethod)
        devices = [] if module.device.type == "cpu" else [module.device]
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            seed = np.random.SeedSequence((self.seed, *place)).generate_state(1)[0]
            torch.manual_seed(int(seed))
            met = place[2] if place[2] <= place[1] else None
            return method.predict(batch, met).probabilities

    def _write(self, trainer: Trainer, length: int) -> None:
        """Write the files, with all sequences so far, and log the figures.

        Of a sequence that had begun before this callback came, the rounds are missing.
        """
        rounds = [row for row in self.rows if row["kind"] == "refined"]
        if max(Counter(row["sequence"] for row in rounds).values()) < length:
            return
        figures = stream_figures(self.rows, length, self.forward_after, self.backward_after)
        for name, value in figures["mean"].items():
            trainer.lightning_module.log(f"transfer/{name}", value)
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        write_whole(folder / "transfer.json", json.dumps(figures, indent=1))
        columns = ["sequence", "task", "image", "kind", "iou", "weighted_iou", "basic"]
        columns += [
            "before",
            "annotated",
            "propagated",
            "passes",
        ]  # no seconds, which no second run repeats
        write_table(folder / "transfer.csv", columns, self.rows)

    def quality(self) -> list[float]:
        """Return the mean IoU of refined answers after each round, without annotated pixels."""
        kinds = round_kinds(self.rows)
        groups = [[row["basic"] for row in self.rows if row["kind"] == kind] for kind in kinds]
        return [mean_measured(np.array(values)) for values in groups]

    def tables(self) -> dict[str, Table]:
        """Return R[t, i] so far: a row a task, a column an image."""
        if not self.rows:
            return {}
        means = mean_matrix(self.rows)
        tasks, images = sorted({task for task, _ in means}), sorted({image for _, image in means})
        lines = [[task + 1, *(means.get((task, image)) for image in images)] for task in tasks]
        return {"matrix": Table(["after task", *(f"image {i + 1}" for i in images)], lines)}

    def state_dict(self) -> dict[str, Any]:
        """Return all rows so far, and the annotations of the sequence in progress."""
        return {"rows": self.rows, "annotations": self.annotations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.rows, self.annotations = state_dict["rows"], dict(state_dict["annotations"])
