"""Look at a data set before training: `python check.py --config data/folder.yaml data.root=PATH [--out check.html]`.

It reads every image once and says how much there is, what the masks were taken for and why, what
was left out and what is wrong; a page shows pictures with their masks. Exit code 1 where something
is wrong.
"""

import base64
from pathlib import Path

import numpy as np

from callbacks.pages import page
from configs import build, load, resolve
from configs.options import parser
from configs.run import needs
from datamodules.check import Findings, Picture, check_data
from interseg.clicks.layout import no_clicks
from interseg.evaluation.drawing import jpeg, overlay
from interseg.files import write_whole

SHOWN = 20
"""Lines of a kind that are printed; the page has all."""
WIDTH = 260
"""Pixels of a picture's width."""


def main() -> int:
    """Config -> data -> findings, printed and as a page."""
    arguments = parser(__doc__.splitlines()[0], lists=("data",))
    arguments.add_argument("--out", type=Path, default=Path("check.html"), help="the page")
    options = arguments.parse_intermixed_args()
    config = resolve(load(options.config, options.overrides, trusted=options.trust))
    needs(config, "data")
    data = build(config["data"], options.trust)
    data.prepare_data()
    found = check_data(data)
    show(found)
    pictures = {
        part.name: [(picture.name, draw(picture)) for picture in part.pictures]
        for part in found.parts
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(
        options.out, page("check.html.jinja", found=found, pictures=pictures, data=config["data"])
    )
    print(f"pictures: {options.out}")
    return 1 if found.problems else 0


def show(found: Findings) -> None:
    """Print what was found."""
    for part in found.parts:
        print(part.name)
        for key, value in part.facts.items():
            print(f"  {key:20}{value}")
    for kind, lines in found.lines.items():
        for line in lines[:SHOWN]:
            print(f"{kind}: {line}")
        if len(lines) > SHOWN:
            print(f"{kind}: {len(lines) - SHOWN} more, which the page lists")
    print(f"{len(found.problems)} things are wrong" if found.problems else "nothing is wrong")


def draw(picture: Picture) -> str:
    """Draw the mask over its photo, as base64."""
    scale = WIDTH / picture.image.shape[1]
    return base64.b64encode(
        jpeg(overlay(picture.image, np.asarray(picture.mask), no_clicks(), None, scale))
    ).decode()
