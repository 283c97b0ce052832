"""Segment photos by scripted clicks: `python predict.py --checkpoint RUN --images FOLDER ...`.

`--clicks FILE` is a CSV with a row per click (image, object, y, x, label, kind, category) or a JSON
list of objects (interseg/clicks/scripts.py). `--out FOLDER` takes `masks/STEM.png` with the ids of
each photo's objects, or its classes, and `annotations.json` in COCO's format. Files that are there
already are not replaced unless `overwrite=true`.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import interseg
from configs import parse
from configs.options import Parser, output_folder
from interseg.clicks.layout import Mask, format_click
from interseg.clicks.scripts import Script, ScriptedObject, read_script
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
MEMORY = "the device's memory is too small for it; give model.long_side, or --device cpu"


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
    photos, problems = group_by_photo(script, options.images)
    check_distinct(photos)
    if not any(parse(override).get("overwrite") for override in options.overrides):
        check_free(options.out, photos)
    model = interseg.load(
        options.checkpoint, *options.overrides, device=options.device, trusted=options.trust
    )
    if not isinstance(model, Model):
        raise InputError(
            f"{options.checkpoint} is an export; predict.py takes the run that it was made of"
        )
    written = CocoWriter()
    try:
        for name, objects in (bar := tqdm(photos.items(), unit="photo")):
            problems += segment_photo(
                model, options.images, name, objects, written, options.out / "masks"
            )
            bar.set_postfix(objects=len(written.annotations), left_out=len(problems))
    finally:  # what was answered before Ctrl+C or a full disk has its rows too
        if written.images:
            options.out.mkdir(parents=True, exist_ok=True)
            written.write(options.out / "annotations.json")
        for line in problems:
            print(f"left out: {line}", file=sys.stderr)
    print(
        f"{len(written.annotations)} masks on {len(written.images)} photos, "
        f"{len(problems)} problems: {options.out}"
    )
    return 1 if problems else 0


def group_by_photo(
    script: Script, folder: Path
) -> tuple[dict[str, list[ScriptedObject]], list[str]]:
    """Group the objects by their photos; returns the script's problems and those of places too."""
    photos: dict[str, list[ScriptedObject]] = {}
    problems = [*script.problems]
    for scripted in script.objects:
        if is_inside(folder, scripted.image):
            photos.setdefault(scripted.image, []).append(scripted)
        else:
            where = f"{scripted.image}, object {scripted.object}"
            problems.append(f"{where}: it lies outside {folder}")
    return photos, problems


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


def check_free(out: Path, names: Iterable[str]) -> None:
    """Raise `InputError` if a file that would be written is there, perhaps a mask drawn by hand."""
    files = [out / "annotations.json", *(mask_file(out / "masks", name) for name in names)]
    found = [file for file in files if file.exists()]
    if found:
        raise InputError(
            f"{found[0]} exists; give --out another folder, or overwrite=true to replace it"
        )


def mask_file(masks: Path, name: str) -> Path:
    """Return the file of a photo's masks, below the folder of the masks."""
    return masks / Path(name).with_suffix(".png")


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
    except torch.OutOfMemoryError:
        return [f"{name}: {MEMORY}"]
    found: list[tuple[ScriptedObject, Mask]] = []
    problems: list[str] = []
    for scripted in objects:
        if found and model.segmenter.outputs > 1:
            problems.append(
                f"{name}, object {scripted.object}: a network of classes answers "
                "a photo as a whole; give one object per photo"
            )
            continue
        try:
            session = give_clicks(first.another(undoable=False), scripted)
            found.append((scripted, session.mask))
        except (InputError, torch.OutOfMemoryError) as error:
            why = error if isinstance(error, InputError) else MEMORY
            problems.append(f"{name}, object {scripted.object}: {why}")
    if found:
        image = written.add_image(name, first.size)
        for scripted, mask in found:
            add_object(written, image, scripted, mask)
        shown = [mask for _, mask in found]
        if shown[0].dtype == bool:
            ids = draw_ids([mask.astype(bool) for mask in shown])
            tell_hidden(name, [scripted.object for scripted, _ in found], ids)
            write_ids(mask_file(masks, name), ids)
        else:
            write_ids(mask_file(masks, name), shown[0].astype(np.uint8))
    return problems


def tell_hidden(name: str, objects: Sequence[str], ids: NDArray[np.integer]) -> None:
    """Print which objects the file of ids does not show."""
    for number, thing in enumerate(objects, 1):
        if not (ids == number).any():
            print(f"note: {name}, object {thing}: empty, or wholly below others", file=sys.stderr)


def give_clicks(session: Session, scripted: ScriptedObject) -> Session:
    """Give an object's clicks to a session."""
    for click in scripted.clicks:
        answer_together([session], [click])
    return session


def add_object(written: CocoWriter, image: int, scripted: ScriptedObject, mask: Mask) -> None:
    """Add an object's mask to the COCO file, or the mask of each class above 0."""
    more = {"name": scripted.object, "clicks": [format_click(click) for click in scripted.clicks]}
    if mask.dtype == bool:
        written.add(image, mask.astype(bool), scripted.category, **more)
        return
    for label in np.unique(mask[mask > 0]).tolist():
        written.add(image, mask == label, f"class {label}", **more)
