"""Lessons on photos: what a person is shown of them, and says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotate.journal import Event
from annotate.state import runs_of
from annotate.teaching.course import Course, Item
from annotate.teaching.labels import (
    Lecture,
    annotation_of,
    apply,
    digits_of,
    event_of,
    replay,
    runs_with_background,
)
from datamodules.photos import PhotoDataset
from interseg.clicks.layout import IGNORE
from interseg.continual.superpixels import choose_segments
from interseg.continual.teacher import Learned, Met, Student, Teacher, Told
from interseg.errors import InputError
from interseg.evaluation.overlap import mean_iou

REFERENCE, APART = 256 * 352, 25
"""Pixels of the official code's images, and the distance there between superpixels that are
labelled in one round."""


class Fit(Protocol):
    """Fit of a method on photos (`configs.teaching.Lesson`)."""

    folder: Path
    files: list[Path]
    notes: list[str]

    def fit(self, teacher: Teacher) -> None:
        """Teach until the teacher ends it."""


class Lessons(Course[Lecture], Teacher):
    """The person's side of a method that learns tasks.

    Args:
        fit: Fit that learns.
        classes: Names of all classes, background first.
        photos: Photos of the fit, at the size that it learns.
    """

    def __init__(self, fit: Fit, classes: Sequence[str], photos: PhotoDataset) -> None:
        super().__init__(fit.fit, fit.folder, fit.files, replay, apply)
        self.notes, self.classes, self.dataset, self.size = (
            fit.notes,
            list(classes),
            photos,
            photos.size,
        )
        for item in self.order:
            begun = next((event for event in item.journal.events if event["do"] == "met"), None)
            if begun and tuple(begun["size"]) != self.size:
                raise InputError(
                    f"{self.out} holds lessons at {begun['size']}, these are at {list(self.size)}; "
                    "give another --out"
                )

    def begin(self, student: Student) -> None:
        """See `Teacher`."""
        self.student = student

    def meet(self, met: Met) -> Told:
        """See `Teacher`."""
        answer = met.probabilities.argmax(0).astype(np.uint8)
        near = met.neighbour and [
            met.neighbour[0],
            float(f"{met.neighbour[1]:.4g}"),
            met.neighbour[2],
        ]
        event: Event = {
            "do": "met",
            "size": list(self.size),
            "answer": runs_of(answer),
            "neighbour": near,
        }
        item = self.meet_with(met, event | {"iou": self._iou(met.task, answer)})
        with self.bell:
            self._check()  # a decision may be taken back as soon as it is made
            labels, last = item.rounds.given(met.round), item.rounds.decided[met.round].last
        return Told(annotation_of(labels, self.size), len(labels), last)

    def learned(self, learned: Learned) -> None:
        """See `Teacher`."""
        answer = learned.probabilities.argmax(0).astype(np.uint8)
        event: Event = {"answer": runs_of(answer), "activation": digits_of(learned.activation)}
        self.over(learned.task, learned.round, event | {"iou": self._iou(learned.task, answer)})

    def _iou(self, task: int, answer: NDArray[np.uint8]) -> float | None:
        """Measure an answer (H, W), where truth is known."""
        mask = self.dataset.mask(task)
        return (
            None if (mask == IGNORE).all() else round(mean_iou(answer, mask, len(self.classes)), 4)
        )

    def act(self, key: str, version: int, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a person asks; when this returns it is on the disk. Raises as `Course.keep`."""
        with self.bell:
            item, met = self.taught_now(key), self.meeting
            self.keep(
                item,
                version,
                lambda: event_of(item.rounds, met.segments, len(self.classes), request),
            )
            return self.describe(key)

    def describe(self, key: str) -> dict[str, Any]:
        """Return what a page shows of a photo."""
        with self.bell:
            item = self.item(key)
            lecture, mine = item.rounds, item is self.current
            drawn = annotation_of(lecture.labels, self.size)
            row = {
                "key": key,
                "name": item.path.name,
                "size": self.size,
                "version": len(item.journal.events),
                "current": mine,
            }
            row |= {
                "answer": lecture.answer or {},
                "annotation": runs_with_background(drawn),
                "labels": len(lecture.labels),
            }
            row |= {
                "round": lecture.round,
                "finished": lecture.finished,
                "learning": lecture.learning,
                "problem": lecture.problem,
            }
            row |= {
                "undo": len(lecture.labels) > lecture.kept,
                "redo": bool(lecture.undone),
                "new": len(lecture.labels) - lecture.kept,
            }
            apart = APART * float(np.sqrt(drawn.size / REFERENCE))
            return row | {
                "wished": choose_segments(
                    self.meeting.uncertainty, self.meeting.segments, drawn, apart=apart
                )
                if mine
                else []
            }

    def summary(self) -> list[dict[str, Any]]:
        """Return how far each photo is."""
        with self.bell:
            return [row_of(item) for item in self.order]

    def maps(self, key: str) -> Met:
        """Give what the method said of the photo that is being taught."""
        with self.bell:
            self.taught_now(key)
            met: Met = self.meeting
            return met


def row_of(item: Item[Lecture]) -> dict[str, Any]:
    """Return how far a photo is."""
    lecture = item.rounds
    row = {
        "key": item.key,
        "name": item.path.name,
        "rounds": lecture.round,
        "labels": len(lecture.labels),
        "finished": lecture.finished,
    }
    last = lecture.rounds[-1] if lecture.rounds else None
    row |= {
        "met": lecture.met is not None,
        "neighbour": lecture.neighbour,
        "activation": last.activation if last else [],
    }
    return row | {
        "spent": round(lecture.spent, 1),
        "before": lecture.iou,
        "iou": last.iou if last else None,
    }
