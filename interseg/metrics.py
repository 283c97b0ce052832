"""The field's figures from interaction curves: NoC, failures, mIoU@k, area under the curve, clicks to a mean.

A curve is the IoU after click 1, 2, ..., R of one object; an object that stopped early keeps its last IoU.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from interseg.clicks import IGNORE

EFFORT_TARGETS = tuple(i / 20 for i in range(8, 20))
"""Satisfied at IoU 0.40, 0.45, ..., 0.95: the points of the curve of clicks against IoU."""


def iou(prediction: NDArray[np.bool_], mask: NDArray[np.uint8]) -> float:
    """Intersection over union on the valid pixels of one object; 1 where the union is empty.

    Args:
        prediction: (H, W) bool.
        mask: (H, W) in {0, 1, 255 = ignore}.
    """
    truth = mask == 1
    union = int(np.count_nonzero((prediction & (mask != IGNORE)) | truth))
    return int(np.count_nonzero(prediction & truth)) / union if union else 1.0


def clicks_to(curves: Tensor, target: float) -> Tensor:
    """Number of clicks of each object: index of the first click with IoU >= target, else R. (n, R) -> (n,) int64."""
    reached = curves >= target
    return torch.where(reached.any(1), reached.int().argmax(1) + 1, curves.shape[1])


def failures(curves: Tensor, target: float) -> int:
    """Objects that never reached the target."""
    return int((curves < target).all(1).sum())


def area_under_curve(curves: Tensor) -> float:
    """Area under the mean IoU over clicks 1..R by trapezoids, divided by R - 1: in [0, 1]."""
    mean = curves.mean(0)
    return float(torch.trapezoid(mean) / (len(mean) - 1)) if len(mean) > 1 else float(mean[0])


def clicks_to_mean(curves: Tensor, target: float) -> int | None:
    """Smallest k with mean IoU >= target after k clicks on every object (ITIS, Table 1, right); None if never. Needs full curves."""
    reached = (curves.mean(0) >= target).nonzero()
    return int(reached[0]) + 1 if len(reached) else None


def effort(curves: Tensor, targets: Sequence[float]) -> list[dict[str, float]]:
    """Clicks given and IoU obtained when every object is clicked until it reaches a target, or to the end (ITIS, Fig. 6).

    Args:
        curves: (n, R) full curves, or ones that went on to the highest of the targets.
        targets: IoUs at which the user is satisfied.
    """
    rows = []
    for q in targets:
        clicks = clicks_to(curves, q)
        obtained = curves.gather(1, clicks[:, None] - 1).mean()
        rows.append({"target": q, "clicks": float(clicks.double().mean()), "miou": float(obtained)})
    return rows


def summarise(curves: Tensor, starts: Tensor, targets: Sequence[float], full_curves: bool) -> dict[str, Any]:
    """All figures of a set of curves (n, R) and IoUs before the first click (n,), by the names that reports, loggers and tables share.

    `failures@q` counts objects that never reached q; `failures_reference@q` is the reference code's count, which also takes
    a success on the very last click. `clicks_to_mean@q` is there only for full curves.
    """
    rounds = curves.shape[1]
    figures: dict[str, Any] = {"objects": len(curves), "max_clicks": rounds}
    for q in targets:
        percent, clicks = f"{100 * q:g}", clicks_to(curves, q)
        figures[f"noc@{percent}"] = float(clicks.double().mean())
        figures[f"failures@{percent}"] = failures(curves, q)
        figures[f"failures_reference@{percent}"] = int((clicks == rounds).sum())
        if full_curves:
            figures[f"clicks_to_mean@{percent}"] = clicks_to_mean(curves, q)
    figures["miou@0"] = float(starts.double().mean())
    figures |= {f"miou@{k}": float(v) for k, v in enumerate(curves.double().mean(0).tolist(), 1)}
    figures["auc"] = area_under_curve(curves.double())
    if full_curves:
        figures["effort"] = effort(curves.double(), EFFORT_TARGETS)
    return figures


class Interactions(Metric):
    """What a set evaluation gathers: each object's id, IoU curve and clicks, and the seconds spent.

    Rows of all ranks are concatenated, repeated ids dropped and the rest sorted by id, so that the figures are the same on any
    number of ranks, padded loaders included.
    """

    full_state_update = False
    ids: list[Tensor] | Tensor
    starts: list[Tensor] | Tensor
    curves: list[Tensor] | Tensor
    clicks: list[Tensor] | Tensor
    network_seconds: Tensor
    simulator_seconds: Tensor
    played: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for rows in ("ids", "starts", "curves", "clicks"):
            self.add_state(rows, default=[], dist_reduce_fx="cat")
        for total in ("network_seconds", "simulator_seconds", "played"):
            self.add_state(total, default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ids: Tensor, starts: Tensor, curves: Tensor, clicks: Tensor, network_seconds: float, simulator_seconds: float) -> None:
        """Add a batch.

        Args:
            ids: (B,) int64.
            starts: (B,) float64 IoU before the first click.
            curves: (B, R) float64 IoU after each click.
            clicks: (B, R, 3) int64, padded with -1.
            network_seconds: spent in the network by the whole batch.
            simulator_seconds: spent in the simulated user by the whole batch.
        """
        for rows, values in ((self.ids, ids), (self.starts, starts), (self.curves, curves), (self.clicks, clicks)):
            assert isinstance(rows, list)
            rows.append(values.to(self.device))
        self.network_seconds += network_seconds
        self.simulator_seconds += simulator_seconds
        self.played += float((clicks[..., 2] >= 0).sum())

    def compute(self) -> dict[str, Tensor]:
        """`ids` (n,), `starts` (n,), `curves` (n, R), `clicks` (n, R, 3) sorted by id without repeats, and seconds per click."""
        ids = dim_zero_cat(self.ids).cpu()
        _, first = np.unique(ids.numpy(), return_index=True)
        per_click = 1 / self.played.clamp_min(1)
        return {
            "ids": ids[first],
            "starts": dim_zero_cat(self.starts).cpu()[first],
            "curves": dim_zero_cat(self.curves).cpu()[first],
            "clicks": dim_zero_cat(self.clicks).cpu()[first],
            "network_seconds_per_click": self.network_seconds * per_click,
            "simulator_seconds_per_click": self.simulator_seconds * per_click,
        }
