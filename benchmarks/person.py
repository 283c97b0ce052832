"""Photos annotated by a scripted person in a browser, beside evaluate.py's figures.

    python -m benchmarks.person FOLDER [--checkpoint RUN] [--photos 5] [--chromium FILE] [--pictures
    docs]

FOLDER has GrabCut's layout. evaluate.py plays some of its photos first; then a person in Chromium
gives the very clicks in the page, and the experiment that the annotator writes is compared with the
evaluation: clicks and IoU after each. `--pictures` draws those of the docs instead, on photos that
scikit-image carries.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import interseg
from annotate.exports import export
from annotate.photos import Project
from annotate.server import serving
from annotate.truth import Truth
from benchmarks.running import ROOT
from configs.console import run_guarded
from interseg.errors import InputError
from interseg.evaluation.comparison import Row, read_objects
from interseg.images import image_header
from interseg.inference.model import Model

MARGIN = 12
"""Number of the screen's pixels that the page leaves free around a photo."""
SHOWN = ("chelsea.png", "coffee.png")
"""Photos of the docs, both under CC0: S. van der Walt's cat, R. Michetti's coffee."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "data", type=Path, nargs="?", metavar="FOLDER", help="with data_GT and boundary_GT"
    )
    arguments.add_argument("--checkpoint", default="interseg-s")
    arguments.add_argument("--photos", type=int, default=5)
    arguments.add_argument("--chromium", default=shutil.which("chromium"))
    arguments.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="to write the pictures of the docs to"
    )
    options = arguments.parse_args()
    if options.chromium is None:
        raise InputError(
            "there is no chromium; apt-get install chromium, or give one by --chromium"
        )
    if (options.data is None) == (options.pictures is None):
        raise InputError("give a FOLDER to be annotated, or --pictures")
    model = interseg.load(options.checkpoint)
    if not isinstance(model, Model):
        raise InputError(
            f"{options.checkpoint} is an export, which is not annotated with; give its run"
        )
    with tempfile.TemporaryDirectory() as place, Browser(options.chromium) as browser:
        if options.pictures:
            draw_pictures(model, Path(place), browser, options.pictures)
        else:
            annotate_and_compare(model, options, Path(place), browser)


class Browser:
    """Chromium without a window."""

    def __init__(self, chromium: str) -> None:
        self.chromium = chromium

    def __enter__(self) -> Any:
        from playwright.sync_api import sync_playwright  # of the extra "test" alone

        self.run = sync_playwright().start()
        self.opened = self.run.chromium.launch(
            executable_path=self.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        return self.opened

    def __exit__(self, *_: object) -> None:
        self.opened.close()
        self.run.stop()


def place_on_screen(page: Any, size: tuple[int, int], y: float, x: float) -> tuple[float, float]:
    """Locate a pixel's centre (x, y) on the screen, of a photo of (height, width) shown whole."""
    box = page.locator("#canvas").bounding_box()
    scale = min((box["width"] - 2 * MARGIN) / size[1], (box["height"] - 2 * MARGIN) / size[0])
    left, top = (box["width"] - size[1] * scale) / 2, (box["height"] - size[0] * scale) / 2
    return box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale


def wait_for_photo(page: Any, size: tuple[int, int], number: int) -> None:
    """Wait until the page shows the photo of a number from 1."""
    page.wait_for_function(
        "n => document.querySelector('#place').textContent.startsWith(`${n} of`)", arg=number
    )
    page.wait_for_function(
        "text => document.querySelector('#facts').textContent.startsWith(text)",
        arg=f"{size[1]} × {size[0]}",
    )
    page.wait_for_function("document.querySelector('#busy').textContent === ''")


def give(page: Any, size: tuple[int, int], clicks: list[list[int]], before: int = 0) -> None:
    """Click and wait for the answer each time; `before` counts the clicks that the object has."""
    for number, (y, x, label, *_) in enumerate(clicks, before + 1):
        page.mouse.click(*place_on_screen(page, size, y, x), button="left" if label else "right")
        words = f"{number} click" if number == 1 else f"{number} clicks"
        page.wait_for_function(
            "text => document.querySelector('#things li.on small')?.textContent.startsWith(text)",
            arg=words,
        )


