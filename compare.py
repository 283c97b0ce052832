"""Compare evaluations, or runs of streams: `python compare.py [NAME=]FOLDER [NAME=]FOLDER ... [--out compare.html]`.

Evaluations of one NAME, or without names of one config but for its seed, are the seeds of one
method; the first is what the others are paired with. It prints the figures and writes one
self-contained page: tables, curves, and the objects on which the methods differ most.

Runs of streams, of tasks or of volumes, are grouped in the same way, whichever sequences they have
played (an array's runs of one each): the tables of tasks are of basic, forward and backward
performance, with IoU against annotations; those of volumes are of Dice and labour.

Folders of `benchmarks.robustness` give models under several users, side by side.
"""

import argparse
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from callbacks.pages import page, put_legend_below, svg
from configs import build, resolve
from configs.console import guarded
from configs.replay import answer_again, evaluated_method
from interseg.clicks.layout import BOUNDARY, REGION, Mask
from interseg.errors import InputError
from interseg.evaluation.comparison import Evaluation, Method, methods, most_different
from interseg.evaluation.drawing import jpeg, key, overlay
from interseg.evaluation.metrics import interval
from interseg.evaluation.robustness import COLUMNS, cell, read_robustness, robustness_table
from interseg.evaluation.stream_comparison import (
    KINDS,
    VOLUME_FIGURES,
    StreamMethod,
    markdown,
    read_run,
    stream_methods,
    transfer_table,
)
from interseg.evaluation.tables import explanations, print_table, select_shown
from interseg.files import write_whole


def main() -> None:
    """Read the folders, print the figures, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "evaluations",
        nargs="+",
        metavar="[NAME=]FOLDER",
        help="that evaluate.py printed, or of a run of a stream",
    )
    arguments.add_argument("--out", type=Path, default=Path("compare.html"), help="the page")
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
    folders = [named(given) for given in options.evaluations]
    if any((folder / "robustness.json").exists() for _, folder in folders):
        compare_users(folders, options.out)
        return
    tables = ("transfer.json", "dice.csv")
    if any((folder / table).exists() for _, folder in folders for table in tables):
        runs = [(name, read_run(folder)) for name, folder in folders]
        compare_streams(stream_methods(runs), options.out)
        return
    found = methods([(name, Evaluation(folder)) for name, folder in folders])
    table = {method.name: figures(method) for method in found}
    print_table(table)
    pairs = {
        key: [lead(method.noc(key) - found[0].noc(key)) for method in found[1:]]
        for key in found[0].runs[0].noc
    }
    pairs["auc"] = [lead(method.areas - found[0].areas) for method in found[1:]]
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
        problems=problems,
        explained=explanations(table),
    )
    write(text, options.out)


def compare_streams(streams: dict[str, StreamMethod], out: Path) -> None:
    """Print the tables of streams; write them and quality against annotations as a page."""
    sequences = {name: stream.sequences for name, stream in streams.items()}
    volumes = all(stream.of_volumes for stream in streams.values())
    if volumes:
        tables = {"Dice and labour": transfer_table(sequences, figures=VOLUME_FIGURES)}
    else:
        tables = {title: transfer_table(sequences, prefix) for prefix, title in KINDS.items()}
    print("\n\n".join(f"{title}\n\n{markdown(table)}" for title, table in tables.items()))
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axis = figure.subplots()
    for name, stream in streams.items():
        shares, ious = zip(*stream.curve(), strict=True)
        axis.plot(100 * np.array(shares), ious, marker="o", markersize=3, label=name)
    if volumes:
        axis.set(xlabel="labour, % of labelling the targets wholly", ylabel="mean Dice of volumes")
    else:
        axis.set(xlabel="annotated pixels, %", ylabel="mean IoU of the tasks' own images")
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
    models, targets = {}, set()
    for name, folder in folders:
        found = read_robustness(folder)
        targets.add(found["target"])
        for model, figures in found["models"].items():
            key = (
                name
                if name and len(found["models"]) == 1
                else f"{name}, {model}"
                if name
                else model
            )
            if key in models:
                raise InputError(f"{key} is given twice; give each folder a name (NAME=FOLDER)")
            models[key] = figures
    if len(targets) > 1:
        raise InputError(f"the folders are of the targets {sorted(targets)}; compare those of one")
    print(robustness_table(models))
    users = list(dict.fromkeys(user for found in models.values() for user in found["users"]))
    tables = {
        title: {
            user: [cell(found["users"].get(user, {}), key) for found in models.values()]
            for user in users
        }
        for key, title in COLUMNS.items()
    }
    write(
        page("compare_robustness.html.jinja", names=list(models), users=users, tables=tables), out
    )


def write(text: str, out: Path) -> None:
    """Write the page."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text)
    print(f"comparison: {out}")


