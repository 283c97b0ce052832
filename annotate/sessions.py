"""Encoded photos and the sessions on their objects; few are kept, others are made again."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotate.desk import AHEAD, NOW, Desk
from annotate.state import START, Runs, Thing, mask_of, runs_of
from interseg.clicks.layout import Click, Mask
from interseg.errors import InputError
from interseg.images import LARGEST_OPENED, image_header
from interseg.inference.model import Model
from interseg.inference.rounds import answer_together
from interseg.inference.session import Session

LIVELY = 3
"""Objects of a photo whose sessions are kept; those of others are played again when they are
clicked."""
GOES_BACK = 4_000_000
"""Pixels of a photo up to which sessions keep earlier answers, 5 bytes a pixel and click; on larger
ones a click after undo plays again."""
CROWD = 16
"""Photos beyond those that are kept anyway, whose sessions are kept since people are at work on
them."""


@dataclass
class OpenPhoto:
    """An encoded photo and the sessions on its objects."""

    version: tuple[int, int] | None
    """Version of its file, see `version_of`."""
    first: Session
    """The session before any click."""
    start: Runs | None
    """The network's answer without clicks; None where it says nothing without them."""
    sessions: OrderedDict[tuple[int, str], Session] = field(default_factory=OrderedDict)


class Sessions:
    """The network at work on photos, one job at a time.

    Args:
        model: Network that answers clicks.
        files: Photos, by what requests call them.
        busy: Tells whether somebody works on a photo.
        keep: Number of photos whose encodings are kept, beside those that somebody works on.
        ahead: Number of photos after an opened one that are encoded in the background.
    """

    def __init__(
        self,
        model: Model,
        files: dict[str, Path],
        busy: Callable[[str], bool],
        keep: int,
        ahead: int,
    ) -> None:
        self.model, self.files, self.busy = model, files, busy
        self.keep = max(1, keep)
        self.ahead = min(ahead, self.keep - 1)
        self.opened: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._queued: set[str] = set()
        self._desk = Desk()

    def close(self) -> None:
        """Stop the network."""
        self._desk.close()

    def open(self, key: str, size: tuple[int, int]) -> Runs | None:
        """Encode a photo, and the next ones in the background.

        Returns what a network of classes says of it without clicks, None where nothing. Like the
        methods below it raises `InputError` for a photo that has another (height, width) by now.
        """
        opened = self._desk.do(NOW, lambda: self._open(key, size))
        keys = list(self.files)
        place = keys.index(key)
        for other in keys[place + 1 : place + 1 + self.ahead]:
            if other not in self._queued:
                self._queued.add(other)
                self._desk.submit(AHEAD, partial(self._open_ahead, other))
        return opened.start

    def start(self, key: str, size: tuple[int, int]) -> Runs:
        """Return what a network of classes says of a photo without clicks; empty where nothing."""
        if self.model.segmenter.outputs == 1:
            return {}
        return self._desk.do(NOW, lambda: self._open(key, size)).start or {}

    def answer(
        self, key: str, size: tuple[int, int], thing: Thing, click: Click
    ) -> tuple[Mask, float]:
        """Answer a click on an object: its mask (H, W), and the seconds that it took."""

        def job() -> tuple[Mask, float]:
            session = self._session(key, size, thing)
            answer_together([session], [click])
            return session.mask, session.seconds[-1]

        return self._desk.do(NOW, job)

    def probabilities(self, key: str, size: tuple[int, int], thing: Thing) -> NDArray[np.float32]:
        """Return the probabilities of an object (H, W), or of classes (K, H, W)."""
        return self._desk.do(NOW, lambda: self._session(key, size, thing).probabilities)

    # --- at the desk

    def _open(self, key: str, size: tuple[int, int] | None = None) -> OpenPhoto:
        """Encode a photo unless it is, and its file the same; check its size where one is given."""
        file = self.files[key]
        version = version_of(file)
        if key not in self.opened or self.opened[key].version != version:
            first = self.model.session(file)
            says = self.model.segmenter.outputs > 1 and first.steps[0].logits is not None
            self.opened[key] = OpenPhoto(version, first, runs_of(first.mask) if says else None)
        now = self.opened[key].first.size
        if size is not None and size != now:
            raise InputError(
                f"{file.name} has changed since it was opened: it is {now[0]} x {now[1]} now, not "
                f"{size[0]} x {size[1]}; put it back, or start the annotator again"
            )
        self.opened.move_to_end(key)
        for other in list(self.opened):
            idle = other != key and not self.busy(other)
            if idle:
                self.opened[other].sessions.clear()
            spare = len(self.opened) - self.keep
            if spare > CROWD or (spare > 0 and idle):
                del self.opened[other]
        return self.opened[key]

    def _open_ahead(self, key: str) -> None:
        """Encode a photo that nobody has asked for yet, unless it is one that is refused."""
        try:
            height, width = image_header(self.files[key]).size.upright
            if height * width <= LARGEST_OPENED:
                self._open(key)
        finally:
            self._queued.discard(key)

    def _session(self, key: str, size: tuple[int, int], thing: Thing) -> Session:
        """Return the session on an object with the clicks that it has now."""
        opened = self._open(key, size)
        start = thing.actions[0] if thing.actions and thing.actions[0].kind == START else None
        place = (thing.number, str(start.runs) if start else "")
        mask = mask_of(start.runs, size, self.model.segmenter.outputs) if start else None
        if place not in opened.sessions:
            opened.sessions[place] = opened.first.another(mask, undoable=goes_back(size))
        opened.sessions.move_to_end(place)
        while len(opened.sessions) > LIVELY:
            opened.sessions.popitem(last=False)
        session = opened.sessions[place]
        bring(session, thing.clicks, mask)
        return session


def version_of(file: Path) -> tuple[int, int] | None:
    """Tell a file from what it was before: by its time and its bytes; None where it is gone."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def goes_back(size: tuple[int, int]) -> bool:
    """Tell whether sessions on a photo of a size keep earlier answers."""
    return size[0] * size[1] <= GOES_BACK


def bring(session: Session, clicks: Sequence[Click], start: Mask | None) -> None:
    """Undo and click until a session has the given clicks.

    Args:
        session: Session that began from a mask or from nothing.
        clicks: Clicks that it shall have.
        start: Mask (H, W) that it began from, None for none.
    """
    has = [Click(*row) for row in session.clicks.tolist()]
    same = 0
    while same < min(len(has), len(clicks)) and has[same] == clicks[same]:
        same += 1
    if same < len(has) and not session.undoable:
        session.start_from(start)
        same = 0
    else:
        for _ in range(len(has) - same):
            session.undo()
    for click in clicks[same:]:
        answer_together([session], [click])
