"""Lessons on volumes: what a person is shown of them, and says, slice by slice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotate.events import event_of
from annotate.journal import Event
from annotate.requests import seconds_spent, whole
from annotate.state import State, Thing
from annotate.teaching.course import Course, Item
from annotate.teaching.proxies import Proxies
from annotate.teaching.rounds import decision_of
from annotate.teaching.slice_sessions import SlicePictures, SliceSessions
from annotate.teaching.slices import (
    Place,
    VolumeLecture,
    apply,
    decode_volume,
    encode_volume,
    replay,
    replay_to_decision,
    slice_size,
)
from datamodules.scans import Preparation, ScanDataset
from interseg.continual.teacher import Learned
from interseg.errors import InputError
from interseg.inference.model import Model
from interseg.volumes.measures import estimate_labour
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import backend_of
from interseg.volumes.teacher import MetVolume, SliceTeacher, ToldSlices
from interseg.volumes.users import SliceUser, choose_slices


class VolumeFit(Protocol):
    """Fit of a method on volumes (`configs.teaching_volumes.VolumeLesson`)."""

    folder: Path
    files: list[Path]
    preparation: Preparation

    @property
    def user(self) -> SliceUser:
        """User whose rule asks for slices."""

    @property
    def loop(self) -> dict[str, Any]:
        """Options of proxy masks."""

    @property
    def seed(self) -> int:
        """Seed of random choices."""

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
        fit: Fit that learns.
        clicks: Network that answers clicks on slices; None for the brush alone.
    """

    def __init__(self, fit: VolumeFit, clicks: Model | None = None) -> None:
        super().__init__(fit.fit, fit.folder, fit.files, replay, apply)
        self.scans, self.user, self.seed = fit.scans(), fit.user, fit.seed
        self.carry = backend_of(fit.loop.get("registration", "dis"))
        self.proxies = Proxies(self.scans, self.carry, bool(fit.loop.get("inclusive", False)))
        self.pictures = SlicePictures(self.scans)
        self.sessions = SliceSessions(clicks, self.pictures)
        self.known = self.sessions.known

    # --- the thread that learns

    def meet(self, met: MetVolume) -> ToldSlices:
        """See `SliceTeacher`."""
        answer = "" if met.probabilities is None else encode_volume(met.probabilities > 0.5)
        item = self.meet_with(
            met, {"do": "met", "answer": answer, "size": list(self.shape(met.task))}
        )
        with self.bell:
            self._check()  # a decision may be taken back as soon as it is made
            lecture = replay_to_decision(item.journal.events, met.round)
            last = lecture.decided[met.round].last
        before = replay_to_decision(item.journal.events, met.round - 1).said if met.round else 0
        masks = lecture.masks(self.shape(met.task))
        return ToldSlices(masks, bool(masks) and lecture.said > before, last)

    def learned(self, learned: Learned) -> None:
        """See `SliceTeacher`."""
        self.over(
            learned.task, learned.round, {"answer": encode_volume(learned.probabilities[0] > 0.5)}
        )

    # --- what the person asks

    def shape(self, task: int) -> tuple[int, int, int]:
        """Size (D, H, W) of a volume as the method sees it.

        Raises `InputError` where it was begun at another size: its slices would not fit.
        """
        depth, height, width = self.scans.scan(task).image.shape
        item = self.order[task]
        begun = next((event for event in item.journal.events if event["do"] == "met"), None)
        if begun and begun["size"] != [depth, height, width]:
            raise InputError(
                f"{item.path.name} has {depth} x {height} x {width} voxels now, its lessons in "
                f"{self.out} began at {begun['size']}; put the file back, or give another --out"
            )
        return depth, height, width

    def act(self, key: str, version: int, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a person asks; when this returns it is on the disk. Raises as `Course.keep`."""
        with self.bell:
            item = self.taught_now(key)
            self.keep(item, version, lambda: self._event(item, request))
            return self.describe(key)

    def grey(self, task: int) -> NDArray[np.uint8]:
        """Return a volume (D, H, W) as it is shown."""
        return self.pictures.grey(task)

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
                lambda _, thing, click: self.sessions.answer(
                    item.task, (axis, number), thing, click
                ),
            )
            return event | {"axis": axis, "number": number}
        raise InputError(
            f"{str(request.get('do'))[:40]!r} is nothing that can be done; reload the page"
        )

    def describe(self, key: str) -> dict[str, Any]:
        """Return what a page shows of a volume, without its voxels and its proxy mask."""
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
                    describe_slice(place, state.things[1])
                    for place, state in sorted(lecture.drawn.items())
                    if state.things
                ]
            }

    def guide(self, key: str) -> dict[str, Any]:
        """Return the proxy mask, the slices that are asked for, and the labour so far."""
        with self.bell:
            item = self.item(key)
            merged, proxy = self.proxy(item)
            asked = self._asked(item, merged, proxy) if item is self.current else {}
            return {
                "version": len(item.journal.events),
                "proxy": encode_volume(merged),
                "asked": asked,
                "labour": round(estimate_labour(proxy.labelled, merged), 4),
            }

    def proxy(self, item: Item[VolumeLecture]) -> tuple[NDArray[np.bool_], ProxyMask]:
        """Make the proxy mask (D, H, W) of what is drawn so far."""
        return self.proxies.of(item.task, item.rounds, self.shape(item.task))

    def _asked(
        self, item: Item[VolumeLecture], merged: NDArray[np.bool_], proxy: ProxyMask
    ) -> dict[int, list[int]]:
        """Choose the slices of the volume that is taught, by axis, which a person is asked for."""
        met, user = self.meeting, self.user
        place = (self.seed, met.id, met.round, len(item.rounds.labelled))
        return choose_slices(
            merged,
            met.probabilities,
            proxy.labelled,
            user.axes,
            user.count,
            user.weight,
            np.random.default_rng(place),
        )

    def answer(self, item: Item[VolumeLecture]) -> NDArray[np.bool_]:
        """Give the newest answer (D, H, W)."""
        return decode_volume(item.rounds.answer or "", self.shape(item.task))

    def summary(self) -> list[dict[str, Any]]:
        """Return how far each volume is."""
        with self.bell:
            return [row_of(item) for item in self.order]


def describe_slice(place: Place, thing: Thing) -> dict[str, Any]:
    """Return what a page shows of a slice that was drawn on."""
    clicks = [[click.y, click.x, click.label] for click in thing.clicks]
    row = {"axis": place[0], "number": place[1], "runs": thing.runs.get("1", ""), "clicks": clicks}
    return row | {"actions": len(thing.actions), "undone": len(thing.undone)}


def row_of(item: Item[VolumeLecture]) -> dict[str, Any]:
    """Return how far a volume is."""
    lecture = item.rounds
    row = {
        "key": item.key,
        "name": item.path.name,
        "rounds": lecture.round,
        "slices": len(lecture.labelled),
        "finished": lecture.finished,
    }
    return row | {"met": lecture.met is not None, "spent": round(lecture.spent, 1)}