def named(given: str) -> tuple[str | None, Path]:
    """Split an argument into name and folder; a folder's own name may hold a `=`."""
    name, equals, folder = given.partition("=")
    return (name, Path(folder)) if equals and not Path(given).exists() else (None, Path(given))


def lead(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of the objects' differences, and its interval."""
    return (float(differences.mean()), *interval(differences))


def figures(method: Method) -> dict[str, str]:
    """Mean and standard deviation over seeds of the shown figures."""
    found = {key: method.figure(key) for key in select_shown(method.runs[0].figures)}
    return {
        key: f"{v[0]:.4g}" + (f" ± {v[1]:.2g}" if v[1] else "")
        for key, v in found.items()
        if v is not None
    }


def draw(found: list[Method]) -> Figure:
    """Mean IoU against clicks, the range of the seeds behind it, on one axis."""
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
    """Return the colours of the methods' clicks, of their first runs."""
    clicks = np.concatenate([given for method in found for given in method.runs[0].clicks])
    regions = {0, 1, *clicks[clicks[:, 3] == REGION, 2].tolist()}
    return key(regions, boundary=bool((clicks[:, 3] == BOUNDARY).any()), classes=max(regions) > 1)


FIRST = ("miou@1", "miou@5", "auc", "boundary_iou@5", "regress_2", "median_seconds_per_click")
"""Figures that matter most beside NoC and failures."""


def first_figures(cells: dict[str, str]) -> list[str]:
    """List the few figures that a reader looks for first."""
    clicks = [key for key in cells if key.startswith(("noc@", "failures@"))]
    return [*clicks, *(key for key in FIRST if key in cells)]


Answerer = Callable[[int, Any], Mask]
"""Plays an object again: its number among the objects, and its sample."""


def answerers(found: list[Method], trusted: list[str]) -> tuple[dict[str, Answerer], list[str]]:
    """Make what plays each method's first run again, by the method's name, and say of which methods it cannot be made."""
    made: dict[str, Answerer] = {}
    problems = []
    for method in found:
        run = method.runs[0]
        try:
            model = evaluated_method(run.folder, run.config, trusted)
        except InputError as error:
            problems.append(f"{method.name}: clicks without answers; {error}")
            continue
        loop = (resolve(run.config)["callbacks"] or {}).get("loop") or {}

        def answer(
            index: int,
            sample: Any,
            model: Any = model,
            run: Evaluation = run,
            threshold: float = loop.get("threshold", 0.5),
        ) -> Mask:
            return answer_again(
                model,
                sample.image,
                run.clicks[index],
                int(run.names[index].split()[0]),
                sample.previous,
                threshold,
            )

        made[method.name] = answer
    return made, problems


def pictures(
    found: list[Method], count: int, trusted: list[str], answers: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Draw the objects on which methods differ most, with each one's last answer and clicks (of its first seed); say what cannot be."""
    chosen = most_different(found, count)
    try:
        source = build(resolve(found[0].runs[0].config)["data"], trusted).objects("test")
        numbers = [int(found[0].names[i].split()[0]) for i in chosen]
        if [f"{k} {source.name(k)}" for k in numbers if k < len(source)] != [
            found[0].names[i] for i in chosen
        ]:
            return [], [
                "The objects cannot be shown: the data set holds others than were evaluated."
            ]
        samples = [source.read(number) for number in numbers]
    except InputError as error:
        return [], [f"The objects cannot be shown: {error}"]
    playing, problems = answerers(found, trusted) if answers and samples else ({}, [])
    shown = []
    for index, sample in zip(chosen, samples, strict=True):
        panels = []
        for method in found:
            clicks, curve = method.runs[0].clicks[index], method.runs[0].curves[index]
            play = playing.get(method.name)
            mask = play(index, sample) if play else np.zeros(sample.mask.shape, bool)
            drawn = overlay(sample.image, mask, clicks, sample.mask, 220 / sample.image.shape[0])
            panels.append(
                {
                    "method": method.name,
                    "jpeg": base64.b64encode(jpeg(drawn)).decode(),
                    "curve": curve,
                    "clicks": len(clicks),
                }
            )
        shown.append({"name": found[0].names[index], "panels": panels})
    return shown, problems


if __name__ == "__main__":
    guarded(main)
