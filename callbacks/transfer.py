"""R[t, i] of a task stream: after a task every image of the sequence is answered anew, shared out over the ranks (CLIS)."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.clicks.layout import IGNORE
from interseg.continual.transfer import mean_iou, transfer, weighted_iou
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.metrics import interval
from interseg.files import write_table, write_whole


class Transfer(Callback):
    """Writes `transfer.csv` (a row a figure of R) and `transfer.json` (each sequence's basic, forward, backward and drop, and means).

    All are on pixels that the user has not annotated; the official code's variant is on all of them.

    `transfer.json` also says what a round in which something was annotated takes from the annotations to the refined answer: seconds and
    forward passes of the network, a pass for each draw. The clock stops when the last pass is given to the device.

    An answer's draws are seeded by (seed, sequence, task, image), so that the figures do not depend on which rank gives it.

    Args:
        after: tasks (1, 2, ...) after which all images of the sequence are answered; None for all of them.
        forward_after: the task after which later images count; the paper's 4.
        backward_after: the task after which earlier images count; the paper's 8.
        seed: of the answers' draws.
    """

    def __init__(self, after: list[int] | None = None, forward_after: int = 4, backward_after: int = 8, seed: int = 0) -> None:
        self.after, self.forward_after, self.backward_after, self.seed = after, forward_after, backward_after, seed
        self.rows: list[dict[str, Any]] = []
        self.annotations: dict[tuple[int, int], torch.Tensor] = {}
        self.passes, self.begun, self.ended = 0, 0.0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: dict[str, Any], batch_idx: int) -> None:
        """Watch the network from the annotations on."""
        if "task" in batch:
            self.hook = pl_module.network.register_forward_hook(self._count)  # type: ignore[union-attr]
            self.passes, self.begun = 0, time.perf_counter()

    def _count(self, *_: Any) -> None:
        self.passes, self.ended = self.passes + 1, time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure a round's refined answer, and after a task those to the sequence's other images."""
        if "task" not in batch:
            return
        self.hook.remove()
        costs = {"seconds": self.ended - self.begun, "passes": self.passes} if bool(batch["new"].any()) else {}
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not 1 <= self.forward_after < data.length or not 2 <= self.backward_after <= data.length:
            tasks = f"forward_after={self.forward_after}, backward_after={self.backward_after}"
            raise InputError(f"callbacks.transfer: {tasks} with {data.length} tasks; later and earlier images must be there")
        predictions, masks = outputs["probabilities"].argmax(1).cpu().numpy(), batch["mask"].cpu().numpy()
        initial = batch["probabilities"].argmax(1).cpu().numpy()
        unannotated = np.where(batch["annotation"].cpu().numpy() != IGNORE, IGNORE, masks)
        place = {"sequence": batch["sequence"], "task": batch["task"], "image": batch["task"]}
        for prediction, first, mask, rest in zip(predictions, initial, masks, unannotated, strict=True):
            whole = {"iou": mean_iou(prediction, mask, data.classes), "weighted_iou": weighted_iou(prediction, mask, data.classes)}
            basic = mean_iou(prediction, rest, data.classes)
            figures = whole | {"basic": basic, "before": mean_iou(first, mask, data.classes), "annotated": float((rest != mask).mean())}
            self.rows.append(place | {"kind": f"round {batch['round']}"} | figures | costs)
            if batch["last_round"]:
                self.rows.append(place | {"kind": "refined"} | figures)
        if batch["last_round"]:
            self.annotations = {key: given for key, given in self.annotations.items() if key[0] == batch["sequence"]}
            self.annotations[batch["sequence"], batch["task"]] = batch["annotation"][0].cpu()
            if self.after is None or batch["task"] + 1 in self.after:
                self.rows += self._answers(pl_module, data, batch["sequence"], batch["task"], trainer)
            if batch["task"] == data.length - 1:
                self._write(trainer, data.length)

    def _answers(self, module: Any, data: Any, sequence: int, task: int, trainer: Trainer) -> list[dict[str, Any]]:
        """A row for each image of the sequence, answered by the ranks in turns."""
        rows = []
        module.eval()
        for number, index in enumerate(data.images_of(sequence)):
            if number % trainer.world_size != trainer.global_rank:
                continue
            batch = data.batch_of([index])
            with torch.random.fork_rng(devices=[] if module.device.type == "cpu" else [module.device]), torch.no_grad():
                torch.manual_seed(int(np.random.SeedSequence((self.seed, sequence, task, number)).generate_state(1)[0]))
                answer = module.predict(module.placed(batch["image"]), number if number <= task else None)
            prediction, mask = answer.probabilities.argmax(1)[0].cpu().numpy(), batch["mask"][0].numpy()
            figures = {"iou": mean_iou(prediction, mask, data.classes), "weighted_iou": weighted_iou(prediction, mask, data.classes)}
            given = self.annotations.get((sequence, number))
            rest = mask if given is None else np.where(given.numpy() != IGNORE, IGNORE, mask)
            figures["basic"] = mean_iou(prediction, rest, data.classes)
            rows.append({"sequence": sequence, "task": task, "image": number, "kind": "answer"} | figures)
        module.train()
        return sorted((row for part in from_all_ranks(rows) for row in part), key=lambda row: row["image"])

    def _write(self, trainer: Trainer, length: int) -> None:
        """The files, with all sequences so far; the figures are logged."""
        figures = self.figures(length)
        for name, value in figures["mean"].items():
            trainer.lightning_module.log(f"transfer/{name}", value)
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        write_whole(folder / "transfer.json", json.dumps(figures, indent=1))
        columns = ["sequence", "task", "image", "kind", "iou", "weighted_iou", "basic", "before", "annotated", "passes"]
        write_table(folder / "transfer.csv", columns, self.rows)  # without seconds, which no second run repeats

    def figures(self, length: int) -> dict[str, Any]:
        """What `transfer` gives of every finished sequence, by mean IoU and by the official code's, means with intervals, and rounds."""
        found: dict[str, dict[str, float]] = {}
        for sequence in sorted({row["sequence"] for row in self.rows}):
            rows = [row for row in self.rows if row["sequence"] == sequence]
            refined = [row for row in rows if row["kind"] == "refined"]
            if len(refined) < length:
                continue
            found[str(sequence)] = {}
            for figure, own in (("basic", "basic"), ("weighted_iou", "weighted_iou")):
                matrix = np.full((length, length), np.nan)
                for row in rows:
                    if row["kind"] == "answer":
                        matrix[row["task"], row["image"]] = row[figure]
                values = transfer(matrix, [row[own] for row in refined], self.forward_after, self.backward_after)
                found[str(sequence)] |= {(name if figure == "basic" else f"official_{name}"): value for name, value in values.items()}
        names = next(iter(found.values())).keys()
        columns = {name: [values[name] for values in found.values()] for name in names}
        return {
            "sequences": found,
            "mean": {name: float(np.mean(values)) for name, values in columns.items()},
            "interval": {name: interval(values) for name, values in columns.items()},
            "rounds": self._rounds(),
        }

    def _rounds(self) -> list[dict[str, Any]]:
        """Means over all tasks of a round's `basic`, `seconds` and `passes`; the last two None where no task had something annotated."""
        means = []
        for kind in round_kinds(self.rows):
            values = {name: [r[name] for r in self.rows if r["kind"] == kind and name in r] for name in ("basic", "seconds", "passes")}
            means.append({"kind": kind} | {name: float(np.mean(found)) if found else None for name, found in values.items()})
        return means

    def state_dict(self) -> dict[str, Any]:
        """All rows so far, and the annotations of the sequence in progress."""
        return {"rows": self.rows, "annotations": self.annotations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.rows, self.annotations = state_dict["rows"], dict(state_dict["annotations"])


def round_kinds(rows: list[dict[str, Any]]) -> list[str]:
    """The kinds of rows that are rounds, `round 0`, `round 1`, ..., in their order."""
    return sorted({row["kind"] for row in rows if row["kind"].startswith("round ")}, key=lambda kind: int(kind.split()[1]))
