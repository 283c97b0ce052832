"""A person's clicks as an experiment, which compare.py sets beside simulated users."""

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

from annotate.photos import Photo, Project
from annotate.state import START, Thing, check_runs, object_mask
from annotate.truth import Truth
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.evaluation.boundaries import boundary_agreement
from interseg.evaluation.metrics import OUTCOME, summarise
from interseg.evaluation.overlap import iou
from interseg.evaluation.tables import write_objects
from interseg.files import write_whole

ROUNDS, TARGETS = 20, (0.8, 0.85, 0.9)
"""Clicks and IoUs of an experiment's figures, those of `configs/default.yaml`."""


def write_experiment(project: Project, truth: Truth, photos: Sequence[Photo]) -> list[str]:
    """Write `experiment/` for compare.py, as evaluate.py writes an evaluation.

    The person's seconds are added. Returns lines on the objects that are missing.

    Args:
        project: Project whose objects are measured.
        truth: True objects.
        photos: Photos that were annotated.
    """
    played: dict[int, tuple[Thing, dict[str, Tensor]]] = {}
    notes = []
    for photo in photos:
        with photo.lock:
            for thing in photo.state.present:
                index = truth.index_of(photo.name, photo.size, thing)
                if index is None or index in played or not thing.clicks:
                    continue
                target = truth.objects(photo.name, photo.size)[index]
                try:
                    played[index] = thing, outcome_of(thing, index, target)
                except InputError as error:  # of an earlier click; the others are written
                    notes.append(f"{photo.name}: {error}; experiment/ leaves that object out")
    if len(played) < len(truth.source):
        notes.append(
            f"experiment/ has {len(played)} of {len(truth.source)} objects; "
            "compare.py takes it when all are there"
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
    `simulator_seconds` are the person's. Raises `InputError` for a damaged mask.
    """
    size = (int(target.shape[0]), int(target.shape[1]))
    actions = [action for action in thing.actions if action.click][:ROUNDS]
    rest = ROUNDS - len(actions)
    first = thing.actions[0].runs if thing.actions[0].kind == START else {}
    for runs in (first, *(action.runs for action in actions)):
        for counts in runs.values():
            check_runs(counts, size)
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
