"""`tasks.html`: what happened in the rounds of a task stream, in one self-contained page.

For each round: the image, the answer, its uncertainty and how much of it is epistemic, the
annotations, the labels that follow from them, the refined answer. For each task the state of every
kernel (CLIS, Fig. 4) and the earlier task that its image was most like. IoU against annotations.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.lookup import find_method, method_of
from callbacks.offers import Captioned, caption
from callbacks.pages import draw_panels, page, png
from interseg.batches import TaskBatch
from interseg.clicks.layout import IGNORE
from interseg.continual.stream import GatedMethod, TaskMethod
from interseg.evaluation.overlap import mean_iou
from interseg.files import write_whole

MOVED = 0.1
"""Difference of probabilities beyond which a kernel is another than it was."""


class TaskReport(Callback):
    """Page of the first sequence that a run plays from its beginning, rewritten after each task.

    Args:
        panel_width: Width of a picture in inches.
    """

    def __init__(self, panel_width: float = 2.2) -> None:
        self.panel_width = panel_width
        self.sequence: int | None = None
        self.rounds: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.neighbour: list[tuple[int, float, bool]] = []
        self.first: list[NDArray[Any]] = []

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Begin with a sequence's first round; ask what the image is like before it is learned."""
        if "task" not in batch or batch["round"] != 0:
            return
        if batch["task"] == 0 and self.sequence is None:
            self.sequence = batch["sequence"]
        if self._drawn(trainer, batch):
            gated = self._gated(pl_module)
            self.neighbour = gated.neighbour(batch["image"]) if gated else []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: TaskBatch,
        batch_idx: int,
    ) -> None:
        """Draw a round; after a task also its kernels, and write the page."""
        if not self._drawn(trainer, batch):
            return
        self.rounds.append(self._round(batch, outputs))
        if batch["last_round"]:
            gated = self._gated(pl_module)
            kernels = gated.activation() if gated else []
            activation = [layer.float().cpu().numpy() for layer in kernels]
            if batch["task"] == 0:
                self.first = activation
            task = {
                "task": batch["task"],
                "kernels": png(draw_kernels(activation)) if activation else "",
                "used": describe_kernels(activation, self.first),
                "neighbour": self.neighbour[0] if self.neighbour else None,
            }
            self.tasks.append(task)
            self._write(Path(trainer.default_root_dir))

    def _gated(self, module: LightningModule) -> GatedMethod | None:
        """Return a method of tasks, if it has gates."""
        return find_method(method_of(module, TaskMethod), GatedMethod)

    def _drawn(self, trainer: Trainer, batch: TaskBatch) -> bool:
        in_stream = "task" in batch and self.sequence is not None
        return trainer.is_global_zero and in_stream and batch["sequence"] == self.sequence

    def _round(self, batch: TaskBatch, outputs: Any) -> dict[str, Any]:
        """Return a round's figures, and its panels as a picture."""
        mask = batch["mask"][0].cpu().numpy()
        annotation = batch["annotation"][0].cpu().numpy()
        classes = batch["probabilities"].shape[1]
        before = most_probable(batch["probabilities"])
        after = most_probable(outputs["probabilities"])
        earlier = [row["annotations"] for row in self.rounds if row["task"] == batch["task"]]
        panels = round_panels(batch, outputs)
        ranges = {"epistemic part": (0.0, float(panels["uncertainty"].max()))}
        return {
            "task": batch["task"],
            "round": batch["round"],
            "before": mean_iou(before, mask, classes),
            "after": mean_iou(after, mask, classes),
            "annotated": float((annotation != IGNORE).mean()),
            "annotations": max(earlier, default=0) + int(batch["new"][0]),
            "picture": png(draw_panels(panels, self.panel_width, ranges)),
        }

    def _write(self, folder: Path) -> None:
        text = page(
            "task_report.html.jinja",
            sequence=self.sequence,
            rounds=self.rounds,
            tasks=self.tasks,
            curve=png(draw_curve(self.rounds)),
        )
        write_whole(folder / "tasks.html", text)

    def images(self) -> dict[str, list[Captioned]]:
        """Return the pictures of the rounds."""
        return {"rounds": caption(self.rounds)}

    def state_dict(self) -> dict[str, Any]:
        """Return what was drawn."""
        first = [torch.from_numpy(layer) for layer in self.first]
        drawn = {
            "sequence": self.sequence,
            "rounds": self.rounds,
            "tasks": self.tasks,
            "first": first,
        }
        return drawn | {"neighbour": self.neighbour}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what was drawn."""
        self.sequence, self.rounds = state_dict["sequence"], state_dict["rounds"]
        self.tasks, self.neighbour = state_dict["tasks"], state_dict["neighbour"]
        self.first = [layer.numpy() for layer in state_dict["first"]]


def most_probable(probabilities: Tensor) -> NDArray[np.int64]:
    """Return the classes (H, W) of the first image of (B, C, H, W)."""
    return probabilities[0].argmax(0).cpu().numpy()


def round_panels(batch: TaskBatch, outputs: Any) -> dict[str, NDArray[Any]]:
    """Return the pictures of a round by their names."""
    classes = batch["probabilities"].shape[1]
    propagated = outputs["propagated"][0].cpu().numpy()
    return {
        "image": batch["image"][0].movedim(0, -1).float().cpu().numpy(),
        "truth": colour(batch["mask"][0].cpu().numpy(), classes),
        "answer": colour(most_probable(batch["probabilities"]), classes),
        "uncertainty": batch["uncertainty"][0].float().cpu().numpy(),
        "epistemic part": batch["epistemic"][0].float().cpu().numpy(),
        "annotations": colour(batch["annotation"][0].cpu().numpy(), classes),
        "propagated": colour(propagated, classes),
        "refined": colour(most_probable(outputs["probabilities"]), classes),
    }


def colour(labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Colour a label map: (H, W, 3), white where it is 255."""
    palette = colormaps["tab10" if classes <= 10 else "tab20"](np.arange(classes) % 20)[:, :3]
    return np.where(
        (labels == IGNORE)[..., None], 1.0, palette[np.where(labels == IGNORE, 0, labels)]
    )


