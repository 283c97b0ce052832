"""Tables of an evaluation: `objects.csv`, and the figures that commands print side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


class Shown(NamedTuple):
    """A figure as tables and pages show it."""

    name: str
    """Name in reports, before "@"."""
    title: str
    """Title on the page."""
    meaning: str = ""
    """Explanation, where the name is not plain."""
    form: str = ".3f"
    """Format on the page."""
    clicks: tuple[int, ...] = ()
    """Clicks after which printed tables have it; the page has all."""


PER_TARGET = (
    Shown("noc", "NoC", form=".2f"),
    Shown("failures", "failures", form="d"),
    Shown(
        "failures_reference",
        "failures, reference count",
        "as the reference code counts: objects that succeed with the very last click too",
        form="d",
    ),
    Shown(
        "nof5",
        "NoF, 5 clicks",
        "objects that have not reached the target after 5 clicks; nof10, nof20: after 10, after 20",
        form="d",
    ),
    Shown("nof10", "NoF, 10 clicks", form="d"),
    Shown("nof20", "NoF, 20 clicks", form="d"),
    Shown(
        "clicks_to_mean",
        "clicks to mean",
        "clicks after which the mean IoU of all objects reaches the target",
        form="d",
    ),
)
"""Figures `name@percent` of each target."""
PER_CLICK = (
    Shown("miou", "mean IoU", clicks=(1, 2, 3, 4, 5, 10, 20)),
    Shown(
        "boundary_iou",
        "boundary IoU",
        "mean IoU of the bands inside predicted and true outline, "
        "2 % of the diagonal wide (Cheng et al. 2021)",
        clicks=(1, 5, 20),
    ),
    Shown(
        "boundary_f",
        "boundary F",
        "mean F-measure of the two outlines, which match within 0.8 % of the diagonal (DAVIS)",
        clicks=(1, 5, 20),
    ),
)
"""Figures `name@k` after each click."""
QUALITY = (
    Shown("5-miou", "5-mIoU", "mean IoU after five clicks on every object"),
    Shown("auc", "area under the curve", "area under the mean IoU over the clicks, from 0 to 1"),
)
CLICKS = (
    Shown(
        "regress",
        "clicks that lower the IoU",
        "share of clicks that lower the IoU at all; regress_2: by more than 0.02",
        form=".1%",
    ),
    Shown("regress_2", "by more than 0.02", form=".1%"),
    Shown("clicked", "clicked pixels, over all answers", form="d"),
    Shown(
        "clicked_wrong",
        "those of another label",
        "clicked pixels, over all answers, that do not have their label; `clicked` counts all",
        form="d",
    ),
)
SECONDS = (
    Shown(
        "median_seconds_per_click",
        "median seconds a click",
        "median time of the network's answer; "
        "median_seconds_per_object: of an object's answers together",
        form=".4f",
    ),
    Shown("median_seconds_per_object", "median seconds an object", form=".4f"),
    Shown("network_seconds_per_click", "mean seconds a click", form=".4f"),
    Shown("simulator_seconds_per_click", "mean seconds of the simulated user", form=".4f"),
)
OVERALL = (*QUALITY, *CLICKS, *SECONDS)
"""Figures of the whole evaluation."""
EVERY = (*PER_TARGET, *PER_CLICK, *OVERALL)
OF_METHODS = {"outside": "objects that the method's own crop does not hold"}
"""Explanations of figures that only some methods have."""
EXPLAINED = OF_METHODS | {shown.name: shown.meaning for shown in EVERY if shown.meaning}


def write_number(value: Any) -> str:
    """Write a figure for a printed table, counts whole, others with four digits.

    None, which `clicks_to_mean` may be, is "never".
    """
    if value is None:
        return "never"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def select_shown(figures: Mapping[str, Any]) -> list[str]:
    """Select the figures that printed tables show, in their order."""
    of_targets = {shown.name for shown in PER_TARGET}
    names = ["objects", *(key for key in figures if key.split("@")[0] in of_targets)]
    miou, *outlines = PER_CLICK
    names += [f"{miou.name}@{k}" for k in miou.clicks]
    names += [shown.name for shown in QUALITY]
    names += [f"{shown.name}@{k}" for shown in outlines for k in shown.clicks]
    names += [shown.name for shown in CLICKS]
    names += [key for key in figures.get("contributed", []) if figures.get(key)]
    names += [shown.name for shown in SECONDS]
    never = {name for name in names if name.startswith("clicks_to_mean@")}
    return [
        name
        for name in names
        if figures.get(name) is not None or (name in never and name in figures)
    ]


class Table(NamedTuple):
    """A table of a page."""

    corner: str
    titles: list[str]
    rows: dict[str, list[str]]


def tables_of(figures: Mapping[str, Any], targets: Sequence[float]) -> list[Table]:
    """Make a page's tables: by target, by click, and of the whole evaluation."""
    percents = [f"{100 * q:g}" for q in targets]
    shown = [one for one in PER_TARGET if f"{one.name}@{percents[0]}" in figures]
    by_target = {
        f"{percent} %": [write_cell(figures[f"{one.name}@{percent}"], one) for one in shown]
        for percent in percents
    }
    clicks = range(0 if figures["miou@0"] else 1, figures["max_clicks"] + 1)
    by_click = {
        one.title: [write_cell(figures.get(f"{one.name}@{k}", ""), one) for k in clicks]
        for one in PER_CLICK
    }
    known = [one for one in OVERALL if one.name in figures]
    overall = {one.title: [write_cell(figures[one.name], one)] for one in known}
    return [
        Table("target IoU", [one.title for one in shown], by_target),
        Table("clicks", [str(k) for k in clicks], by_click),
        Table("all objects", [""], overall),
    ]


def write_cell(value: Any, shown: Shown) -> str:
    """Write a figure as its format says; None, which `clicks_to_mean` may be, is "never"."""
    if value is None:
        return "never"
    return value if isinstance(value, str) else format(value, shown.form)


def meanings(figures: Mapping[str, Any]) -> dict[str, str]:
    """Explain a page's figures by their titles; what names other names is for printed tables."""
    names = {name.split("@")[0] for name in figures}
    return {
        one.title: one.meaning.split(";")[0] for one in EVERY if one.meaning and one.name in names
    }


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
