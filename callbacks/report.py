"""`report.html`: figures, curves and click-by-click pictures of an evaluation, in one page.

The page is self-contained.
"""

import heapq
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import callback_of, data_of, find_callback
from callbacks.noc import NumberOfClicks, check_played
from callbacks.offers import Captioned
from callbacks.pages import page
from callbacks.report_curves import draw_curves
from callbacks.user_loop import UserLoop
from interseg.batches import ClickBatch
from interseg.clicks.layout import BOUNDARY
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.data import EvaluationData
from interseg.evaluation.drawing import (
    PREDICTED,
    heat_map,
    jpeg,
    key,
    overlay,
    scale_to,
    unpack_mask,
)
from interseg.evaluation.tables import meanings, tables_of
from interseg.files import write_whole

PANELS = (1, 2, 3, 5, 10, 20)
"""Clicks after which an object is shown; the last one played is always shown."""


class Picture(NamedTuple):
    """One object's interaction, ready to draw."""

    id: int
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    clicks: NDArray[np.int64]
    curve: list[float]
    classes: bool
    """Whether the masks are classes, or the bits of an object."""
    heat: NDArray[np.float32] | None = None
    """(H, W) IoU that a first click on each pixel would bring, of users who know it; NaN where none
    was wrong."""


class Report(Callback):
    """Collects pictures during a test and writes the page at its end.

    Args:
        spread: Number of objects shown, evenly spread over the set.
        hardest: Number of further objects shown, those with the least area under their curve.
        panel_height: Height of a picture in pixels.
    """

    def __init__(self, spread: int = 12, hardest: int = 6, panel_height: int = 200) -> None:
        self.spread, self.hardest, self.panel_height = spread, hardest, panel_height
        self.chosen: set[int] = set()
        self.pictures: list[Picture] = []
        self.rows: list[dict[str, Any]] = []
        """Objects of the page: `name` and `panels`, each `click`, `iou` and `jpeg` (base64)."""
        self.worst: list[tuple[float, int, Picture]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the objects that are spread over the set."""
        count = len(data_of(trainer, EvaluationData).objects("test"))
        self.chosen = set(
            np.linspace(0, count - 1, min(self.spread, count)).round().astype(int).tolist()
        )
        self.pictures, self.rows, self.worst = [], [], []

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ClickBatch, *_: Any
    ) -> None:
        """Keep the chosen and the hardest objects of the batch."""
        check_played(batch)
        for row, id in enumerate(batch["id"].tolist()):
            curve = batch["outcome"]["curves"][row].tolist()
            ease = float(np.mean(curve))
            full = len(self.worst) >= self.hardest
            if id not in self.chosen and full and (not self.hardest or -ease <= self.worst[0][0]):
                continue
            picture = _picture(batch, row, id, curve, _outputs(pl_module) > 1)
            if id in self.chosen:
                self.pictures.append(picture)
            else:
                heapq.heappush(self.worst, (-ease, id, picture))
                if len(self.worst) > self.hardest:
                    heapq.heappop(self.worst)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the page; pictures of all ranks come together on the first."""
        noc, data = find_callback(trainer, NumberOfClicks), data_of(trainer, EvaluationData)
        if noc is None or not noc.figures["objects"] or (data.record and data.record.shard):
            return
        gathered = noc.interactions.outcome
        ease = dict(zip(gathered["id"].tolist(), gathered["curves"].mean(1).tolist(), strict=True))
        worst = sorted(ease.keys() - self.chosen, key=lambda id: (ease[id], id))[: self.hardest]
        wanted = {*self.chosen & ease.keys(), *worst}
        names = data.objects("test").name
        collected = [*self.pictures, *(picture for *_, picture in self.worst)]
        rows = {p.id: self._row(p, names(p.id)) for p in collected if p.id in wanted}
        rows = {id: row for part in from_all_ranks(rows) for id, row in part.items()}
        if trainer.is_global_zero:
            undrawn = []
            for id in sorted(wanted - rows.keys()):  # played before this evaluation was killed
                try:
                    rows[id] = self._row(_replay(trainer, pl_module, id), names(id))
                except InputError as error:  # its photo cannot be read any more
                    undrawn.append(f"not drawn: {error}")
            shown = [rows[id] for id in sorted(self.chosen & rows.keys())]
            hardest = [rows[id] for id in worst if id in rows]
            self.rows = shown + hardest
            own = noc.interactions.contributions
            plots = [plot for plot in (c.plot(noc.figures) for c in own) if plot]
            by_target, by_click, overall = tables_of(noc.figures, noc.targets)
            text = page(
                "report.html.jinja",
                figures=noc.figures,
                by_target=by_target,
                by_click=by_click,
                overall=overall,
                meanings=meanings(noc.figures),
                curves=draw_curves(noc, plots),
                plots=plots,
                sentences=[line for line in (c.sentence(noc.figures) for c in own) if line],
                key=self._key(
                    _outputs(pl_module),
                    boundary=bool((gathered["clicks"][..., 3] == BOUNDARY).any()),
                ),
                shown=shown,
                worst=hardest,
                notes=[*data.notes, *(f"left out: {line}" for line in data.left_out), *undrawn],
            )
            write_whole(Path(trainer.default_root_dir, "report.html"), text)

    def images(self) -> dict[str, list[Captioned]]:
        """Return the pictures of the page, object by object and click by click."""
        shown = []
        for row in self.rows:
            for panel in row["panels"]:
                caption = f"{row['name']}, click {panel['click']}: IoU {panel['iou']:.3f}"
                shown.append(Captioned(panel["jpeg"], caption))
        return {"clicks": shown}

    @staticmethod
    def _key(outputs: int, boundary: bool) -> dict[str, str]:
        colours = key(range(max(2, outputs)), boundary, classes=outputs > 1)
        return (
            colours
            if outputs > 1
            else colours | {"prediction": "#{:02x}{:02x}{:02x}".format(*PREDICTED)}
        )

    def _row(self, picture: Picture, name: str) -> dict[str, Any]:
        played = len(picture.clicks)
        height, width = picture.image.shape[:2]
        scale = scale_to(self.panel_height, height, width)
        rounds = sorted({k for k in PANELS if k < played} | ({played} if played else set()))
        panels = []
        for k in rounds:
            stored = picture.masks[k - 1]
            prediction = stored if picture.classes else unpack_mask(stored, picture.image.shape[1])
            drawn = overlay(picture.image, prediction, picture.clicks[:k], picture.mask, scale)
            panels.append(
                {
                    "click": k,
                    "iou": picture.curve[k - 1],
                    "jpeg": jpeg(drawn),
                }
            )
        return {"name": name, "panels": panels, "heat": _heat(picture, scale)}


def _heat(picture: Picture, scale: float) -> dict[str, Any] | None:
    """Draw where a first click brings how much; None where the user has not weighed clicks."""
    if picture.heat is None or not np.isfinite(picture.heat).any():
        return None
    return {
        "low": float(np.nanmin(picture.heat)),
        "high": float(np.nanmax(picture.heat)),
        "jpeg": jpeg(heat_map(picture.image, picture.heat, scale)),
    }


def _replay(trainer: Trainer, pl_module: LightningModule, id: int) -> Picture:
    """Play an object's interaction again; its outcome depends on object and network alone."""
    loop = callback_of(trainer, UserLoop)
    batch = trainer.strategy.batch_to_device(data_of(trainer, EvaluationData).single("test", id))
    batch = trainer.precision_plugin.convert_input(batch)
    loop.on_test_batch_start(trainer, pl_module, batch, 0)
    return _picture(batch, 0, id, batch["outcome"]["curves"][0].tolist(), _outputs(pl_module) > 1)


def _outputs(pl_module: LightningModule) -> int:
    """Count a method's logits a pixel (`interseg/inference/segmenter.py`)."""
    return getattr(pl_module, "outputs", 1)


def _picture(batch: ClickBatch, row: int, id: int, curve: list[float], classes: bool) -> Picture:
    image = (batch["image"][row].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    outcome = batch["outcome"]
    clicks = outcome["clicks"][row].cpu().numpy()
    masks = batch["mask"][row].cpu().numpy(), outcome["masks"][row].numpy()
    heat = outcome["heat"][row].numpy() if "heat" in outcome else None
    return Picture(id, image, *masks, clicks[clicks[:, 2] >= 0], curve, classes, heat)
