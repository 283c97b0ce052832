"""The field's figures from interaction curves: NoC, failures, mIoU@k, area under the curve.

A curve is the IoU after click 1, 2, ..., R of one object; an object whose game ended early keeps
its last IoU.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from interseg.distributed import from_all_ranks
from interseg.evaluation.contributions import Contribution

EFFORT_TARGETS = tuple(i / 20 for i in range(8, 20))
"""Target IoUs 0.40, 0.45, ..., 0.95: the points of the curve of clicks against IoU."""

FAILED_AFTER = (5, 10, 20)
"""Numbers of clicks after which failures are counted."""
REGRESS = 0.02
"""Loss of IoU above which a click counts in `regress_2`."""


def clicks_to(curves: Tensor, target: float) -> Tensor:
    """Count the clicks of each object up to the first IoU >= target, else R.

    Args:
        curves: (n, R).
        target: IoU.

    Returns:
        (n,) int64.
    """
    reached = curves >= target
    return torch.where(reached.any(1), reached.int().argmax(1) + 1, curves.shape[1])


def outcome_keys(contributions: Sequence[Contribution]) -> tuple[str, ...]:
    """List the values of a played object: of every method, and those that one contributes."""
    own = [key for contribution in contributions for key in contribution.keys]
    return (*OUTCOME, *own)


def failures(curves: Tensor, target: float) -> int:
    """Count the objects that never reached the target."""
    return int((~(curves >= target)).all(1).sum())  # NaN is none that reached it


def area_under_curve(curves: Tensor) -> float:
    """Measure the area under the mean IoU over clicks 1..R by trapezoids, divided by R - 1.

    It lies in [0, 1].
    """
    mean = curves.mean(0)
    return float(torch.trapezoid(mean) / (len(mean) - 1)) if len(mean) > 1 else float(mean[0])


def clicks_to_mean(curves: Tensor, target: float) -> int | None:
    """Find the least k with a mean IoU >= target after k clicks on every object; None if none has.

    It needs full curves (ITIS, Table 1, right).
    """
    reached = (curves.mean(0) >= target).nonzero()
    return int(reached[0]) + 1 if len(reached) else None


def effort(
    curves: Tensor, targets: Sequence[float], counted: Tensor | None = None
) -> list[dict[str, float]]:
    """Compute mean clicks and IoU if every object is clicked until it reaches a target, or to R.

    The source is ITIS, Fig. 6.

    Args:
        curves: (n, R) full curves, or curves up to the highest of the targets.
        targets: IoUs at which the user stops.
        counted: (n, R) curves by which clicks are counted, as NoC's are; None for `curves`.
    """
    rows = []
    for q in targets:
        clicks = clicks_to(curves if counted is None else counted, q)
        obtained = curves.gather(1, clicks[:, None] - 1).mean()
        rows.append({"target": q, "clicks": float(clicks.double().mean()), "miou": float(obtained)})
    return rows


def summarise(
    outcome: Mapping[str, Tensor],
    targets: Sequence[float],
    full_curves: bool,
    contributions: Sequence[Contribution] = (),
) -> dict[str, Any]:
    """Compute all figures from the rows that `OUTCOME` describes.

    Their names are those of reports, loggers and tables. `failures@q` counts objects that never
    reached q; `failures_reference@q` is the count of the code of f-BRS and RITM, which includes
    successes on the very last click; `nofk@q` counts objects that had not reached q after k clicks.
    `boundary_iou@k` and `boundary_f@k` are means over objects (`interseg.evaluation.boundaries`).
    `clicks_to_mean@q` and `5-miou` exist only for full curves: `5-miou` is `miou@5` of objects that
    all got five clicks, whatever they had reached, as in the tables of HQSeg-44K (SegNext's
    evaluation code plays to an IoU of 1.01 for it). `contributed` names the method's own figures
    that tables show.
    """
    curves, adjusted = outcome["curves"], adjust_curves(outcome, contributions)
    rounds = curves.shape[1]
    figures: dict[str, Any] = {"objects": len(curves), "max_clicks": rounds}
    for q in targets:
        percent, clicks = f"{100 * q:g}", clicks_to(adjusted, q)
        figures[f"noc@{percent}"] = float(clicks.double().mean())
        figures[f"failures@{percent}"] = failures(adjusted, q)
        figures[f"failures_reference@{percent}"] = int((clicks == rounds).sum())
        for k in FAILED_AFTER:
            if k <= rounds:
                figures[f"nof{k}@{percent}"] = failures(adjusted[:, :k], q)
        if full_curves:
            figures[f"clicks_to_mean@{percent}"] = clicks_to_mean(curves, q)
    figures["miou@0"] = float(outcome["starts"].double().mean())
    mious = curves.double().mean(0).tolist()
    figures |= {f"miou@{k}": value for k, value in enumerate(mious, 1)}
    if full_curves and rounds >= 5:
        figures["5-miou"] = figures["miou@5"]
    agreements = outcome["outlines"].double().mean(0).T.tolist()
    for name, values in zip(("boundary_iou", "boundary_f"), agreements, strict=True):
        figures |= {f"{name}@{k}": value for k, value in enumerate(values, 1)}
    figures["auc"] = area_under_curve(curves.double())
    if full_curves:
        figures["effort"] = effort(curves.double(), EFFORT_TARGETS, adjusted)
    figures |= click_figures(outcome)
    for contribution in contributions:
        figures |= contribution.figures(outcome)
    figures["contributed"] = [key for contribution in contributions for key in contribution.shown]
    return figures


def adjust_curves(
    outcome: Mapping[str, Tensor], contributions: Sequence[Contribution] = ()
) -> Tensor:
    """Return the curves (n, R) by which clicks are counted, after the contributions' changes."""
    curves = outcome["curves"]
    for contribution in contributions:
        curves = contribution.adjust_curves(outcome, curves)
    return curves


