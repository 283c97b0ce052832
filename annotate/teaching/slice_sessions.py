"""Slices as pictures, and the sessions of a 2D network that answer clicks on them."""

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotate.events import KnownKinds
from annotate.sessions import bring
from annotate.state import START, Thing
from annotate.teaching.slices import Place
from datamodules.scans import ScanDataset
from interseg.clicks.layout import Click, Mask
from interseg.errors import InputError
from interseg.inference.model import Model
from interseg.inference.rounds import answer_together
from interseg.inference.session import Session
from interseg.volumes.slices import index

LIVELY = 4
"""Slices whose sessions are kept."""
DARKEST, BRIGHTEST = 1, 99.5
"""Percentiles of the voxels above a volume's least value that are shown black and white."""


class BrushAlone(NamedTuple):
    """Stand-in for a network where there is none: one object, no clicks."""

    outputs: int = 1
    kinds: tuple[int, ...] = ()


class SlicePictures:
    """Volumes as grey values.

    Args:
        scans: Volumes as the method sees them.
    """

    def __init__(self, scans: ScanDataset) -> None:
        self.scans = scans
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def grey(self, task: int) -> NDArray[np.uint8]:
        """Return a volume (D, H, W); the last one is kept."""
        last = self._last  # another thread may ask for another volume meanwhile
        if last is None or last[0] != task:
            last = self._last = task, grey_values(self.scans.scan(task).image)
        return last[1]


def grey_values(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale intensities of any shape to 0-255, between two percentiles of what is not the least."""
    inside = image[image > image.min()]
    low, high = np.percentile(inside if inside.size else image, (DARKEST, BRIGHTEST))
    share = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    return np.rint(share * 255).astype(np.uint8)


class SliceSessions:
    """Sessions on slices.

    Args:
        clicks: Network of one object that answers clicks; None for the brush alone.
        pictures: Slices that it sees.

    Raises:
        InputError: The network answers with classes.
    """

    def __init__(self, clicks: Model | None, pictures: SlicePictures) -> None:
        self.clicks, self.pictures = clicks, pictures
        self.known: KnownKinds = BrushAlone() if clicks is None else clicks.segmenter
        if self.known.outputs != 1:
            raise InputError("--clicks is a network of classes; give one that segments objects")
        self._sessions: OrderedDict[tuple[int, Place], Session] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, task: int, place: Place, thing: Thing, click: Click) -> tuple[Mask, float]:
        """Answer a click on a slice of a volume: its mask (h, w), and the seconds that it took."""
        if thing.actions and thing.actions[0].kind == START:
            raise InputError("this slice started from a mask; change it with the brush")
        with self._lock:
            session = self._session(task, place)
            bring(session, thing.clicks, None)
            answer_together([session], [click])
            return session.mask, session.seconds[-1]

    def _session(self, task: int, place: Place) -> Session:
        assert self.clicks is not None
        key = (task, place)
        if key not in self._sessions:
            grey = self.pictures.grey(task)[index(*place)]
            colours = np.repeat(grey[..., None], 3, 2)
            self._sessions[key] = self.clicks.session(np.ascontiguousarray(colours))
        self._sessions.move_to_end(key)
        while len(self._sessions) > LIVELY:
            self._sessions.popitem(last=False)
        return self._sessions[key]
