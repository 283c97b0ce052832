"""The curves of an evaluation's report, as one SVG."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from callbacks.noc import NumberOfClicks
from callbacks.pages import lay_out, svg
from interseg.evaluation.contributions import Plot


def draw_curves(noc: NumberOfClicks, plots: Sequence[Plot]) -> str:
    """Draw the curves as one SVG.

    Mean IoU against clicks with the middle half of the objects; the share of objects that reached
    each target; the share of clicked pixels that are labelled as clicked (BRS, Fig. 9); the time of
    each answer (BRS, Fig. 10); with full curves also the IoU obtained against the clicks given, by
    users who stop at different IoUs (ITIS, Fig. 6); what the method contributes.
    """
    more = [*_effort(noc.figures.get("effort", [])), *plots]
    columns = 2 + -(-len(more) // 2)
    figure = Figure()
    grid = figure.subplots(2, columns)
    left, right, accuracy, seconds, *others = grid.T.ravel().tolist()
    for axis in others[len(more) :]:
        axis.remove()
    _draw_quality(left, right, noc)
    clicks = np.arange(1, noc.figures["max_clicks"] + 1)
    for axis, name in ((accuracy, "accuracy"), (seconds, "seconds")):
        values = [noc.figures.get(f"{name}@{k}", np.nan) for k in clicks]
        axis.plot(
            clicks,
            values,
            marker="o",
            markersize=3,
            label="mean of the objects that were given the click",
        )
    lowest = min(
        (value for key, value in noc.figures.items() if key.startswith("accuracy@")), default=1.0
    )
    accuracy.set(
        xlabel="clicks",
        ylabel="share with the clicked label",
        title="Clicked pixels",
        ylim=(min(0.9, lowest - 0.02), 1.01),
    )
    seconds.set(xlabel="click", ylabel="seconds", title="Time of an answer")
    seconds.set_ylim(bottom=0)
    for axis in (left, right, accuracy, seconds):
        axis.set_xticks(clicks[:: max(1, len(clicks) // 10)])
    for axis, plot in zip(others, more, strict=False):
        for label, values in plot.lines.items():
            axis.plot(plot.x, values, marker="o", markersize=3, label=label)
        axis.set(xlabel=plot.xlabel, ylabel=plot.ylabel, ylim=(0, 1.02), title=plot.title)
    for axis in (left, right, accuracy, seconds, *others[: len(more)]):
        axis.grid(alpha=0.3)
    lay_out(figure, grid)
    return svg(figure)


def _draw_quality(left: Any, right: Any, noc: NumberOfClicks) -> None:
    """Draw IoU against clicks, and on another axis the share of objects that reached a target."""
    curves, reached_by = (
        noc.interactions.outcome["curves"].numpy(),
        noc.interactions.all_curves().numpy(),
    )
    clicks = np.arange(1, curves.shape[1] + 1)
    left.fill_between(
        clicks,
        *np.quantile(curves, (0.25, 0.75), axis=0),
        alpha=0.2,
        label="middle half of the objects",
    )
    left.plot(clicks, curves.mean(0), marker="o", markersize=3, label="mean")
    left.set(xlabel="clicks", ylabel="IoU", ylim=(0, 1), title="IoU against clicks")
    for q in noc.targets:
        reached = np.maximum.accumulate(reached_by >= q, axis=1).mean(0)
        right.step(clicks, reached, where="post", label=f"IoU ≥ {q:g}")
    right.set(
        xlabel="clicks",
        ylabel="share of objects",
        ylim=(0, 1.02),
        title="Objects that reached a target",
    )


def _effort(rows: Sequence[dict[str, float]]) -> list[Plot]:
    """Plot the IoU that users obtain who stop at different ones; nothing without full curves."""
    if not rows:
        return []
    lines = {"IoU wanted: 0.40 ... 0.95": [row["miou"] for row in rows]}
    return [
        Plot(
            "What a satisfied user gets",
            "mean clicks given",
            "mean IoU obtained",
            [row["clicks"] for row in rows],
            lines,
        )
    ]
