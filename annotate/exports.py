"""Exports: masks as PNG, COCO JSON and LabelMe JSON, clicks and an experiment.

predict.py plays the clicks again, compare.py reads the experiment.

All of it is made from the journals, without the network, and can be made again at any time.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

from annotate.categories import keep_categories
from annotate.events import CLASSES
from annotate.exported import files_of, forget, read_exported, remove_files
from annotate.outlines import Ring, polygons
from annotate.photos import Photo, Project
from annotate.state import CLICK, START, Action, State, Thing, mask_of, object_mask
from annotate.truth import Truth
from interseg.clicks.layout import KINDS, clicks_of, format_click, pad_clicks
from interseg.clicks.scripts import COLUMNS
from interseg.errors import InputError
from interseg.evaluation.boundaries import boundary_agreement
from interseg.evaluation.metrics import OUTCOME, summarise
from interseg.evaluation.overlap import iou
from interseg.evaluation.tables import write_objects
from interseg.files import write_table, write_whole
from interseg.masks import CocoWriter, draw_ids, write_ids

ROUNDS, TARGETS = 20, (0.8, 0.85, 0.9)
"""Clicks and IoUs of an experiment's figures, those of `configs/default.yaml`."""


def export(project: Project, tolerance: float = 1.0) -> list[str]:
    """Write everything into the project's folder; gives what a person should know, a line each.

    `masks/STEM.png` ids in the order of the objects; `annotations.json` COCO with run lengths,
    `annotations_polygons.json` with polygons; `labelme/STEM.json`; `clicks.csv`; with truth
    `experiment/`. What is returned, a line each on what these files do not hold, is in `notes.txt`.

    Args:
        project: Project whose photos are written.
        tolerance: Tolerance of polygons in pixels.
    """
    if not 0 <= tolerance <= 50:
        raise InputError(f"the polygons' detail is {tolerance}; give pixels from 0 to 50")
    names = project.classes
    if project.model.segmenter.outputs == 1:
        names = keep_categories(project.out, names)
    runs, outlines = CocoWriter(names), CocoWriter(names)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    earlier = read_exported(project)
    forget(project, earlier)
    for photo in list_annotated(project):
        with photo.lock:
            things = things_of(photo.state)
            parts = [part for thing in things for part in parts_of(project, photo, thing)]
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
        notes += write_experiment(project, project.truth)
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
    """Give an object with its category and mask; of a network of classes each class above 0."""
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


def write_experiment(project: Project, truth: Truth) -> list[str]:
    """Write `experiment/` for compare.py, as evaluate.py writes an evaluation.

    The person's seconds are added. Returns a line on the objects that are missing.
    """
    played: dict[int, tuple[Thing, dict[str, Tensor]]] = {}
    for photo in list_annotated(project):
        with photo.lock:
            for thing in photo.state.present:
                index = truth.index_of(photo.name, photo.size, thing)
                if index is None or index in played or not thing.clicks:
                    continue
                target = truth.objects(photo.name, photo.size)[index]
                played[index] = thing, outcome_of(thing, index, target)
    missing = len(truth.source) - len(played)
    notes = (
        [
            f"experiment/ has {len(played)} of {len(truth.source)} objects; "
            "compare.py takes it when all are there"
        ]
        if missing
        else []
    )
    if not played:
        return notes
    rows = [played[index] for index in sorted(played)]
    outcome = {key: torch.stack([told[key] for _, told in rows]) for key in OUTCOME}
    folder = project.out / "experiment"
    folder.mkdir(parents=True, exist_ok=True)
    names = [truth.source.name(index) for index in sorted(played)]
    spent = [thing.spent for thing, _ in rows]
    final = [truth.measure(thing, index) for index, (thing, _) in sorted(played.items())]
    more = {
        "seconds": [f"{value:.2f}" for value in spent],
        "final_iou": [f"{value:.6f}" for value in final],
    }
    write_objects(folder / "objects.csv", outcome, names, TARGETS, more=more)
    figures = summarise(outcome, TARGETS, False) | {
        "errors": [],
        "user": "person",
        "seconds": float(np.mean(spent)),
    }
    figures["final_iou"] = float(np.mean(final))
    write_whole(folder / "report.json", json.dumps(figures, indent=1))
    data = {
        "_target_": "datamodules.folder.FolderDataModule",
        "root": str(truth.images.resolve().parent),
    }
    data |= {"images": str(truth.images.resolve()), "masks": str(truth.masks.resolve())}
    config = {
        "name": "person",
        "seed": 0,
        "network": project.digest,
        "max_clicks": ROUNDS,
        "data": data,
    }
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    return notes


def outcome_of(thing: Thing, index: int, target: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Return the outcome of a person's clicks on a true object (H, W), as `Game.outcome` has it.

    Masks are those after each of the first `ROUNDS` clicks, strokes before a click in them;
    `simulator_seconds` are the person's.
    """
    size = (int(target.shape[0]), int(target.shape[1]))
    actions = [action for action in thing.actions if action.click][:ROUNDS]
    rest = ROUNDS - len(actions)
    first = thing.actions[0].runs if thing.actions[0].kind == START else {}
    masks = [object_mask(action.runs, size) for action in actions]
    given = clicks_of([action.click for action in actions if action.click])
    curve = [iou(mask, target) for mask in masks]
    outlines = [boundary_agreement(mask, target) for mask in masks]
    right = [
        int((mask[given[:k, 0], given[:k, 1]] == given[:k, 2]).sum())
        for k, mask in enumerate(masks, 1)
    ]
    return {
        "id": torch.tensor(index),
        "starts": torch.tensor(iou(object_mask(first, size), target), dtype=torch.float64),
        "curves": torch.tensor(curve + curve[-1:] * rest, dtype=torch.float64),
        "outlines": torch.tensor(outlines + outlines[-1:] * rest, dtype=torch.float64),
        "clicks": torch.cat([pad_clicks([given])[0], torch.full((rest, 4), -1)]),
        "correct": torch.tensor(right + [0] * rest),
        "network_seconds": torch.tensor(
            [action.seconds for action in actions] + [0.0] * rest, dtype=torch.float64
        ),
        "simulator_seconds": torch.tensor(thing.spent, dtype=torch.float64),
    }
