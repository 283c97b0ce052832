"""Compare evaluations, or runs of streams: `python compare.py [NAME=]FOLDER ...`.

Evaluations with one NAME, or without names and with one config but for its seed, are the seeds of
one method; the other methods are paired with the first. The command prints the figures and writes
one self-contained page (`--out compare.html`): tables, curves, and the objects on which the methods
differ most.

Runs of streams are grouped in the same way, whichever sequences they have played (an array has runs
of one each): tables of tasks have basic, forward and backward performance, with curves of IoU
against annotations; those of volumes have Dice and labour.

Folders of `benchmarks.robustness` give models under several users, side by side.
"""

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from callbacks.pages import page, put_legend_below, svg
from commands.compare_pictures import pictures
from configs.arguments import with_defaults
from configs.console import run_guarded
from configs.options import output_file
from interseg.clicks.layout import BOUNDARY, REGION
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, Method, methods, note_data, note_ends
from interseg.evaluation.drawing import key
from interseg.evaluation.intervals import interval
from interseg.evaluation.robustness import COLUMNS, cell, read_robustness, robustness_table
from interseg.evaluation.stream_comparison import (
    VOLUME_FIGURES,
    StreamMethod,
    read_run,
    stream_methods,
)
from interseg.evaluation.stream_tables import markdown, task_tables, transfer_table
from interseg.evaluation.tables import explanations, print_table, select_shown, write_number
from interseg.files import write_whole


def main() -> None:
    """Read the folders, print the figures, and write the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "evaluations",
        nargs="+",
        metavar="[NAME=]FOLDER",
        help="that evaluate.py printed, of a run of a stream, or of benchmarks.robustness",
    )
    arguments.add_argument("--out", type=output_file, default=Path("compare.html"), help="the page")
    arguments.add_argument(
        "--objects",
        type=int,
        default=12,
        help="objects shown, those on which the methods differ most",
    )
    arguments.add_argument(
        "--clicks-only",
        action="store_true",
        help="do not play objects again, which draws the answers too",
    )
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="see train.py"
    )
    options = arguments.parse_args()
    folders = [split_name(given) for given in options.evaluations]
    if any((folder / "robustness.json").exists() for _, folder in folders):
        compare_users(folders, options.out)
        return
    complete = functools.partial(with_defaults, trusted=options.trust)
    tables = ("transfer.json", "dice.csv")
    if any((folder / table).exists() for _, folder in folders for table in tables):
        runs = [(name, read_run(folder, complete)) for name, folder in folders]
        compare_streams(stream_methods(runs), options.out)
        return
    found = methods([(name, Evaluation(folder)) for name, folder in folders])
    table = {method.name: figures(method) for method in found}
    print_table(table)
    first, others, pairs = found[0], found[1:], {}
    for noc in first.runs[0].noc:
        pairs[noc] = [lead(method.noc(noc) - first.noc(noc), first.photos) for method in others]
    pairs["auc"] = [lead(method.areas - first.areas, first.photos) for method in others]
    ends = [*note_ends(found), *note_data(found, complete)]
    for line in ends:
        print(line, file=sys.stderr)
    objects, problems = pictures(found, options.objects, options.trust, not options.clicks_only)
    text = page(
        "compare.html.jinja",
        methods=found,
        table=table,
        first=first_figures(table[found[0].name]),
        pairs=pairs,
        curves=svg(draw(found)),
        key=clicked_key(found),
        objects=objects,
        problems=[*ends, *problems],
        explained=explanations(table),
        shown=list(dict.fromkeys(key for cells in table.values() for key in cells)),
    )
    write(text, options.out)


def compare_streams(streams: dict[str, StreamMethod], out: Path) -> None:
    """Print the tables of streams; write them and quality against annotations as a page."""
    sequences = {name: stream.sequences for name, stream in streams.items()}
    volumes = all(stream.of_volumes for stream in streams.values())
    if volumes:
        tables = {"Dice and labour": transfer_table(sequences, figures=VOLUME_FIGURES)}
    else:
        tables = task_tables(sequences)
    print("\n\n".join(f"{title}\n\n{markdown(table)}" for title, table in tables.items()))
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axis = figure.subplots()
    for name, stream in streams.items():
        shares, ious = zip(*stream.curve(), strict=True)
        axis.plot(100 * np.array(shares), ious, marker="o", markersize=3, label=name)
    if volumes:
        axis.set(xlabel="labour, % of labelling the targets wholly", ylabel="mean Dice of volumes")
    else:
        axis.set(
            xlabel="annotated pixels, %",
            ylabel="mean IoU of the tasks' own images,\non pixels without annotation",
        )
    axis.grid(alpha=0.3)
    put_legend_below(axis)
    count = len(next(iter(sequences.values())))
    write(
        page(
            "compare_streams.html.jinja",
            methods=list(streams),
            count=count,
            played="permutation" if volumes else "sequence",
            things="volumes" if volumes else "tasks",
            tables=tables,
            curves=svg(figure),
        ),
        out,
    )


def compare_users(folders: list[tuple[str | None, Path]], out: Path) -> None:
    """Print models under several users, of one target, side by side; write them as a page."""
    models: dict[str, Any] = {}
    targets = set()
    for name, folder in folders:
        found = read_robustness(folder)
        targets.add(found["target"])
        for model, figures in found["models"].items():
            key = model
            if name:
                key = name if len(found["models"]) == 1 else f"{name}, {model}"
            if key in models:
                raise InputError(f"{key} is given twice; give each folder a name (NAME=FOLDER)")
            models[key] = figures
    if len(targets) > 1:
        raise InputError(f"the folders are of the targets {sorted(targets)}; compare those of one")
    print(robustness_table(models))
    users: dict[str, None] = {}
    for found in models.values():
        users |= dict.fromkeys(found["users"])
    tables: dict[str, dict[str, list[str]]] = {}
    for key, title in COLUMNS.items():
        tables[title] = {}
        for user in users:
            rows = [found["users"].get(user, {}) for found in models.values()]
            tables[title][user] = [cell(row, key) for row in rows]
    names = list(models)
    text = page("compare_robustness.html.jinja", names=names, users=list(users), tables=tables)
    write(text, out)


def write(text: str, out: Path) -> None:
    """Write the page."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text)
    print(f"comparison: {out}")


