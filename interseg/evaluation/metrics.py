"""The field's figures from interaction curves: NoC, failures, mIoU@k, area under the curve, clicks to a mean.

A curve is the IoU after click 1, 2, ..., R of one object; an object that stopped early keeps its last IoU.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap
from torch import Tensor
from torchmetrics import Metric

from interseg.clicks.layout import IGNORE
from interseg.distributed import from_all_ranks
from interseg.inference.refine import COUNTS

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


def summarise(outcome: dict[str, Tensor], targets: Sequence[float], full_curves: bool) -> dict[str, Any]:
    """All figures of the rows that `OUTCOME` describes, by the names that reports, loggers and tables share.

    `failures@q` counts objects that never reached q; `failures_reference@q` is the reference code's count, which also takes
    a success on the very last click. `clicks_to_mean@q` is there only for full curves.
    """
    curves, clicked = outcome["curves"], counted(outcome)
    rounds = curves.shape[1]
    figures: dict[str, Any] = {"objects": len(curves), "max_clicks": rounds}
    for q in targets:
        percent, clicks = f"{100 * q:g}", clicks_to(clicked, q)
        figures[f"noc@{percent}"] = float(clicks.double().mean())
        figures[f"failures@{percent}"] = failures(clicked, q)
        figures[f"failures_reference@{percent}"] = int((clicks == rounds).sum())
        if full_curves:
            figures[f"clicks_to_mean@{percent}"] = clicks_to_mean(curves, q)
    figures["miou@0"] = float(outcome["starts"].double().mean())
    figures |= {f"miou@{k}": float(v) for k, v in enumerate(curves.double().mean(0).tolist(), 1)}
    figures["auc"] = area_under_curve(curves.double())
    if full_curves:
        figures["effort"] = effort(curves.double(), EFFORT_TARGETS)
    return figures | click_figures(outcome) | crop_figures(outcome["boxes"])


PADDINGS = (0, 5, 10, 20, 30, 40, 60, 80)
"""Pixels at which crops are measured."""


def counted(outcome: dict[str, Tensor]) -> Tensor:
    """Curves (n, R) by which clicks are counted: 0 for an object that its method's crop does not hold, which needs all (two-in-one)."""
    _, truth, _, crop = outcome["boxes"].unbind(1)
    return outcome["curves"].masked_fill((~holds(crop, truth) & (area(crop) > 0))[:, None], 0)


def crop_figures(boxes: Tensor) -> dict[str, float]:
    """Figures of the crops of a method that leaves parts of an image out; nothing for one that never does (two-in-one, Fig. 3a).

    `recall+p` is the share of objects that the trimmed box with a padding of p pixels holds, `area_reduction+p` the mean share of
    the image outside it, `outside` the number of objects that the method's own crop does not hold.

    Args:
        boxes: (n, 4, 4) of image, object, trimmed and crop.
    """
    image, truth, trimmed, crop = boxes.unbind(1)
    if not bool(area(crop).any()):
        return {}
    figures: dict[str, float] = {"outside": int((~holds(crop, truth)).sum())}
    for padding in PADDINGS:
        padded = torch.cat([(trimmed[:, :2] - padding).clamp_min(0), torch.minimum(trimmed[:, 2:] + padding, image[:, 2:])], 1)
        figures[f"recall+{padding}"] = float(holds(padded, truth).double().mean())
        figures[f"area_reduction+{padding}"] = float((1 - area(padded) / area(image)).mean())
    return figures


def holds(boxes: Tensor, others: Tensor) -> Tensor:
    """(n,) whether boxes (n, 4) hold others."""
    return ((boxes[:, :2] <= others[:, :2]) & (boxes[:, 2:] >= others[:, 2:])).all(1)


def area(boxes: Tensor) -> Tensor:
    """(n,) pixels of boxes (n, 4)."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(1).double()


def click_figures(outcome: dict[str, Tensor]) -> dict[str, float]:
    """Figures of the clicks themselves, from the rows that `OUTCOME` describes.

    `accuracy@k` is the mean share of an object's first k clicked pixels that its k-th answer labels as clicked (BRS, Fig. 9),
    `seconds@k` the mean time of that answer (Fig. 10), both over the objects that were given k clicks; `clicked_wrong` counts the
    clicked pixels of all answers that are labelled otherwise, `clicked` all of them.
    """
    played = outcome["clicks"][..., 2] >= 0
    given = torch.arange(1, played.shape[1] + 1) * played
    share = outcome["correct"].double() / given.clamp_min(1)
    figures: dict[str, float] = {"clicked": int(given.sum()), "clicked_wrong": int((given - outcome["correct"]).sum())}
    for k in range(played.shape[1]):
        rows = played[:, k]
        if rows.any():
            figures[f"accuracy@{k + 1}"] = float(share[rows, k].mean())
            figures[f"seconds@{k + 1}"] = float(outcome["network_seconds"][rows, k].mean())
    clicks = max(1, int(played.sum()))
    figures["network_seconds_per_click"] = float(outcome["network_seconds"].sum()) / clicks
    figures["simulator_seconds_per_click"] = float(outcome["simulator_seconds"].sum()) / clicks
    return figures | dict(zip(COUNTS, outcome["refinements"].sum(0).tolist(), strict=True))


OUTCOME = {
    "id": torch.int64,
    "starts": torch.float64,
    "curves": torch.float64,
    "clicks": torch.int64,
    "correct": torch.int64,
    "network_seconds": torch.float64,
    "simulator_seconds": torch.float64,
    "refinements": torch.int64,
    "boxes": torch.int64,
}
"""What a played batch tells of each object (datamodules/base.py gives the shapes), and its type."""


class Interactions(Metric):
    """The rows of `OUTCOME` that a set evaluation gathers, and the figures that `summarise` makes of them.

    Rows of all ranks are concatenated, repeated ids dropped and the rest sorted by id, so that the figures are the same on any
    number of ranks, padded loaders included. They are gathered as Python values: a rank may have none, whose shapes it cannot know.

    Args:
        targets: see `summarise`.
        full_curves: likewise.
    """

    full_state_update = False

    def __init__(self, targets: Sequence[float] = (0.8, 0.85, 0.9), full_curves: bool = False) -> None:
        super().__init__(sync_on_compute=False)
        self.targets, self.full_curves = tuple(targets), full_curves
        self.outcome: dict[str, Tensor] = {}
        """The rows of all ranks, once the figures were computed."""
        for name in OUTCOME:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, batch: dict[str, Any]) -> None:
        """Add a played batch."""
        for name in OUTCOME:
            getattr(self, name).append(batch[name].cpu())

    def rows(self, name: str) -> Tensor:
        """What this rank has of one part."""
        return torch.cat(getattr(self, name))

    def compute(self) -> dict[str, Any]:
        """The figures; none where no rank has a row. Every rank must call it."""
        own = {name: self.rows(name) for name in OUTCOME} if self.update_called else {}
        parts = [part for part in from_all_ranks(own) if part]
        if not parts:
            return {}
        found = {name: torch.cat([part[name] for part in parts]) for name in OUTCOME}
        _, first = np.unique(found["id"].numpy(), return_index=True)
        self.outcome = {name: values[first] for name, values in found.items()}
        return summarise(self.outcome, self.targets, self.full_curves)


def interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of a mean over objects or sequences, of 9,999 draws; NaN for fewer than two.

    Where two methods played the same ones, `values` are their differences.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    drawn = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0), batch=1000).confidence_interval
    return float(drawn.low), float(drawn.high)
