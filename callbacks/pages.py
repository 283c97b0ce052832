"""Parts of pages: pictures side by side, and figures as text."""

import base64
import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure
from numpy.typing import NDArray

TITLE = 0.3
"""Inches above a row of panels, for their names."""


def draw_panels(
    panels: dict[str, NDArray[Any]],
    width: float,
    ranges: dict[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw pictures side by side under their names.

    Those of two dimensions are drawn in shades, from 0 on or within the range given by name.

    Args:
        panels: (H, W) or (H, W, 3) by name, all of one size.
        width: Width of one in inches.
        ranges: Least and largest value of some panels, by name.
    """
    height, across = next(iter(panels.values())).shape[:2]
    tall = width * height / across
    figure = Figure(figsize=(width * len(panels), tall + TITLE), dpi=80)
    # placed by hand: a layout would measure every text
    places = {
        "left": 0.01,
        "right": 0.99,
        "bottom": 0.01,
        "top": tall / (tall + TITLE),
        "wspace": 0.04,
    }
    axes = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=places)[0]
    for axis, (name, picture) in zip(axes, panels.items(), strict=True):
        low, high = (ranges or {}).get(name, (0.0, None))
        shades = {"cmap": "gray" if name == "image" else "magma", "vmin": low, "vmax": high}
        axis.imshow(picture, **(shades if picture.ndim == 2 else {}), interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    return figure


LETTER = 0.075
"""Inches that a letter of a small legend takes at most."""


WIDE, HIGH = 4.1, 2.75
"""Inches of an axis of `lay_out`."""
BESIDE, LABEL, LINE, MARGIN = 0.75, 0.55, 0.21, 0.1
"""Inches for the labels left of an axis, for those under it, for a line of its legend, and right of
all."""


def lay_out(figure: Figure, grid: NDArray[Any]) -> None:
    """Place a grid of axes by hand, each with its legend below.

    A layout engine would measure every text of the figure, and draw it twice.

    Args:
        figure: Figure, which takes the size that its axes need.
        grid: (rows, columns) of axes; some may have been removed.
    """
    shown = [[axis for axis in row if axis in figure.axes] for row in grid]
    width = (WIDE + BESIDE) * grid.shape[1] + MARGIN
    figure.set_figwidth(width)
    for place, axis in np.ndenumerate(grid):
        axis.set_position([(BESIDE + place[1] * (WIDE + BESIDE)) / width, 0, WIDE / width, 1])
    lines = [max((put_legend_below(axis) for axis in row), default=0) for row in shown]
    below = [LABEL + LINE * count for count in lines]
    height = len(grid) * (TITLE + HIGH) + sum(below)
    figure.set_figheight(height)
    top = height
    for row, room in zip(shown, below, strict=True):
        for axis in row:
            box = axis.get_position()
            axis.set_position([box.x0, (top - TITLE - HIGH) / height, box.width, HIGH / height])
        top -= TITLE + HIGH + room


def put_legend_below(axis: Any, columns: int = 3) -> int:
    """Draw an axis' legend under its label, where no curve runs.

    Args:
        axis: Axis of matplotlib, in a layout that makes room.
        columns: Most entries side by side; fewer where their names are long.

    Returns:
        The number of lines of the legend.
    """
    names = axis.get_legend_handles_labels()[1]
    width = axis.figure.get_figwidth() * axis.get_position().width
    fitting = int(
        width / (LETTER * (max(map(len, names), default=0) + 7))
    )  # a line before each name, and a gap
    where = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}
    beside = max(1, min(len(names), columns, fitting))
    axis.legend(**where, ncols=beside, frameon=False, fontsize="small")
    return -(-len(names) // beside)


def png(figure: Figure) -> str:
    """Draw a figure as base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()


def svg(figure: Figure) -> str:
    """Draw a figure as an element of a page, the same whenever it is drawn."""
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "interseg"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def page(template: str, **content: Any) -> str:
    """Make a page from a template of this folder."""
    return (
        Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
        .get_template(template)
        .render(**content)
    )
