"""How a model stands people: its figures under several simulated users, against those of the deterministic one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, Method
from interseg.evaluation.metrics import interval

COLUMNS = {
    "noc": "NoC",
    "deviation": "deviation over seeds",
    "more": "% more clicks",
    "difference": "difference [95 %]",
    "failures": "failures",
    "miou@1": "mIoU@1",
    "miou@5": "mIoU@5",
    "regress": "% clicks that do harm",
}
"""Figures of a user, and what tables call them."""


def user_row(
    runs: Sequence[Evaluation], deterministic: Evaluation, target: float
) -> dict[str, Any]:
    """Summarise a user's evaluations, one a seed, against the deterministic user's on the same objects.

    `noc` is the mean over seeds, `deviation` their sample standard deviation (None for one), `more`
    per cent more clicks than the deterministic user needs, `difference` the mean over objects of
    the clicks more (an object's mean over seeds) with its 95 % bootstrap interval; the others are
    means over seeds.

    Args:
        runs: of the user.
        deterministic: that they are paired with.
        target: IoU of NoC.

    Raises:
        InputError: evaluations of different objects, or without this target.
    """
    key, user = f"noc@{100 * target:g}", Method("", runs)
    for run in (*runs, deterministic):
        if run.names != deterministic.names:
            raise InputError(
                f"{run.folder} and {deterministic.folder} are of different objects; evaluate both on one set"
            )
        if key not in run.noc:
            raise InputError(
                f"{run.folder} has {', '.join(run.noc)}, not {key}; evaluate with targets=[{target}]"
            )
    means = [float(run.noc[key].mean()) for run in runs]
    extra = user.noc(key) - deterministic.noc[key]
    shown = {
        name: user.figure(figure)
        for name, figure in {"failures": f"failures@{100 * target:g}", "regress": "regress"}.items()
    }
    shown |= {name: user.figure(name) for name in ("miou@1", "miou@5")}
    return {
        "noc": float(np.mean(means)),
        "deviation": float(np.std(means, ddof=1)) if len(means) > 1 else None,
        "more": 100 * (float(np.mean(means)) / float(deterministic.noc[key].mean()) - 1),
        "difference": [float(extra.mean()), *interval(extra)],
        "seeds": len(runs),
        **{name: None if value is None else value[0] for name, value in shown.items()},
    }


def decile_gap(deciles: Mapping[int, Sequence[Evaluation]], target: float) -> dict[str, Any]:
    """Measure what the shallowest decile of clicks costs beyond the deepest: clicks, per cent, and the interval over objects.

    Best and worst decile are the ones of fewest and most clicks, whichever these are (RClicks' gap
    between click groups).
    """
    key = f"noc@{100 * target:g}"
    clicks = {number: Method("", runs).noc(key) for number, runs in deciles.items()}
    best, worst = (pick(clicks, key=lambda number: clicks[number].mean()) for pick in (min, max))
    extra = clicks[worst] - clicks[best]
    percent = 100 * float(extra.mean() / clicks[best].mean())
    return {
        "best": best,
        "worst": worst,
        "clicks": float(extra.mean()),
        "percent": percent,
        "interval": [*interval(extra)],
    }


def read_robustness(folder: Path) -> dict[str, Any]:
    """Read what `benchmarks.robustness` has left in a folder; raises `InputError` where it is not whole."""
    try:
        found = dict(json.loads((folder / "robustness.json").read_text()))
        return {"target": float(found["target"]), "models": dict(found["models"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{folder} holds no whole robustness.json ({error}); play python -m benchmarks.robustness again"
        ) from None


def robustness_table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the rows of one or several models as a markdown table: a row a user and model, users side by side."""
    lines = [
        "| user | model | " + " | ".join(COLUMNS.values()) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    for user in dict.fromkeys(user for found in models.values() for user in found["users"]):
        for name, found in models.items():
            if user in found["users"]:
                lines.append(
                    f"| {user} | {name} | "
                    + " | ".join(cell(found["users"][user], key) for key in COLUMNS)
                    + " |"
                )
    for name, found in models.items():
        if gap := found.get("decile_gap"):
            low, high = gap["interval"]
            clicks = f"{gap['clicks']:.2f} clicks [{low:.2f}, {high:.2f}], {gap['percent']:.0f} %"
            lines.append(
                f"\n{name}: from decile {gap['best']} to decile {gap['worst']} {clicks} more."
            )
    return "\n".join(lines)


def cell(row: Mapping[str, Any], key: str) -> str:
    """Write a figure of a row."""
    value = row.get(key)
    if value is None:
        return "-"
    if key == "difference":
        return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*value)
    if key == "regress":
        return f"{100 * value:.1f}"
    return {"more": "{:+.0f}", "failures": "{:.1f}", "miou@1": "{:.3f}", "miou@5": "{:.3f}"}.get(
        key, "{:.2f}"
    ).format(value)
