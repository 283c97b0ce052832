"""`volumes.html`: rounds of a stream's first and last volumes, in one self-contained page.

A slice of each, and what labour gave.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import callback_of, data_of
from callbacks.offers import Captioned, caption
from callbacks.pages import draw_panels, page, png, put_legend_below
from callbacks.slice_loop import SliceLoop
from interseg.batches import VolumeBatch
from interseg.files import write_whole
from interseg.volumes.measures import dice, residual
from interseg.volumes.slices import index, other_axes
from interseg.volumes.stream import VolumeStream


class VolumeReport(Callback):
    """Page of the first permutation that a run plays, rewritten after each of its volumes.

    Of offline training it is the last epoch. A round shows the slice in which the target is
    largest, of a plane in which no slice is labelled: the image, the truth, the proxy mask, the
    segmenter's answer after the round, the residual map that guides the next one, and how far
    targets are trusted.

    Args:
        volumes: Number of volumes that are drawn, the first and last ones of the permutation; the
            curves are of all.
        panel_width: Width of a picture in inches.
    """

    def __init__(self, volumes: int = 6, panel_width: float = 1.9) -> None:
        self.volumes, self.panel_width = volumes, panel_width
        self.permutation: int | None = None
        self.rounds: list[dict[str, Any]] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: VolumeBatch,
        batch_idx: int,
    ) -> None:
        """Draw a round, and after a volume write the page."""
        data = data_of(trainer, VolumeStream)
        offline = data.protocol.kind == "offline"
        if batch["task"] == batch["round"] == 0 and (self.permutation is None or offline):
            self.permutation, self.rounds = batch["sequence"], []
        if offline and trainer.current_epoch + 1 != trainer.max_epochs:
            return
        if not trainer.is_global_zero or batch["sequence"] != self.permutation:
            return
        answer = outputs["probabilities"][0, 0].cpu().numpy()
        row = round_row(batch, answer)
        count = len(data.order(batch["sequence"]))
        first, last = (self.volumes + 1) // 2, count - self.volumes // 2
        if batch["task"] < first or batch["task"] >= last:
            user = callback_of(trainer, SliceLoop).user
            row["picture"] = png(self._draw(batch, answer, user.weight))
        self.rounds.append(row)
        if batch["last_round"]:
            self._write(Path(trainer.default_root_dir), data.crop, batch["task"] + 1)

    def _draw(
        self,
        batch: VolumeBatch,
        answer: NDArray[np.floating],
        weight: float,
    ) -> Figure:
        truth = batch["mask"][0].cpu().numpy().astype(bool)
        axis = next((a for a in (2, 1, 0) if a not in batch["labelled"]), 2)
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
        ranges["image"] = (float(image.min()), float(image.max()))
        return draw_panels(panels, self.panel_width, ranges)

    def _write(self, folder: Path, crop: str, seen: int) -> None:
        text = page(
            "volume_report.html.jinja",
            permutation=self.permutation,
            crop=crop,
            rounds=self.rounds,
            curves=png(draw_labour(self.rounds)),
            seen=seen,
        )
        write_whole(folder / "volumes.html", text)

    def images(self) -> dict[str, list[Captioned]]:
        """Return the pictures of the rounds."""
        return {"rounds": caption(self.rounds)}

    def state_dict(self) -> dict[str, Any]:
        """Return what was drawn."""
        return {"permutation": self.permutation, "rounds": self.rounds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what was drawn."""
        self.permutation, self.rounds = state_dict["permutation"], state_dict["rounds"]


def round_row(batch: VolumeBatch, answer: NDArray[np.floating]) -> dict[str, Any]:
    """Return the figures of a round that was answered with probabilities (D, H, W)."""
    truth = batch["mask"][0].cpu().numpy().astype(bool)
    return {
        "volume": batch["task"],
        "round": batch["round"],
        "dice": dice(answer > 0.5, truth),
        "proxy": dice(batch["proxy"], truth),
        "agreement": dice(answer > 0.5, batch["proxy"]),
        "labour": batch["labour"],
    }


def draw_labour(rounds: list[dict[str, Any]]) -> Figure:
    """Draw Dice of proxies and answers against labour, and over the stream; and the labour so far.

    A point is a round (Fig. 4, 5 and 8).
    """
    figure = Figure(figsize=(13, 4), layout="constrained", dpi=80)
    left, middle, right = figure.subplots(1, 3)
    numbers = sorted({row["round"] for row in rounds})
    groups = [[row for row in rounds if row["round"] == number] for number in numbers]
    labour = [np.mean([row["labour"] for row in group]) for group in groups]
    for name, label in (
        ("proxy", "proxy mask and truth"),
        ("dice", "answer and truth"),
        ("agreement", "answer and proxy mask"),
    ):
        left.plot(
            labour,
            [np.mean([row[name] for row in group]) for group in groups],
            marker="o",
            label=label,
        )
    left.set(xlabel="labour, share of full labelling", ylabel="mean Dice", ylim=(0, 1))
    put_legend_below(left, 1)
    volumes = sorted({row["volume"] for row in rounds})
    ends = [[row for row in rounds if row["volume"] == volume][-1] for volume in volumes]
    for name in ("proxy", "dice", "agreement"):
        middle.plot(
            [v + 1 for v in volumes],
            np.cumsum([row[name] for row in ends]) / np.arange(1, len(ends) + 1),
        )
    middle.set(xlabel="volumes", ylabel="mean Dice so far, last rounds", ylim=(0, 1))
    given = [max(row["labour"] for row in rounds if row["volume"] == volume) for volume in volumes]
    right.plot(
        [v + 1 for v in volumes],
        np.cumsum(given) / np.arange(1, len(given) + 1),
        marker="o",
        markersize=3,
    )
    right.set(xlabel="volumes", ylabel="mean labour so far", ylim=(0, 1.1 * max(given)))
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    return figure
