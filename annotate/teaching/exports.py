"""Exports of lessons: a mask of classes a photo, the labels, and `transfer.json`."""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotate.exported import check_absent, read_record, write_record
from annotate.state import mask_of
from annotate.teaching.course import Item
from annotate.teaching.labels import Lecture, annotation_of
from annotate.teaching.lessons import Lessons
from interseg.continual.teacher import Student
from interseg.evaluation.taught import TaughtPhoto, taught_figures
from interseg.files import whole, write_whole
from interseg.images import image_header


def export(lessons: Lessons) -> list[str]:
    """Write `masks/`, `labels/` and `transfer.json` of the photos so far; return notes.

    Masks and labels have the photos' sizes.
    The method answers every photo that is done once more: that tells what it has kept.

    Raises:
        InputError: a mask or labels that would be replaced are somebody else's.
    """
    met = [item for item in lessons.order if item.rounds.met is not None]
    claim_files(lessons, met)
    for item in met:
        height, width = image_header(item.path).size.upright
        labels = annotation_of(item.rounds.labels, lessons.size)
        for kind, drawn in (("masks", answer_of(lessons, item)), ("labels", labels)):
            full = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_NEAREST)
            save(lessons, kind, item, np.asarray(full, np.uint8))
    done = [item for item in met if item.rounds.finished]
    now: list[NDArray[np.int64]] = (
        lessons.ask(lambda student: answers(student, [item.task for item in done])) if done else []
    )
    taught = [taught_photo(lessons, item, answer) for item, answer in zip(done, now, strict=True)]
    write_whole(
        lessons.out / "transfer.json",
        json.dumps(taught_figures(taught, len(lessons.classes)), indent=1),
    )
    missing = len(lessons.order) - len(done)
    return [f"{missing} photo{'s are' if missing > 1 else ' is'} not done"] if missing else []


def claim_files(lessons: Lessons, met: list[Item[Lecture]]) -> None:
    """Keep which photos' files are ours; raise `InputError` if one is somebody else's.

    An earlier version kept no record: where it has written `transfer.json`, all are ours.
    """
    ours = read_record(lessons.out)
    if ours is None:
        before = lessons.order if (lessons.out / "transfer.json").is_file() else []
        ours = {item.path.name for item in before}
    others = [item for item in met if item.path.name not in ours]
    check_absent(file_of(lessons, kind, item) for item in others for kind in ("masks", "labels"))
    write_record(lessons.out, ours.union(item.path.name for item in met))


def taught_photo(lessons: Lessons, item: Item[Lecture], now: NDArray[np.int64]) -> TaughtPhoto:
    """Collect what is measured of a photo, with its answer of now (H, W)."""
    lecture = item.rounds
    met = np.asarray(mask_of(lecture.met, lessons.size, len(lessons.classes)), np.uint8)
    labels, truth = annotation_of(lecture.labels, lessons.size), lessons.dataset.mask(item.task)
    seconds = round(sum(taught.seconds for taught in lecture.rounds), 2)
    maps = met, answer_of(lessons, item), now, labels, truth
    return TaughtPhoto(
        item.path.name, *maps, lecture.round, len(lecture.labels), lecture.spent, seconds
    )


def answers(student: Student, tasks: list[int]) -> list[NDArray[np.int64]]:
    """Answer photos with what the method knows now."""
    return [student.answer(task) for task in tasks]


def answer_of(lessons: Lessons, item: Item[Lecture]) -> NDArray[np.uint8]:
    """Give the newest answer (H, W) that a person has seen."""
    return np.asarray(mask_of(item.rounds.answer, lessons.size, len(lessons.classes)), np.uint8)


def save(lessons: Lessons, folder: str, item: Item[Lecture], pixels: NDArray[np.uint8]) -> None:
    """Write classes as a PNG."""
    file = file_of(lessons, folder, item)
    file.parent.mkdir(exist_ok=True)
    with whole(file) as part:
        Image.fromarray(pixels).save(part, "PNG")


def file_of(lessons: Lessons, folder: str, item: Item[Lecture]) -> Path:
    """Name the file of a photo's classes in `masks` or `labels`."""
    return lessons.out / folder / f"{item.path.stem}.png"