def describe_kernels(activation: list[NDArray[Any]], first: list[NDArray[Any]]) -> str:
    """Count the kernels that are on, and those that changed since the first task.

    A kernel is on with a probability above one half.
    """
    now, then = (
        np.concatenate(layers) if layers else np.empty(0) for layers in (activation, first)
    )
    on, moved = (now > 0.5).sum(), (np.abs(now - then) > MOVED).sum()
    return f"{on} of {now.size} on; {moved} other than after the first task"


def draw_kernels(activation: list[NDArray[Any]]) -> Figure:
    """Draw a row a layer, a column a kernel; dark is switched on (CLIS, Fig. 4)."""
    matrix = np.full((len(activation), max(len(layer) for layer in activation)), np.nan)
    for row, layer in zip(matrix, activation, strict=True):
        row[: len(layer)] = layer
    figure = Figure(figsize=(6, 1.9), layout="constrained", dpi=80)
    axis = figure.subplots()
    axis.imshow(matrix, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axis.set(xlabel="kernel", ylabel="layer")
    return figure


def draw_curve(rounds: list[dict[str, Any]]) -> Figure:
    """Draw mean IoU of the tasks so far, before and after each round.

    It is drawn against the annotations given until then, a mean over tasks too.
    """
    figure = Figure(figsize=(4.5, 3), layout="constrained", dpi=80)
    axis = figure.subplots()
    numbers = sorted({row["round"] for row in rounds})
    values = [
        np.mean([r["before"] for r in rounds if r["round"] == 0]),
        *(np.mean([r["after"] for r in rounds if r["round"] == n]) for n in numbers),
    ]
    given = [
        0.0,
        *(np.mean([r["annotations"] for r in rounds if r["round"] == n]) for n in numbers),
    ]
    axis.plot(given, values, marker="o")
    axis.set(xlabel="annotations", ylabel="mean IoU", ylim=(0, 1))
    axis.grid(alpha=0.3)
    return figure