def click_figures(outcome: Mapping[str, Tensor]) -> dict[str, float]:
    """Compute figures of the clicks themselves, from the rows that `OUTCOME` describes.

    `accuracy@k` is the mean share of an object's first k clicked pixels that have their label in
    its k-th answer (BRS, Fig. 9), `seconds@k` the mean time of that answer (Fig. 10), both over the
    objects that were given k clicks. `clicked` counts the clicked pixels of all answers,
    `clicked_wrong` those that have another label. `median_seconds_per_click` is the median time of
    an answer, `median_seconds_per_object` that of an object's answers together.
    """
    played = outcome["clicks"][..., 2] >= 0
    given = torch.arange(1, played.shape[1] + 1) * played
    share = outcome["correct"].double() / given.clamp_min(1)
    figures: dict[str, float] = {
        "clicked": int(given.sum()),
        "clicked_wrong": int((given - outcome["correct"]).sum()),
    }
    for k in range(played.shape[1]):
        rows = played[:, k]
        if rows.any():
            figures[f"accuracy@{k + 1}"] = float(share[rows, k].mean())
            figures[f"seconds@{k + 1}"] = float(outcome["network_seconds"][rows, k].mean())
    figures |= regressions(outcome["starts"], outcome["curves"], played)
    times = outcome["network_seconds"].double()
    if played.any():
        figures["median_seconds_per_click"] = float(np.median(times[played]))
        figures["median_seconds_per_object"] = float(np.median((times * played).sum(1)))
    clicks = max(1, int(played.sum()))
    figures["network_seconds_per_click"] = float(outcome["network_seconds"].sum()) / clicks
    figures["simulator_seconds_per_click"] = float(outcome["simulator_seconds"].sum()) / clicks
    return figures


def regressions(starts: Tensor, curves: Tensor, played: Tensor) -> dict[str, float]:
    """Measure the shares of clicks that lower the IoU.

    `regress` counts any loss, `regress_2` a loss of more than 0.02.

    Args:
        starts: (n,) IoU before the first click.
        curves: (n, R) IoU after each click.
        played: (n, R) bool, True for clicks that were given.
    """
    change = torch.diff(curves.double(), dim=1, prepend=starts.double()[:, None])[played]
    if not len(change):
        return {}
    return {
        "regress": float((change < 0).double().mean()),
        "regress_2": float((change < -REGRESS).double().mean()),
    }


OUTCOME = (
    "id",
    "starts",
    "curves",
    "outlines",
    "clicks",
    "correct",
    "network_seconds",
    "simulator_seconds",
)
"""Keys of every game's outcome, with the shapes of `Game.outcome`; contributions add more."""


class Interactions(Metric):
    """The outcomes of a set's games, and the figures that `summarise` computes from them.

    Rows of all ranks are concatenated, repeated ids dropped and the rest sorted by id, so that the
    figures are the same on any number of ranks, also with padded loaders. Rows are gathered as
    Python values, because a rank without rows does not know their shapes.

    Args:
        targets: See `summarise`.
        full_curves: See `summarise`.
        contributions: Contributions of the method that is evaluated.
    """

    full_state_update = False

    def __init__(
        self,
        targets: Sequence[float] = (0.8, 0.85, 0.9),
        full_curves: bool = False,
        contributions: Sequence[Contribution] = (),
    ) -> None:
        super().__init__(sync_on_compute=False)
        self.targets, self.full_curves = tuple(targets), full_curves
        self.contributions = tuple(contributions)
        self.keys = outcome_keys(contributions)
        self.outcome: dict[str, Tensor] = {}
        """The rows of all ranks, after `compute`."""
        for name in self.keys:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, outcome: Mapping[str, Tensor]) -> None:
        """Add a played batch's outcome."""
        for name in self.keys:
            getattr(self, name).append(outcome[name].cpu())

    def rows(self) -> dict[str, Tensor]:
        """Return this rank's rows."""
        return {name: torch.cat(getattr(self, name)) for name in self.keys}

    def own_curves(self) -> Tensor:
        """Return this rank's curves (n, R) by which clicks are counted."""
        return adjust_curves(self.rows(), self.contributions)

    def all_curves(self) -> Tensor:
        """Return all ranks' curves (n, R) by which clicks are counted; call it after `compute`."""
        return adjust_curves(self.outcome, self.contributions)

    def compute(self) -> dict[str, Any]:
        """Compute the figures; none if no rank has a row. Every rank must call it."""
        own = self.rows() if self.update_called else {}
        parts = [part for part in from_all_ranks(own) if part]
        if not parts:
            return {}
        found = {name: torch.cat([part[name] for part in parts]) for name in self.keys}
        _, first = np.unique(found["id"].numpy(), return_index=True)
        self.outcome = {name: values[first] for name, values in found.items()}
        return summarise(self.outcome, self.targets, self.full_curves, self.contributions)