def split_name(given: str) -> tuple[str | None, Path]:
    """Split an argument into name and folder; a folder's own name may contain a `=`."""
    name, equals, folder = given.partition("=")
    if equals and not Path(given).exists():
        return name, Path(folder)
    return None, Path(given)


def lead(differences: NDArray[np.float64], photos: list[str]) -> tuple[float, float, float]:
    """Compute the mean of the objects' differences, and its interval."""
    return (float(differences.mean()), *interval(differences, photos))


def figures(method: Method) -> dict[str, str]:
    """Write mean and standard deviation over seeds of the shown figures."""
    cells = {}
    for name in select_shown(method.runs[0].figures):
        values = [run.figures.get(name) for run in method.runs]
        never = values.count(None)
        if never and all(name in run.figures for run in method.runs):
            cells[name] = "never" if never == len(values) else f"never ({never} of {len(values)})"
        elif len(set(values)) == 1:
            cells[name] = write_number(values[0])
        elif (found := method.figure(name)) is not None:
            cells[name] = f"{found[0]:.4g} ± {found[1]:.2g}"
    return cells


def draw(found: list[Method]) -> Figure:
    """Draw mean IoU against clicks, with the range of the seeds."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axis = figure.subplots()
    for method in found:
        means = [run.curves.mean(0) for run in method.runs]
        clicks = range(1, len(means[0]) + 1)
        (line,) = axis.plot(
            clicks, method.curves.mean(0), marker="o", markersize=3, label=method.name
        )
        if len(means) > 1:
            axis.fill_between(
                clicks,
                np.min(means, axis=0),
                np.max(means, axis=0),
                alpha=0.2,
                color=line.get_color(),
            )
    axis.set(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    put_legend_below(axis)
    return figure


def clicked_key(found: list[Method]) -> dict[str, str]:
    """Return the key to the colours of clicks in the methods' first runs."""
    clicks = np.concatenate([given for method in found for given in method.runs[0].clicks])
    regions = {0, 1, *clicks[clicks[:, 3] == REGION, 2].tolist()}
    return key(regions, boundary=bool((clicks[:, 3] == BOUNDARY).any()), classes=max(regions) > 1)


FIRST = ("miou@1", "miou@5", "auc", "boundary_iou@5", "regress_2", "median_seconds_per_click")
"""Most important figures beside NoC and failures."""


def first_figures(cells: dict[str, str]) -> list[str]:
    """List the few figures that are shown first."""
    clicks = [key for key in cells if key.startswith(("noc@", "failures@"))]
    return [*clicks, *(key for key in FIRST if key in cells)]


if __name__ == "__main__":
    run_guarded(main)
