"""Photos of a folder: each one's journal and state, and the sessions that answer its clicks."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotate.categories import check_network, keep_categories, known_categories, name_classes
from annotate.events import event_of
from annotate.folders import lock_folder, name_place, photos_in
from annotate.journal import Event, Journal
from annotate.sessions import Sessions
from annotate.state import CLICK, State, Thing, apply, read_annotated, thing_of
from annotate.tabs import Tabs
from annotate.truth import Truth
from interseg.clicks.layout import KINDS
from interseg.errors import InputError
from interseg.images import LARGEST_OPENED, image_header
from interseg.inference.model import Model


class HeldError(InputError):
    """Another tab has the photo."""


class StaleError(InputError):
    """The photo has changed since the page looked."""


@dataclass
class Photo:
    """A photo of the folder, its journal and what that means."""

    key: str
    """Name of the photo in requests: no file's name is part of an address."""
    name: str
    path: Path
    size: tuple[int, int]
    journal: Journal
    state: State
    lock: threading.Lock = field(default_factory=threading.Lock)
    answered: tuple[str, dict[str, Any]] | None = None
    """Id and answer of the last request that changed it: one whose answer got lost comes again."""


def is_there(file: Path) -> bool:
    """Tell whether there is a file, or it cannot be told."""
    try:
        file.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


