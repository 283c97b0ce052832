"""Lessons on volumes: what a person is shown of them, and says, slice by slice."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from annotate.events import Known, event_of
from annotate.journal import Event
from annotate.requests import seconds_spent, whole
from annotate.sessions import bring
from annotate.state import START, State, Thing
from annotate.teaching.course import Course, Item
from annotate.teaching.rounds import decision_of
from annotate.teaching.slices import (
    Place,
    VolumeLecture,
    apply,
    decided,
    decode_volume,
    encode_volume,
    replay,
    slice_size,
)
from datamodules.scans import Preparation, ScanDataset
from interseg.clicks.layout import Click, Mask
from interseg.errors import InputError
from interseg.inference.model import Model
from interseg.inference.session import Session, answer_together
from interseg.volumes.measures import estimated_labour
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import backend_of
from interseg.volumes.slices import index
from interseg.volumes.teacher import LearnedVolume, MetVolume, SliceTeacher, ToldSlices
from interseg.volumes.users import SliceUser, asked_slices

LIVELY = 4
"""Slices whose sessions are kept."""


class BrushAlone(NamedTuple):
    """What is known without a network: an object, and no clicks."""

    outputs: int = 1
    kinds: tuple[int, ...] = ()


class VolumeFit(Protocol):
    """What learns (`configs.teaching_volumes.VolumeLesson`)."""

    folder: Path
    files: list[Path]
    preparation: Preparation

    @property
    def user(self) -> SliceUser:
        """How slices are asked for."""

    @property
    def loop(self) -> dict[str, Any]:
        """How proxy masks are made."""

    @property
    def seed(self) -> int:
        """Of what is drawn."""

    def scans(self) -> ScanDataset:
        """Make the volumes as the method sees them."""

    def fit(self, teacher: SliceTeacher) -> None:
        """Teach until the teacher ends it."""


@dataclass
class Slice:
    """A slice as a photo is annotated."""

    state: State
    size: tuple[int, int]


class VolumeLessons(Course[VolumeLecture], SliceTeacher):
    """The person's side of a method that learns volumes.

    Args:
        fit: that learns.
        clicks: a network that answers clicks on slices; None for the brush alone.
    """

    def __init__(self, fit: VolumeFit, clicks: Model | None = None) -> None:
        super().__init__(fit.fit, fit.folder, fit.files, replay, apply)
        self.scans, self.user, self.seed, self.clicks = fit.scans(), fit.user, fit.seed, clicks
        self.carry, self.inclusive = (
            backend_of(fit.loop.get("registration", "dis")),
            bool(fit.loop.get("inclusive", False)),
        )
        self.known: Known = clicks.segmenter if clicks is not None else BrushAlone()
        if self.known.outputs != 1:
            raise InputError("--clicks is a network of classes; give one that segments objects")
        self._sessions: OrderedDict[tuple[str, Place], Session] = OrderedDict()
        self._proxy: tuple[str, ProxyMask, dict[Place, Any]] | None = None
        self._grey: tuple[int, NDArray[np.uint8]] | None = None
        self._network = threading.Lock()

    # --- the thread that learns

    def meet(self, met: MetVolume) -> ToldSlices:
        """See `SliceTeacher`."""
        answer = "" if met.probabilities is None else encode_volume(met.probabilities > 0.5)
        item = self.meet_with(
            met, {"do": "met", "answer": answer, "size": list(self.shape(met.task))}
        )
        lecture = decided(item.journal.events, met.round)
        before = decided(item.journal.events, met.round - 1).said if met.round else 0
        masks = lecture.masks(self.shape(met.task))
        return ToldSlices(
            masks, bool(masks) and lecture.said > before, lecture.decided[met.round].last
        )

    def learned(self, learned: LearnedVolume) -> None:
        """See `SliceTeacher`."""
        self.over(
            learned.task, learned.round, {"answer": encode_volume(learned.probabilities > 0.5)}
        )

    # --- what the person asks

    def shape(self, task: int) -> tuple[int, int, int]:
        """Size (D, H, W) of a volume as the method sees it."""
        depth, height, width = self.scans.scan(task).image.shape
        return depth, height, width

    def act(self, key: str, version: int, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a person asks; when this returns it is on the disk. Raises as `Course.keep`."""
        with self.bell:
            item = self.taught_now(key)
            self.keep(item, version, lambda: self._event(item, request))
            return self.told(key)

    def _event(self, item: Item[VolumeLecture], request: dict[str, Any]) -> Event:
        """Make the event of a request, the network's answer to a click included."""
        lecture = item.rounds
        made = decision_of(
            lecture,
            str(request.get("do"))[:40],
            lecture.said > lecture.kept and bool(lecture.labelled),
        )
        if made is not None:
            return made | {"spent": seconds_spent(request)}
        shape = self.shape(item.task)
        axis = whole(request, "axis", 0, 2)
        number = whole(request, "number", 0, shape[axis] - 1)
        drawn = Slice(lecture.drawn.get((axis, number), State()), slice_size(shape, axis))
        asked = {key: value for key, value in request.items() if key not in ("axis", "number")}
        if asked.get("do") in ("click", "stroke", "start", "undo", "redo"):
            asked["object"] = (
                1 if 1 in drawn.state.things or asked["do"] in ("undo", "redo") else None
            )
            event = event_of(
                drawn,
                self.known,
                ["object"],
                asked,
                lambda _, thing, click: self._answer(item, (axis, number), thing, click),
            )
            return event | {"axis": axis, "number": number}
        raise InputError(
            f"{str(request.get('do'))[:40]!r} is nothing that can be done; reload the page"
        )

    def _answer(
        self, item: Item[VolumeLecture], place: Place, thing: Thing, click: Click
    ) -> tuple[Mask, float]:
        """Answer a click on a slice by a session on its picture."""
        assert self.clicks is not None
        start = thing.actions[0] if thing.actions and thing.actions[0].kind == START else None
        if start is not None:
            raise InputError("a slice that starts from a mask takes the brush")
        with self._network:
            key = (item.key, place)
            if key not in self._sessions:
                grey = self.grey(item.task)[index(*place)]
                self._sessions[key] = self.clicks.session(
                    np.ascontiguousarray(np.repeat(grey[..., None], 3, 2))
                )
            self._sessions.move_to_end(key)
            while len(self._sessions) > LIVELY:
                self._sessions.popitem(last=False)
            session = self._sessions[key]
            bring(session, thing.clicks, None)
            answer_together([session], [click])
            return session.mask, session.seconds[-1]

    def grey(self, task: int) -> NDArray[np.uint8]:
        """Give a volume (D, H, W) as grey values: from the first to the 99.5th percentile of what is not at its least."""
        if self._grey is None or self._grey[0] != task:
            image = self.scans.scan(task).image
            inside = image[image > image.min()]
            low, high = np.percentile(inside if inside.size else image, (1, 99.5))
            self._grey = (
                task,
                np.rint(np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255).astype(
                    np.uint8
                ),
            )
        return self._grey[1]

    def proxy(self, item: Item[VolumeLecture]) -> tuple[NDArray[np.bool_], ProxyMask]:
        """Give the proxy mask (D, H, W) of what is drawn so far; slices are registered where something has changed."""
        runs = {place: thing.runs for place, thing in item.rounds.labelled.items()}
        if (
            self._proxy is None
            or self._proxy[0] != item.key
            or not self._proxy[2].keys() <= runs.keys()
        ):
            self._proxy = item.key, ProxyMask(self.scans.scan(item.task).image, self.carry), {}
        _, proxy, known = self._proxy
        for axis, masks in item.rounds.masks(self.shape(item.task)).items():
            fresh = {
                number: mask
                for number, mask in masks.items()
                if known.get((axis, number)) != runs[axis, number]
            }
            if fresh:
                proxy.label(axis, fresh)
        self._proxy = item.key, proxy, runs
        return proxy.merged(inclusive=self.inclusive), proxy

    def told(self, key: str) -> dict[str, Any]:
        """Tell a page all of a volume but its voxels and its proxy mask."""
        with self.bell:
            item = self.item(key)
            lecture = item.rounds
            row: dict[str, Any] = {
                "key": key,
                "name": item.path.name,
                "version": len(item.journal.events),
                "current": item is self.current,
            }
            row |= {
                "size": self.shape(item.task),
                "spacing": self.scans.scan(item.task).spacing,
                "answer": lecture.answer or "",
            }
            row |= {
                "round": lecture.round,
                "finished": lecture.finished,
                "learning": lecture.learning,
                "problem": lecture.problem,
            }
            row |= {"new": lecture.said > lecture.kept and bool(lecture.labelled)}
            return row | {
                "slices": [
                    told_slice(place, state.things[1])
                    for place, state in sorted(lecture.drawn.items())
                    if state.things
                ]
            }

    def guide(self, key: str) -> dict[str, Any]:
        """Tell a page the proxy mask, the slices that are asked for, and labour so far."""
        with self.bell:
            item, met = self.item(key), self.meeting if self.item(key) is self.current else None
            merged, proxy = self.proxy(item)
            asked: dict[int, list[int]] = {}
            if met is not None:
                generator = np.random.default_rng(
                    (self.seed, met.id, met.round, len(item.rounds.labelled))
                )
                user = self.user
                asked = asked_slices(
                    merged,
                    met.probabilities,
                    proxy.labelled,
                    user.axes,
                    user.count,
                    user.weight,
                    generator,
                )
            labour = estimated_labour(proxy.labelled, merged)
            version = len(item.journal.events)
            return {
                "version": version,
                "proxy": encode_volume(merged),
                "asked": asked,
                "labour": round(labour, 4),
            }

    def answer(self, item: Item[VolumeLecture]) -> NDArray[np.bool_]:
        """Give the newest answer (D, H, W)."""
        return decode_volume(item.rounds.answer or "", self.shape(item.task))

    def summary(self) -> list[dict[str, Any]]:
        """Tell how far each volume is."""
        with self.bell:
            return [row_of(item) for item in self.order]


def told_slice(place: Place, thing: Thing) -> dict[str, Any]:
    """Tell a page of a slice that was drawn on."""
    clicks = [[click.y, click.x, click.label] for click in thing.clicks]
    row = {"axis": place[0], "number": place[1], "runs": thing.runs.get("1", ""), "clicks": clicks}
    return row | {"actions": len(thing.actions), "undone": len(thing.undone)}


def row_of(item: Item[VolumeLecture]) -> dict[str, Any]:
    """Tell how far a volume is."""
    lecture = item.rounds
    row = {
        "key": item.key,
        "name": item.path.name,
        "rounds": lecture.round,
        "slices": len(lecture.labelled),
        "finished": lecture.finished,
    }
    return row | {"met": lecture.met is not None, "spent": round(lecture.spent, 1)}
