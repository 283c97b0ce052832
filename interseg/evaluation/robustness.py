"""Robustness of a model to its users: figures under several simulated users.

They are compared with those of the deterministic user.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, Method
from interseg.evaluation.intervals import interval

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
"""Headings of a user's figures in tables."""


def user_row(
    runs: Sequence[Evaluation], deterministic: Evaluation, target: float
) -> dict[str, Any]:
    """Summarise a user's evaluations, one a seed, against the deterministic user's.

    `noc` is the mean over seeds, `deviation` their sample standard deviation (None for one seed),
    `more` the additional clicks in per cent of the deterministic user's, `difference` the mean over
    objects of the additional clicks (an object's mean over seeds) with its 95 % interval, in which
    objects of one photo count as one. The other figures are means over seeds.

    Args:
        runs: Evaluations of the user.
        deterministic: Evaluation of the deterministic user on the same objects.
        target: IoU of NoC.

    Raises:
        InputError: Evaluations of different objects, or without this target.
    """
    percent = f"{100 * target:g}"
    key, user = f"noc@{percent}", Method("", runs)
    for run in (*runs, deterministic):
        if run.names != deterministic.names:
            raise InputError(
                f"{run.folder} and {deterministic.folder} are of different objects; "
                "evaluate both on one set"
            )
        if key not in run.noc:
            raise InputError(
                f"{run.folder} has {', '.join(run.noc)}, not {key}; "
                f"evaluate with targets=[{target}]"
            )
    means = [float(run.noc[key].mean()) for run in runs]
    mean = float(np.mean(means))
    extra = user.noc(key) - deterministic.noc[key]
    row: dict[str, Any] = {
        "noc": mean,
        "deviation": float(np.std(means, ddof=1)) if len(means) > 1 else None,
        "more": 100 * (mean / float(deterministic.noc[key].mean()) - 1),
        "difference": [float(extra.mean()), *interval(extra, user.photos)],
        "seeds": len(runs),
    }
    for name in ("failures", "regress", "miou@1", "miou@5"):
        figure = user.figure(f"failures@{percent}" if name == "failures" else name)
        row[name] = None if figure is None else figure[0]
    return row


def decile_gap(deciles: Mapping[int, Sequence[Evaluation]], target: float) -> dict[str, Any]:
    """Measure the additional clicks of the worst decile over the best, and of the shallowest.

    Best and worst decile are those with fewest and most clicks (RClicks' gap between click groups).
    They are chosen by the clicks that they are compared by, so that their gap has no interval;
    that between the deepest and the shallowest decile has.

    Returns:
        `best` and `worst` decile, `clicks` and `percent` between them; `deepest` and `shallowest`
        decile, and `difference`, the shallowest's additional clicks with their interval over
        objects.
    """
    key = f"noc@{100 * target:g}"
    clicks = {number: Method("", runs).noc(key) for number, runs in deciles.items()}
    photos = Method("", next(iter(deciles.values()))).photos
    means = {number: noc.mean() for number, noc in clicks.items()}
    best, worst = min(means, key=lambda k: means[k]), max(means, key=lambda k: means[k])
    gap = float(means[worst] - means[best])
    deepest, shallowest = min(clicks), max(clicks)
    extra = clicks[shallowest] - clicks[deepest]
    return {
        "best": best,
        "worst": worst,
        "clicks": gap,
        "percent": 100 * gap / float(means[best]),
        "deepest": deepest,
        "shallowest": shallowest,
        "difference": [float(extra.mean()), *interval(extra, photos)],
    }


def read_robustness(folder: Path) -> dict[str, Any]:
    """Read the results of `benchmarks.robustness`; raises `InputError` if they are incomplete."""
    try:
        found = dict(json.loads((folder / "robustness.json").read_text()))
        return {"target": float(found["target"]), "models": dict(found["models"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{folder} holds no complete robustness.json ({error}); "
            "run python -m benchmarks.robustness again"
        ) from None


def robustness_table(models: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the figures of models as a markdown table, one row for each user and model."""
    lines = [
        "| user | model | " + " | ".join(COLUMNS.values()) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    users = dict.fromkeys(user for found in models.values() for user in found["users"])
    for user in users:
        for name, found in models.items():
            if user in found["users"]:
                cells = [cell(found["users"][user], key) for key in COLUMNS]
                lines.append(f"| {user} | {name} | {' | '.join(cells)} |")
    for name, found in models.items():
        if gap := found.get("decile_gap"):
            ends = f"from decile {gap['deepest']} to decile {gap['shallowest']}"
            lines.append(
                f"\n{name}: {ends} {cell(gap, 'difference')} clicks; between the best, "
                f"{gap['best']}, and the worst, {gap['worst']}, lie {gap['clicks']:.2f} "
                f"({gap['percent']:.0f} %)."
            )
    return "\n".join(lines)


FORMATS = {"more": "{:+.0f}", "failures": "{:.1f}", "miou@1": "{:.3f}", "miou@5": "{:.3f}"}
"""Formats of figures in tables; the others have two decimals."""


def cell(row: Mapping[str, Any], key: str) -> str:
    """Format a figure of a row."""
    value = row.get(key)
    if value is None:
        return "-"
    if key == "difference":
        mean, low, high = value
        return f"{mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if low <= high else "")
    if key == "regress":
        return f"{100 * value:.1f}"
    return FORMATS.get(key, "{:.2f}").format(value)