class Project:
    """A folder of photos that is annotated.

    Args:
        model: Model that answers clicks.
        digest: Digest of the network, which is noted in the journal of every photo that it answers
            on.
        images: Folder of the photos.
        out: Folder of the journals and of what is exported.
        classes: Names that an object may have; those that `out` has from before, or "object", by
            default. Of a network of classes, the names of its labels 1, 2, ...
        truth: True masks of the photos, for experiments.
        keep: Number of photos whose encodings are kept in memory, beside those that somebody works
            on.
        ahead: Number of photos after an opened one that are encoded in the background.

    Raises:
        InputError: no photos, classes that are not the network's, or another annotator works in
            `out`.
    """

    def __init__(
        self,
        model: Model,
        digest: str,
        images: Path,
        out: Path,
        classes: Sequence[str] | None = None,
        truth: Truth | None = None,
        keep: int = 4,
        ahead: int = 1,
    ) -> None:
        self.files, self.notes = photos_in(images)
        self.model, self.digest, self.images, self.out = model, digest, images, out
        self.place, self.truth = name_place(images, out), truth
        self.tabs = Tabs()
        self._lock = threading.Lock()
        self._photos: dict[str, Photo] = {}
        self.classes = name_classes(classes, model.segmenter.outputs, known_categories(out))
        self._alone = lock_folder(out)
        if classes and model.segmenter.outputs == 1:
            keep_categories(out, classes)
        self.notes = [*self.notes, *self.without_photo()]
        self.sessions = Sessions(model, self.files, self.tabs.held, keep, ahead)

    def close(self) -> None:
        """Stop the network and leave the folder to others."""
        self.sessions.close()
        os.close(self._alone)

    def journal_path(self, key: str) -> Path:
        """Name a photo's journal."""
        return self.out / "journal" / f"{self.files[key].name}.jsonl"

    def without_photo(self) -> list[str]:
        """Write a line on each journal whose photo is not in the folder (any more)."""
        names = {path.name for path in self.files.values()}
        journals = sorted((self.out / "journal").glob("*.jsonl"))
        return [
            f"{journal.stem} was annotated and is not in {self.images}; put it back, or name it so "
            "again, and its objects are exported"
            for journal in journals
            if journal.stem not in names
        ]

    def photo(self, key: str) -> Photo:
        """Read a photo's journal.

        Raises `InputError` for a photo that is not there, no image, or annotated otherwise.
        """
        if key not in self.files:
            raise InputError("there is no such photo; reload the page")
        with self._lock:
            if key not in self._photos:
                path = self.files[key]
                size = image_header(path).size.upright
                if size[0] * size[1] > LARGEST_OPENED:
                    raise InputError(
                        f"{path.name} has {size[0]} x {size[1]} pixels; "
                        f"at most {LARGEST_OPENED} are annotated, reduce it"
                    )
                journal, state = read_annotated(self.journal_path(key))
                begun = journal.events[0] if journal.events else None
                if begun and tuple(begun.get("size", size)) != size:
                    raise InputError(
                        f"{path.name} is {size[0]} x {size[1]} now, "
                        f"annotated it was {begun['size']}; give another --out"
                    )
                check_network(path.name, state, self.model.segmenter.outputs)
                self._photos[key] = Photo(key, path.name, path, size, journal, state)
            return self._photos[key]

    def summary(self) -> list[dict[str, Any]]:
        """Return how far each photo is."""
        rows = []
        for key, path in self.files.items():
            row: dict[str, Any] = {"key": key, "name": path.name, "objects": 0, "finished": False}
            row["held"] = self.tabs.held(key)
            if key in self._photos or is_there(self.journal_path(key)):
                try:
                    state = self.photo(key).state
                    row |= {"objects": len(state.present), "finished": state.finished}
                except InputError as error:
                    row["problem"] = str(error)
            rows.append(row)
        return rows

    def act(self, key: str, tab: str, version: int, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a person asks; when this returns it is on the disk.

        Args:
            key: Key of the photo.
            tab: Id of the asking tab.
            version: Number of events that the tab knows of.
            request: `do`, and what belongs to it; `id`, by which the last one, whose answer got
                lost, is answered again.

        Raises:
            HeldError: another tab has the photo.
            StaleError: something happened that the tab does not know of.
            InputError: it cannot be done.
        """
        photo = self.photo(key)
        with photo.lock:
            if not self.tabs.hold(key, tab):
                raise HeldError(
                    "another tab annotates this photo; take it over here, or go on to another photo"
                )
            if photo.answered and photo.answered[0] == request.get("id"):
                return photo.answered[1]
            if version != len(photo.journal.events):
                raise StaleError("the photo was changed elsewhere; the page reads it again")
            started = time.perf_counter()
            event = event_of(
                photo,
                self.model.segmenter,
                self.classes,
                request,
                lambda photo, thing, click: self.sessions.answer(key, photo.size, thing, click),
                lambda: self.sessions.start(key, photo.size),
            )
            answered = time.perf_counter()
            if not photo.journal.events:
                photo.journal.append(
                    {"do": "begin", "photo": photo.name, "size": list(photo.size), "format": 1}
                )
            answers = event["do"] == CLICK or event.get("accepted")
            if answers and self.digest not in photo.state.networks[-1:]:
                self._happen(photo, {"do": "network", "digest": self.digest})
            self._happen(photo, event)
            kept = time.perf_counter()
            number = event.get("object")
            changed = [photo.state.things[number]] if number is not None else []
            network = event.get("seconds", 0.0)
            parts = {
                "network": network,
                "mask": answered - started - network,
                "disk": kept - answered,
            }
            answer = self._head(photo) | {
                "things": [self.describe(photo, thing) for thing in changed],
            }
            photo.answered = str(request.get("id")), answer
            return answer | {"seconds": parts}

    def _happen(self, photo: Photo, event: Event) -> None:
        photo.journal.append(event)
        apply(photo.state, event)

    def probabilities(self, key: str, number: int) -> NDArray[np.float32]:
        """Give what the network thinks of an object (H, W), of classes the largest probability."""
        photo = self.photo(key)
        with photo.lock:
            thing = thing_of(photo.state, number)
            found = self.sessions.probabilities(key, photo.size, thing)
        return found if found.ndim == 2 else found.max(0)

    def look(self, key: str, tab: str, take_over: bool = False) -> dict[str, Any]:
        """Open a photo for a tab, the next ones in the background, and tell all of it."""
        photo = self.photo(key)
        start = self.sessions.open(key, photo.size)
        mine = self.tabs.hold(key, tab, take_over)
        with photo.lock:
            things = [self.describe(photo, thing) for thing in photo.state.things.values()]
            return self._head(photo) | {
                "name": photo.name,
                "size": photo.size,
                "mine": mine,
                "start": start,
                "things": things,
            }

    def _head(self, photo: Photo) -> dict[str, Any]:
        return {
            "version": len(photo.journal.events),
            "finished": photo.state.finished,
            "last": photo.state.last,
        }

    def describe(self, photo: Photo, thing: Thing) -> dict[str, Any]:
        """Return what a page shows of an object."""
        clicks = [[click.y, click.x, click.label, KINDS[click.kind]] for click in thing.clicks]
        row: dict[str, Any] = {
            "number": thing.number,
            "category": thing.category,
            "removed": thing.removed,
            "clicks": clicks,
        }
        row |= {
            "actions": len(thing.actions),
            "undone": len(thing.undone),
            "runs": thing.runs,
            "spent": round(thing.spent, 1),
        }
        if thing.actions and thing.actions[-1].click:
            row["seconds"] = thing.actions[-1].seconds
        if self.truth and thing.present:
            row["iou"] = self.truth.iou(photo.name, photo.size, thing)
        return row