def annotate_and_compare(
    model: Model, options: argparse.Namespace, place: Path, browser: Any
) -> None:
    """Play some photos by evaluate.py and by a person; raises `RuntimeError` if they differ."""
    photos = sorted((options.data / "data_GT").iterdir())
    chosen = photos[:: max(1, len(photos) // options.photos)][: options.photos]
    for folder in ("images", "masks"):
        (place / folder).mkdir()
    for photo in chosen:
        shutil.copy(photo, place / "images")
        shutil.copy(next((options.data / "boundary_GT").glob(f"{photo.stem}.*")), place / "masks")
    played = place / "played"
    words = [
        "--checkpoint",
        options.checkpoint,
        "--config",
        "data/folder.yaml",
        f"data.root={place}",
        f"run={played}",
    ]
    quiet = [
        "loading.batch_size=1",
        "loading.num_workers=0",
        "callbacks.report=null",
        "trainer.enable_progress_bar=false",
    ]
    subprocess.run(
        [sys.executable, ROOT / "evaluate.py", *words, *quiet],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    theirs = read_objects(played / "objects.csv")[1]
    project = Project(
        model,
        "person",
        place / "images",
        place / "out",
        truth=Truth(place / "images", place / "masks"),
    )
    with serving(project) as address:
        seconds = person_annotates(browser, address, project, theirs)
    for line in export(project):
        print(line)
    project.close()
    ours = read_objects(place / "out" / "experiment" / "objects.csv")[1]
    print("| photo | clicks | seconds | IoU | evaluate.py's IoU |\n|---|---|---|---|---|")
    for mine, their, passed in zip(ours, theirs, seconds, strict=True):
        last, name = f"iou@{len(mine.clicks)}", mine.name.split()[1].rstrip(":")
        print(
            f"| {name} | {len(mine.clicks)} | {passed:.1f} | {mine.figures[last]:.6f} | "
            f"{their.figures[last]:.6f} |"
        )
        if mine.figures != their.figures or mine.clicks.tolist() != their.clicks.tolist():
            raise RuntimeError(
                f"{mine.name}: the person's figures are {mine.figures}, "
                f"evaluate.py's {their.figures}"
            )
    print("clicks, NoC and IoU after each click are equal")


def person_annotates(
    browser: Any, address: str, project: Project, objects: list[Row]
) -> list[float]:
    """Give each object's clicks in the page.

    Returns the seconds of each, from the open photo to the last answer.
    """
    truth, seconds = project.truth, []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(address)
    for number, row in enumerate(objects, 1):
        name = truth.source.image(row.id) if truth else ""
        size = image_header(project.images / name).size.upright
        wait_for_photo(page, size, number)
        started = time.monotonic()
        give(page, size, row.clicks.tolist())
        seconds.append(time.monotonic() - started)
        page.keyboard.press("Enter")
    page.close()
    return seconds


def draw_pictures(model: Model, place: Path, browser: Any, out: Path) -> None:
    """Draw the page with objects of two classes, and with a photo's uncertainty."""
    (place / "images").mkdir()
    for name in SHOWN:
        shutil.copy(Path(str(files("skimage") / "data")) / name, place / "images")
    project = Project(model, "pictures", place / "images", place / "out", ["cat", "cup", "spoon"])
    sizes = [image_header(place / "images" / name).size.upright for name in SHOWN]
    with serving(project) as address:
        page = browser.new_page(viewport={"width": 1180, "height": 700})
        page.goto(address)
        wait_for_photo(page, sizes[0], 1)
        give(page, sizes[0], [[120, 190, 1], [220, 330, 1], [30, 400, 0]])
        page.select_option("#heat", "uncertainty")
        page.wait_for_timeout(1500)
        page.screenshot(path=str(out / "annotate_uncertainty.jpg"), type="jpeg", quality=80)
        page.select_option("#heat", "")
        page.keyboard.press("Enter")
        wait_for_photo(page, sizes[1], 2)
        page.keyboard.press("2")
        give(page, sizes[1], [[180, 200, 1], [330, 330, 0]])
        page.keyboard.press("n")
        page.keyboard.press("3")
        give(page, sizes[1], [[283, 366, 1], [340, 250, 0]])
        page.wait_for_timeout(500)
        page.screenshot(path=str(out / "annotate.jpg"), type="jpeg", quality=80)
        page.close()
    project.close()


if __name__ == "__main__":
    run_guarded(main)
