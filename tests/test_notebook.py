"""The notebook of docs/ runs from top to bottom, and gives today what its page shows."""

import json

import matplotlib.pyplot as plt
from IPython.core.interactiveshell import InteractiveShell

from tests.helpers.commands import ROOT


def test_the_notebook_runs_and_its_answers_are_those_that_the_page_shows(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(plt, "show", lambda: None)
    cells = json.loads((ROOT / "docs" / "session.ipynb").read_text())["cells"]
    shell = InteractiveShell()
    shown, found = [], []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        ran = shell.run_cell("".join(cell["source"]))
        ran.raise_error()
        shown.append(value_of(cell))
        found.append(
            None
            if ran.result is None
            else shell.display_formatter.format(ran.result)[0]["text/plain"]
        )
    assert found == shown
    assert len([value for value in shown if value]) >= 5
    (axis,) = plt.gcf().axes
    clicked = [tuple(line.get_xydata()[0].astype(int)) for line in axis.lines]
    assert clicked == [(x, y) for y, x, *_ in shell.user_ns["session"].clicks.tolist()]
    plt.close("all")


def value_of(cell):
    """What a cell ends with, as text; None for one that ends with nothing, or with a picture."""
    results = [output for output in cell["outputs"] if output["output_type"] == "execute_result"]
    return "".join(results[0]["data"]["text/plain"]) if results else None
