"""Tables of an evaluation: `objects.csv`, and the figures that commands print side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from interseg.clicks.layout import format_click
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.metrics import adjust_curves, clicks_to
from interseg.files import write_table


def write_objects(
    path: Path,
    gathered: Mapping[str, Tensor],
    names: Sequence[str],
    targets: Sequence[float],
    contributions: Sequence[Contribution] = (),
    more: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write one row an object: id, name, NoC at each target, IoU after each click, and the clicks.

    Clicks are written by `format_click`. `more` has further columns, one value an object.
    """
    curves = gathered["curves"]
    adjusted = adjust_curves(gathered, contributions)
    nocs = {f"noc@{100 * q:g}": clicks_to(adjusted, q).tolist() for q in targets}
    more = more or {}
    rows = []
    for row, (id, name) in enumerate(zip(gathered["id"].tolist(), names, strict=True)):
        values = {"id": id, "name": name}
        values |= {key: noc[row] for key, noc in nocs.items()}
        values |= {f"iou@{k}": f"{iou:.6f}" for k, iou in enumerate(curves[row].tolist(), 1)}
        given = [click for click in gathered["clicks"][row].tolist() if click[2] >= 0]
        values["clicks"] = " ".join(format_click(click) for click in given)
        values |= {key: column[row] for key, column in more.items()}
        rows.append(values)
    ious = [f"iou@{k + 1}" for k in range(curves.shape[1])]
    write_table(path, ["id", "name", *nocs, *ious, "clicks", *more], rows)


def select_shown(figures: dict[str, Any]) -> list[str]:
    """Select the figures that tables show, in their order."""
    counts = ("noc@", "failures", "nof", "clicks_to_mean")
    first = ["objects", *(key for key in figures if key.startswith(counts))]
    first += [f"miou@{k}" for k in (1, 2, 3, 4, 5, 10, 20)]
    first += ["5-miou", "auc"]
    for name in ("boundary_iou", "boundary_f"):
        first += [f"{name}@{k}" for k in (1, 5, 20)]
    first += ["regress", "regress_2", "clicked", "clicked_wrong"]
    first += [key for key in figures.get("contributed", []) if figures.get(key)]
    first += [
        "median_seconds_per_click",
        "median_seconds_per_object",
        "network_seconds_per_click",
        "simulator_seconds_per_click",
    ]
    return [key for key in first if figures.get(key) is not None]


EXPLAINED = {
    "failures_reference": "as the reference code counts: "
    "objects that succeed with the very last click too",
    "nof5": "objects that have not reached the target after 5 clicks; "
    "nof10, nof20: after 10, after 20",
    "5-miou": "mean IoU after five clicks on every object",
    "boundary_iou": "mean IoU of the bands inside predicted and true outline, "
    "2 % of the diagonal wide (Cheng et al. 2021)",
    "boundary_f": "mean F-measure of the two outlines, "
    "which match within 0.8 % of the diagonal (DAVIS)",
    "regress": "share of clicks that lower the IoU at all; regress_2: by more than 0.02",
    "median_seconds_per_click": "median time of the network's answer; "
    "median_seconds_per_object: of an object's answers together",
    "clicks_to_mean": "clicks after which the mean IoU of all objects reaches the target; "
    "nan: never",
    "auc": "area under the mean IoU over the clicks, from 0 to 1",
    "clicked_wrong": "clicked pixels, over all answers, that do not have their label; "
    "`clicked` counts all",
    "outside": "objects that the method's own crop does not hold",
}
"""Explanations of figures whose names are not plain, by the beginning of the name."""


def print_table(columns: dict[str, dict[str, str]]) -> None:
    """Print figures side by side, "-" for a missing one, and explain the less plain ones."""
    width = max(12, *(len(name) + 2 for name in columns))
    print(" " * 28 + "".join(f"{name:>{width}}" for name in columns))
    for key in dict.fromkeys(key for cells in columns.values() for key in cells):
        values = [cells.get(key, "-") for cells in columns.values()]
        print(f"{key:28}" + "".join(f"{value:>{width}}" for value in values))
    for key, text in explanations(columns).items():
        print(f"  {key}: {text}")


def explanations(columns: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Select the explanations of the figures of some columns."""
    keys = {key.split("@")[0] for cells in columns.values() for key in cells}
    return {key: text for key, text in EXPLAINED.items() if key in keys}
