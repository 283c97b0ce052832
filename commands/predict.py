"""Segment photos by scripted clicks: `python predict.py --checkpoint RUN --images FOLDER ...`.

`--clicks FILE` is a CSV with a row per click (image, object, y, x, label, kind, category) or a JSON
list of objects (interseg/clicks/scripts.py). `--out FOLDER` takes `masks/STEM.png` with the ids of
each photo's objects, or its classes, and `annotations.json` in COCO's format.
"""

import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import interseg
from configs.options import Parser, output_folder
from interseg.clicks.layout import format_click
from interseg.clicks.scripts import ScriptedObject, read_script
from interseg.errors import InputError
from interseg.inference.model import Model
from interseg.inference.rounds import answer_together
from interseg.inference.session import Session
from interseg.masks import CocoWriter, draw_ids, write_ids

EXAMPLES = (
    "--checkpoint RUN --images photos --clicks clicks.csv --out masks",
    "--checkpoint RUN --images photos --clicks clicks.json --out masks --device cuda "
    "refiner=f_brs_b flip=true",
)


def main() -> int:
    """Read the clicks, answer them photo by photo, and write the masks.

    Returns:
        Exit code, 1 if something was left out.
    """
    arguments = Parser(__doc__.splitlines()[0], EXAMPLES)
    arguments.add_argument(
        "--checkpoint", required=True, metavar="RUN_OR_FILE", help="a run's folder, or a checkpoint"
    )
    arguments.add_argument(
        "--images", required=True, type=Path, metavar="FOLDER", help="of the photos"
    )
    arguments.add_argument(
        "--clicks", required=True, type=Path, metavar="FILE", help="a CSV or JSON file"
    )
    arguments.add_argument(
        "--out", required=True, type=output_folder, metavar="FOLDER", help="for the masks"
    )
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="see train.py"
    )
    arguments.add_argument(
        "overrides", nargs="*", metavar="key=value", help="of the config, e.g. refiner=f_brs_b"
    )
    options = arguments.parse_intermixed_args()
    script = read_script(options.clicks, partial(name_inside, options.images))
    if not options.images.is_dir():
        raise InputError(f"there is no folder {options.images}; give the photos' by --images")
    model = interseg.load(
        options.checkpoint, *options.overrides, device=options.device, trusted=options.trust
    )
    if not isinstance(model, Model):
        raise InputError(
            f"{options.checkpoint} is an export; predict.py takes the run that it was made of"
        )
    photos: dict[str, list[ScriptedObject]] = {}
    written, problems = CocoWriter(), [*script.problems]
    for scripted in script.objects:
        if is_inside(options.images, scripted.image):
            photos.setdefault(scripted.image, []).append(scripted)
        else:
            where = f"{scripted.image}, object {scripted.object}"
            problems.append(f"{where}: it lies outside {options.images}")
    check_distinct(photos)
    for name, objects in (bar := tqdm(photos.items(), unit="photo")):
        problems += segment_photo(
            model, options.images, name, objects, written, options.out / "masks"
        )
        bar.set_postfix(objects=len(written.annotations), left_out=len(problems))
    options.out.mkdir(parents=True, exist_ok=True)
    written.write(options.out / "annotations.json")
    for line in problems:
        print(f"left out: {line}", file=sys.stderr)
    print(
        f"{len(written.annotations)} masks on {len(written.images)} photos, "
        f"{len(problems)} problems: {options.out}"
    )
    return 1 if problems else 0


def is_inside(folder: Path, name: str) -> bool:
    """Tell whether a photo's name is of a file inside the folder of the photos."""
    path, base = (folder / name).resolve(), folder.resolve()
    return path != base and path.is_relative_to(base)


def name_inside(folder: Path, name: str) -> str:
    """Write a photo's path from the folder of the photos, which a row may name in other ways.

    No mask must be written to a whole path. A name that leads outside is returned as it is.
    """
    if not is_inside(folder, name):
        return name
    place, base = Path(os.path.abspath(folder / name)), Path(os.path.abspath(folder))
    if not place.is_relative_to(base):  # a whole path, and the folder's leads over a link
        place, base = (folder / name).resolve(), folder.resolve()
    return place.relative_to(base).as_posix()


def check_distinct(names: Iterable[str]) -> None:
    """Raise `InputError` for two photos whose masks would be one file."""
    first: dict[Path, str] = {}
    for name in names:
        file = Path(name).with_suffix(".png")
        if file in first:
            raise InputError(
                f"{first[file]} and {name} would both have masks/{file}; rename one of them"
            )
        first[file] = name


def segment_photo(
    model: Model,
    folder: Path,
    name: str,
    objects: list[ScriptedObject],
    written: CocoWriter,
    masks: Path,
) -> list[str]:
    """Answer the clicks on a photo's objects and write their masks.

    Args:
        model: Model that answers.
        folder: Folder of the photos.
        name: Path of the photo from the folder.
        objects: Objects of the photo with their clicks.
        written: COCO file to which masks are added.
        masks: Folder of the masks.

    Returns:
        The objects that were left out and why, a line each.
    """
    try:
        first = model.session(folder / name)
    except InputError as error:
        return [str(error)]
    found: list[tuple[ScriptedObject, Session]] = []
    problems: list[str] = []
    for scripted in objects:
        if found and model.segmenter.outputs > 1:
            problems.append(
                f"{name}, object {scripted.object}: a network of classes answers "
                "a photo as a whole; give one object per photo"
            )
            continue
        try:
            found.append((scripted, give_clicks(first.another(undoable=False), scripted)))
        except InputError as error:
            problems.append(f"{name}, object {scripted.object}: {error}")
    if found:
        image = written.add_image(name, first.size)
        for scripted, session in found:
            add_object(written, image, scripted, session)
        file = masks / Path(name).with_suffix(".png")
        shown = [session.mask for _, session in found]
        if shown[0].dtype == bool:
            write_ids(file, draw_ids([mask.astype(bool) for mask in shown]))
        else:
            write_ids(file, shown[0].astype(np.uint8))
    return problems


def give_clicks(session: Session, scripted: ScriptedObject) -> Session:
    """Give an object's clicks to a session."""
    for click in scripted.clicks:
        answer_together([session], [click])
    return session


def add_object(written: CocoWriter, image: int, scripted: ScriptedObject, session: Session) -> None:
    """Add an object's mask to the COCO file, or the mask of each class above 0."""
    more = {"name": scripted.object, "clicks": [format_click(click) for click in scripted.clicks]}
    if session.mask.dtype == bool:
        written.add(image, session.mask.astype(bool), scripted.category, **more)
        return
    for label in np.unique(session.mask[session.mask > 0]).tolist():
        written.add(image, session.mask == label, f"class {label}", **more)
