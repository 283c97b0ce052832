"""`volumes.html`: rounds of a stream's first and last volumes, slice by slice, and what labour gave, in one self-contained page."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.figures import draw_panels, page, png
from callbacks.slice_loop import SliceLoop
from interseg.files import write_whole
from interseg.volumes.measures import dice, residual
from interseg.volumes.slices import index, other_axes
from interseg.volumes.users import SliceUser


class VolumeReport(Callback):
    """Draws the first permutation that a run plays, of offline training the last epoch; rewrites the page after each of its volumes.

    A round shows the slice in which the target is largest, of a plane in which no slice is labelled: the image, the truth, the proxy
    mask, the segmenter's answer after the round, the residual map that guides the next one, and how far targets are trusted.

    Args:
        volumes: that are drawn, the first and last ones of the permutation; the curves are of all.
        panel_width: of a picture in inches.
    """

    def __init__(self, volumes: int = 6, panel_width: float = 1.9) -> None:
        self.volumes, self.panel_width = volumes, panel_width
        self.permutation: int | None = None
        self.rounds: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int) -> None:
        """Draw a round, and after a volume write the page."""
        offline = pl_module.start_anew == "never"
        if batch["task"] == batch["round"] == 0 and (self.permutation is None or offline):
            self.permutation, self.rounds = batch["sequence"], []
        if offline and trainer.current_epoch + 1 != trainer.max_epochs:
            return
        if not trainer.is_global_zero or batch["sequence"] != self.permutation:
            return
        truth, answer = batch["mask"][0].cpu().numpy().astype(bool), outputs["probabilities"][0, 0].cpu().numpy()
        row = {
            "volume": batch["task"],
            "round": batch["round"],
            "dice": dice(answer > 0.5, truth),
            "proxy": dice(batch["proxy"], truth),
            "agreement": dice(answer > 0.5, batch["proxy"]),
            "labour": batch["labour"],
        }
        count = len(trainer.datamodule.order(batch["sequence"]))  # type: ignore[attr-defined]
        if batch["task"] < (self.volumes + 1) // 2 or batch["task"] >= count - self.volumes // 2:
            loop = next(c for c in trainer.callbacks if isinstance(c, SliceLoop))  # type: ignore[attr-defined]
            row["picture"] = png(self._draw(batch, truth, answer, (loop.user or SliceUser()).weight))
        self.rounds.append(row)
        if batch["last_round"]:
            curves = png(draw_labour(self.rounds))
            text = page(
                "volume_report.html.jinja",
                permutation=self.permutation,
                crop=trainer.datamodule.crop,  # type: ignore[attr-defined]
                rounds=self.rounds,
                curves=curves,
                seen=batch["task"] + 1,
            )
            write_whole(Path(trainer.default_root_dir, "volumes.html"), text)

    def _draw(self, batch: dict[str, Any], truth: np.ndarray, answer: np.ndarray, weight: float) -> Figure:
        axis = next((a for a in (2, 1, 0) if a not in batch["labelled"]), 2)  # a slice that nobody labels
        place = index(axis, int(truth.sum(other_axes(axis)).argmax()))
        image = batch["volume"][0, 0].float().cpu().numpy()[place]
        panels = {
            "image": image,
            "truth": truth[place].astype(float),
            "proxy": np.asarray(batch["proxy"][place], float),
            "answer": answer[place],
            "residual": residual(batch["proxy"], answer, batch["labelled"], weight)[place],
            "confidence": batch["confidence"][0, 0].float().cpu().numpy()[place],
        }
        ranges = dict.fromkeys(("truth", "proxy", "answer", "residual"), (0.0, 1.0))
        return draw_panels(panels, self.panel_width, ranges | {"image": (float(image.min()), float(image.max()))})

    def state_dict(self) -> dict[str, Any]:
        """What was drawn."""
        return {"permutation": self.permutation, "rounds": self.rounds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.permutation, self.rounds = state_dict["permutation"], state_dict["rounds"]


def draw_labour(rounds: list[dict[str, Any]]) -> Figure:
    """Dice of proxies and answers against labour, a point a round, and over the stream; the labour given so far (Fig. 4, 5 and 8)."""
    figure = Figure(figsize=(13, 3.2), layout="constrained", dpi=80)
    left, middle, right = figure.subplots(1, 3)
    numbers = sorted({row["round"] for row in rounds})
    groups = [[row for row in rounds if row["round"] == number] for number in numbers]
    labour = [np.mean([row["labour"] for row in group]) for group in groups]
    for name, label in (("proxy", "proxy mask and truth"), ("dice", "answer and truth"), ("agreement", "answer and proxy mask")):
        left.plot(labour, [np.mean([row[name] for row in group]) for group in groups], marker="o", label=label)
    left.set(xlabel="labour, share of full labelling", ylabel="mean Dice", ylim=(0, 1))
    left.legend(loc="lower right")
    volumes = sorted({row["volume"] for row in rounds})
    ends = [[row for row in rounds if row["volume"] == volume][-1] for volume in volumes]
    for name in ("proxy", "dice", "agreement"):
        middle.plot([v + 1 for v in volumes], np.cumsum([row[name] for row in ends]) / np.arange(1, len(ends) + 1))
    middle.set(xlabel="volumes", ylabel="mean Dice so far, last rounds", ylim=(0, 1))
    given = [max(row["labour"] for row in rounds if row["volume"] == volume) for volume in volumes]
    right.plot([v + 1 for v in volumes], np.cumsum(given) / np.arange(1, len(given) + 1), marker="o", markersize=3)
    right.set(xlabel="volumes", ylabel="mean labour so far", ylim=(0, 1.1 * max(given)))
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    return figure
