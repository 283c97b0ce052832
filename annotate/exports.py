"""Exports: masks as PNG, COCO JSON and LabelMe JSON, clicks and an experiment.

predict.py plays the clicks again, compare.py reads the experiment.

All of it is made from the journals, without the network, and can be made again at any time.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotate.categories import keep_categories
from annotate.events import CLASSES
from annotate.experiment import write_experiment
from annotate.exported import (
    check_free,
    files_of,
    forget,
    keep_exported,
    read_exported,
    remove_files,
)
from annotate.outlines import Ring, polygons
from annotate.photos import Photo, Project
from annotate.state import CLICK, START, Action, State, Thing, check_runs, mask_of
from interseg.clicks.layout import KINDS, format_click
from interseg.clicks.scripts import COLUMNS
from interseg.errors import InputError
from interseg.files import write_table, write_whole
from interseg.masks import CocoWriter, draw_ids, write_ids


def export(project: Project, tolerance: float = 1.0) -> list[str]:
    """Write everything into the project's folder; gives what a person should know, a line each.

    `masks/STEM.png` ids in the order of the objects; `annotations.json` COCO with run lengths,
    `annotations_polygons.json` with polygons; `labelme/STEM.json`; `clicks.csv`; with truth
    `experiment/`. What is returned, a line each on what these files do not hold, is in `notes.txt`.

    Args:
        project: Project whose photos are written.
        tolerance: Tolerance of polygons in pixels.

    Raises:
        InputError: a file that would be replaced is somebody else's.
    """
    if not 0 <= tolerance <= 50:
        raise InputError(f"the polygons' detail is {tolerance}; give pixels from 0 to 50")
    photos, earlier = list_annotated(project), read_exported(project)
    written = [photo.name for photo in photos if things_of(photo.state)]
    check_free(project, written, earlier)
    names = project.classes
    if project.model.segmenter.outputs == 1:
        names = keep_categories(project.out, names)
    runs, outlines = CocoWriter(names), CocoWriter(names)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    whole: list[Photo] = []
    forget(project, earlier)
    keep_exported(project, written, earlier)
    for photo in photos:
        with photo.lock:
            things = things_of(photo.state)
            try:
                parts = [part for thing in things for part in parts_of(project, photo, thing)]
            except InputError as error:  # the others are written
                notes.append(f"{photo.name}: {error}; remove that object in the page")
                continue
            whole.append(photo)
            rings = [polygons(mask, tolerance) for _, _, mask in parts]
            if any(rings) or (things and project.model.segmenter.outputs > 1):
                write_photo(project, photo, parts, rings)
            elif photo.name in earlier:  # all of its masks are empty now
                remove_files(project, photo.name)
            for coco in (runs, outlines):
                image = coco.add_image(photo.name, photo.size)
                for (thing, category, mask), outline in zip(parts, rings, strict=True):
                    if not outline:  # a reader of polygons fails on none
                        continue
                    more: dict[str, Any] = {
                        "name": str(thing.number),
                        "clicks": [format_click(click) for click in thing.clicks],
                    }
                    if coco is outlines:
                        more["segmentation"] = [ring.ravel().tolist() for ring in outline]
                    coco.add(image, mask, category, **more)
            rows += [row for thing in things for row in script_of(photo, thing)]
            notes += odd(photo, photo.state)
            notes += [
                f"{photo.name}, object {thing.number}: its mask is empty, and the COCO files are "
                "without it"
                for (thing, _, _), outline in zip(parts, rings, strict=True)
                if not outline
            ]
    if project.model.segmenter.outputs == 1:
        keep_categories(project.out, runs.categories)
    notes += project.without_photo()
    notes += [f"{row['name']}: {row['problem']}" for row in project.summary() if "problem" in row]
    project.out.mkdir(parents=True, exist_ok=True)
    runs.write(project.out / "annotations.json")
    outlines.write(project.out / "annotations_polygons.json")
    write_table(project.out / "clicks.csv", COLUMNS, rows)
    if project.truth:
        notes += write_experiment(project, project.truth, whole)
    write_whole(project.out / "notes.txt", "".join(f"{line}\n" for line in notes))
    return notes


def list_annotated(project: Project) -> list[Photo]:
    """List the photos that have objects, or are finished without any."""
    rows = [row for row in project.summary() if row["objects"] or row["finished"]]
    return [project.photo(row["key"]) for row in rows]


def things_of(state: State) -> list[Thing]:
    """List the objects that count; an answer that was accepted without clicks is one."""
    if state.present or not state.accepted:
        return state.present
    return [Thing(1, CLASSES, [Action(START, state.accepted)])]


def parts_of(
    project: Project, photo: Photo, thing: Thing
) -> list[tuple[Thing, str, NDArray[np.bool_]]]:
    """Give an object with its category and mask; of a network of classes each class above 0.

    Raises `InputError` for a mask of another size than the photo.
    """
    for counts in thing.runs.values():
        check_runs(counts, photo.size)
    mask = mask_of(thing.runs, photo.size, project.model.segmenter.outputs)
    if mask.dtype == bool:
        return [(thing, thing.category, mask.astype(bool, copy=False))]
    return [
        (thing, project.classes[label - 1], mask == label)
        for label in np.unique(mask[mask > 0]).tolist()
    ]


def write_photo(
    project: Project,
    photo: Photo,
    parts: list[tuple[Thing, str, NDArray[np.bool_]]],
    rings: list[list[Ring]],
) -> None:
    """Write a photo's ids (of a network of classes, the classes) and its LabelMe file.

    Args:
        project: Project of the photo.
        photo: Photo that is written.
        parts: Object, category and mask (H, W) of each part.
        rings: Outlines of each part.
    """
    file, outlines = files_of(project, photo.name)
    if project.model.segmenter.outputs == 1:
        ids = draw_ids([mask for _, _, mask in parts])
    else:
        ids = mask_of(
            things_of(photo.state)[0].runs, photo.size, project.model.segmenter.outputs
        ).astype(np.uint16)
    write_ids(file, ids)
    shapes = [
        {
            "label": category,
            "points": ring.tolist(),
            "group_id": number,
            "shape_type": "polygon",
            "flags": {},
        }
        for number, ((_, category, _), outline) in enumerate(zip(parts, rings, strict=True), 1)
        for ring in outline
    ]
    content: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": path_from(outlines.parent, photo.path),
        "imageData": None,
    }
    content |= {"imageHeight": photo.size[0], "imageWidth": photo.size[1]}
    outlines.parent.mkdir(parents=True, exist_ok=True)
    write_whole(outlines, json.dumps(content))


def path_from(folder: Path, file: Path) -> str:
    """Write a file's path from a folder, both without links, which `..` would follow."""
    return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()


def script_of(photo: Photo, thing: Thing) -> list[dict[str, Any]]:
    """Give the rows of an object in the file of clicks."""
    one = {"image": photo.name, "object": thing.number, "category": thing.category}
    return [
        one | {"y": y, "x": x, "label": label, "kind": KINDS[kind]}
        for y, x, label, kind in thing.clicks
    ]


def odd(photo: Photo, state: State) -> list[str]:
    """List the masks that predict.py does not make again from the clicks alone, a line each."""
    lines = []
    for thing in state.present:
        others = {action.kind for action in thing.actions} - {CLICK}
        if others:
            kinds = " and ".join(sorted(others))
            where = f"{photo.name}, object {thing.number}"
            lines.append(f"{where}: clicks.csv is without its {kinds}")
    if state.accepted:
        lines.append(
            f"{photo.name}: its answer without clicks was accepted, and clicks.csv is without it"
        )
    if len(set(state.networks)) > 1:
        lines.append(
            f"{photo.name}: several networks answered its clicks; predict.py plays them by one"
        )
    return lines
