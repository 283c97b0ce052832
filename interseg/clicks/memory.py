"""The memory of interactions: each object's clicks and last mask, in its source image's pixels.

It lives in the main process of every rank. A training step writes into a `Delta`, whose size
depends on the batch alone. The deltas of all ranks are gathered, and every rank applies them in
rank order. So all ranks hold the same memory, and any of them can checkpoint it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from interseg.clicks.layout import Click, Clicks, clicks_of, no_clicks


@dataclass(frozen=True)
class StoredMask:
    """A binary mask in source coordinates.

    It holds the packed bits of a window (height, width) that begins at (top, left).
    """

    top: int
    left: int
    height: int
    width: int
    bits: NDArray[np.uint8]

    @classmethod
    def from_view(
        cls, prediction: NDArray[np.bool_], coordinates: NDArray[np.integer]
    ) -> "StoredMask":
        """Move a view's prediction to the source window that the view shows.

        A source pixel between the view's samples takes the value of the nearest sample.

        Args:
            prediction: (H, W) bool.
            coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows
                padding.
        """
        shown = coordinates[..., 0] >= 0
        y, x = (coordinates[..., axis][shown].astype(np.int64) for axis in (0, 1))
        top, left = int(y.min()), int(x.min())
        height, width = int(y.max()) - top + 1, int(x.max()) - left + 1
        known, window = np.zeros((height, width), bool), np.zeros((height, width), bool)
        known[y - top, x - left] = True
        window[y - top, x - left] = prediction[shown]
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return cls(top, left, height, width, np.packbits(window[tuple(nearest)]))

    def in_view(self, coordinates: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return the mask (H, W) as a view shows it; False beyond the window."""
        bits = np.unpackbits(self.bits, count=self.height * self.width)
        window = bits.reshape(self.height, self.width).astype(bool)
        shown = coordinates[..., 0] >= 0
        y = coordinates[..., 0].astype(np.int64) - self.top
        x = coordinates[..., 1].astype(np.int64) - self.left
        inside = shown & (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        view = np.zeros(inside.shape, bool)
        view[inside] = window[y[inside], x[inside]]
        return view


@dataclass
class Delta:
    """The changes of one step: objects to restart, clicks to append, masks to replace.

    All are keyed by object id.
    """

    restarts: dict[int, Clicks] = field(default_factory=dict)
    added: dict[int, list[Click]] = field(default_factory=dict)
    masks: dict[int, StoredMask] = field(default_factory=dict)


class ClickMemory:
    """Clicks, and optionally the last mask, of every object seen, keyed by the object's id."""

    def __init__(self) -> None:
        self._clicks: dict[int, Clicks] = {}
        self._masks: dict[int, StoredMask] = {}

    def __len__(self) -> int:
        return len(self._clicks)

    def __contains__(self, id: int) -> bool:
        return id in self._clicks

    def clicks(self, id: int) -> Clicks:
        """Return an object's clicks (n, 4) in source pixels, oldest first; none if never seen."""
        return self._clicks.get(id, no_clicks())

    def mask(self, id: int) -> StoredMask | None:
        """Return the last mask stored for an object since its last restart, or None."""
        return self._masks.get(id)

    def apply(self, deltas: Sequence[Delta]) -> None:
        """Apply the deltas of one step, in rank order."""
        for delta in deltas:
            for id, clicks in delta.restarts.items():
                self._clicks[id] = clicks
                self._masks.pop(id, None)
            for id, added in delta.added.items():
                self._clicks[id] = np.concatenate([self.clicks(id), clicks_of(added)])
            self._masks |= delta.masks

    def state_dict(self) -> dict[str, Tensor]:
        """Return the memory as plain tensors, which load with `weights_only=True`."""
        ids, mask_ids = sorted(self._clicks), sorted(self._masks)
        clicks = [self._clicks[i] for i in ids]
        masks = [self._masks[i] for i in mask_ids]
        windows = [(m.top, m.left, m.height, m.width, len(m.bits)) for m in masks]
        bits = [m.bits for m in masks]
        return {
            "ids": torch.tensor(ids, dtype=torch.int64),
            "counts": torch.tensor([len(c) for c in clicks], dtype=torch.int64),
            "clicks": torch.from_numpy(np.concatenate([no_clicks(), *clicks])),
            "mask_ids": torch.tensor(mask_ids, dtype=torch.int64),
            "windows": torch.from_numpy(np.array(windows, np.int64).reshape(-1, 5)),
            "bits": torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *bits])),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the memory from a `state_dict`."""
        arrays = {name: value.cpu().numpy() for name, value in state.items()}
        rows = clicks_of(arrays["clicks"].tolist())  # three columns before clicks had kinds
        clicks = np.split(rows, np.cumsum(arrays["counts"])[:-1])
        self._clicks = dict(zip(arrays["ids"].tolist(), clicks, strict=bool(len(arrays["ids"]))))
        windows = arrays["windows"]
        bits = np.split(arrays["bits"], np.cumsum(windows[:, 4])[:-1])
        masks = [
            StoredMask(top, left, height, width, b)
            for (top, left, height, width, _), b in zip(windows.tolist(), bits, strict=False)
        ]
        self._masks = dict(zip(arrays["mask_ids"].tolist(), masks, strict=True))
