"""The memory of interactions: what each object was clicked and last looked like, in its source image's pixels.

It lives in the main process of every rank. A training step writes into a `Delta`, whose size
depends on the batch alone; the deltas of all ranks are gathered and applied in rank order by every
rank, so that all hold the same memory and any can checkpoint it.
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
    """A binary mask in source coordinates: the bits of its window (height, width), whose first pixel is (top, left)."""

    top: int
    left: int
    height: int
    width: int
    bits: NDArray[np.uint8]

    @classmethod
    def from_view(
        cls, prediction: NDArray[np.bool_], coordinates: NDArray[np.integer]
    ) -> "StoredMask":
        """Move a view's prediction to the source window that the view shows; source pixels between samples take the nearest.

        Args:
            prediction: (H, W) bool.
            coordinates: (H, W, 2) source (y, x) of each view pixel, -1 where the view shows
                padding.
        """
        shown = coordinates[..., 0] >= 0
        y, x = (coordinates[..., axis][shown].astype(np.int64) for axis in (0, 1))
        top, left, height, width = y.min(), x.min(), y.max() - y.min() + 1, x.max() - x.min() + 1
        known, window = np.zeros((height, width), bool), np.zeros((height, width), bool)
        known[y - top, x - left] = True
        window[y - top, x - left] = prediction[shown]
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return cls(
            int(top), int(left), int(height), int(width), np.packbits(window[tuple(nearest)])
        )

    def in_view(self, coordinates: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(H, W) the mask as a view shows it; False beyond the window."""
        window = (
            np.unpackbits(self.bits, count=self.height * self.width)
            .reshape(self.height, self.width)
            .astype(bool)
        )
        y, x = (
            coordinates[..., 0].astype(np.int64) - self.top,
            coordinates[..., 1].astype(np.int64) - self.left,
        )
        inside = (
            (coordinates[..., 0] >= 0) & (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        )
        view = np.zeros(inside.shape, bool)
        view[inside] = window[y[inside], x[inside]]
        return view


@dataclass
class Delta:
    """What one step changes: objects that start anew, clicks to append, masks to replace; all keyed by object id."""

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
        """(n, 4) clicks of an object in source pixels, oldest first; none for an object never seen."""
        return self._clicks.get(id, no_clicks())

    def mask(self, id: int) -> StoredMask | None:
        """Return the last mask stored for an object since it started anew."""
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
        """Return the memory as plain tensors, so that a checkpoint loads with `weights_only=True`."""
        ids, mask_ids = sorted(self._clicks), sorted(self._masks)
        clicks = [self._clicks[i] for i in ids]
        masks = [self._masks[i] for i in mask_ids]
        windows = np.array(
            [(m.top, m.left, m.height, m.width, len(m.bits)) for m in masks], np.int64
        )
        return {
            "ids": torch.tensor(ids, dtype=torch.int64),
            "counts": torch.tensor([len(c) for c in clicks], dtype=torch.int64),
            "clicks": torch.from_numpy(np.concatenate([no_clicks(), *clicks])),
            "mask_ids": torch.tensor(mask_ids, dtype=torch.int64),
            "windows": torch.from_numpy(windows.reshape(-1, 5)),
            "bits": torch.from_numpy(
                np.concatenate([np.zeros(0, np.uint8), *(m.bits for m in masks)])
            ),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        arrays = {name: value.cpu().numpy() for name, value in state.items()}
        rows = clicks_of(arrays["clicks"].tolist())  # three columns before clicks had kinds
        clicks = np.split(rows, np.cumsum(arrays["counts"])[:-1])
        self._clicks = dict(zip(arrays["ids"].tolist(), clicks, strict=bool(len(arrays["ids"]))))
        bits = np.split(arrays["bits"], np.cumsum(arrays["windows"][:, 4])[:-1])
        masks = [
            StoredMask(top, left, height, width, b)
            for (top, left, height, width, _), b in zip(
                arrays["windows"].tolist(), bits, strict=False
            )
        ]
        self._masks = dict(zip(arrays["mask_ids"].tolist(), masks, strict=True))
