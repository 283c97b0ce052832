"""Look at a data set before training: `python check.py --config data/folder.yaml data.root=PATH`.

It reads every image once and prints numbers and sizes, how the masks were read and why, the files
that are left out, and the problems; a page (`--out check.html`) shows pictures with their masks.
The exit code is 1 if there are problems.
"""

from pathlib import Path

import numpy as np

from callbacks.pages import page
from configs import build, load, resolve
from configs.options import output_file, parser
from configs.run import needs
from datamodules.check import check_data
from datamodules.findings import Findings, Picture
from interseg.clicks.layout import no_clicks
from interseg.evaluation.drawing import jpeg, overlay, scale_to
from interseg.files import write_whole

SHOWN = 20
"""Number of lines of a kind that are printed; the page has all."""
WIDTH = 260
"""Width of a picture in pixels."""


def main() -> int:
    """Run the command: config -> data -> findings, printed and as a page."""
    arguments = parser(__doc__.splitlines()[0], lists=("data",))
    arguments.add_argument("--out", type=output_file, default=Path("check.html"), help="the page")
    options = arguments.parse_intermixed_args()
    config = resolve(load(options.config, options.overrides, trusted=options.trust))
    needs(config, "data")
    data = build(config["data"], options.trust)
    data.prepare_data()
    found = check_data(data)
    show(found)
    pictures = {}
    for part in found.parts:
        pictures[part.name] = [(picture.name, draw(picture)) for picture in part.pictures]
    text = page("check.html.jinja", found=found, pictures=pictures, data=config["data"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(options.out, text)
    print(f"pictures: {options.out}")
    return 1 if found.problems else 0


def show(found: Findings) -> None:
    """Print the findings."""
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
    height, width = picture.image.shape[:2]
    scale = scale_to(WIDTH, width, height)
    mask = np.asarray(picture.mask)
    drawn = overlay(picture.image, mask, no_clicks(), None, scale)
    return jpeg(drawn)
