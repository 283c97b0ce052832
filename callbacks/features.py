"""Training on features of a frozen encoder, which are computed once a photo and kept."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from interseg.batches import ClickBatch
from interseg.clicks.layout import Clicks, unpad_clicks
from interseg.errors import InputError
from interseg.features import FeatureStore, cache_folder
from interseg.views import Box, crop_view

LATE = 4
"""Number of epochs after which most views should have been seen before."""


class KeptFeatures(Callback):
    """Gives every training batch its encoder's `features`, from a store that the first epochs fill.

    A photo is encoded when it is first seen in a view, so that the data's own augmentation may not
    change what the encoder sees (crops, scales, colours): the view is the whole photo, and its
    mirror image. The share of a batch that had to be encoded stands in the progress bar as `new`.
    At 448 x 448 a view of DINOv2 ViT-S/14 takes 1.6 MB, one of EfficientNet-Lite0 0.6 MB.

    Args:
        folder: Folder of kept features, of all encoders; "cache" is
            `$XDG_CACHE_HOME/interseg/features`, null keeps them in memory.
        limit: Most gigabytes (1e9 bytes) of one encoder's features.
        crop: Sides of a random part of the view, cut at the encoder's cells, in multiples of the
            view's; null trains on all of it. The part holds one of the object's positive clicks.
            Its features are those of the whole photo, and a step costs its share.
        seed: Seed of crops.
    """

    def __init__(
        self,
        folder: str | None = "cache",
        limit: float = 20.0,
        crop: float | None = None,
        seed: int = 0,
    ) -> None:
        if crop is not None and not 0 < crop <= 1:
            raise InputError(
                f"crop is {crop}; it is a share of the view's sides, above 0 and at most 1"
            )
        self.folder = (
            cache_folder() if folder == "cache" else None if folder is None else Path(folder)
        )
        self.limit, self.crop, self.seed = limit, crop, seed
        self.store: FeatureStore | None = None
        self._warned = False
        self._shown = self._encoded = self._epochs = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the store; raises `InputError` for a network whose features change in training."""
        network: Any = getattr(pl_module, "network", None)
        frozen = getattr(getattr(network, "encoder", None), "frozen", False)
        if not (frozen and hasattr(network, "features")):
            raise InputError(
                f"{type(network).__name__} has no frozen encoder whose features can be kept; "
                "give callbacks.features=null"
            )
        self.store = FeatureStore(network.encoder.key, self.folder, self.limit)
        self._epochs = 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClickBatch, batch_idx: int
    ) -> None:
        """Add the features, and cut the batch to its crops."""
        network: Any = pl_module.network
        assert self.store is not None
        batch["features"], encoded = self.store.features(batch["image"], network.features)
        count = len(batch["image"])
        self._shown, self._encoded = self._shown + count, self._encoded + encoded
        pl_module.log("new", encoded / max(1, count), prog_bar=True, batch_size=count)
        if self.store.full and not self._warned:
            self._warned = True
            rank_zero_warn(full(self.store.folder, self.limit))
        self.cut(batch, trainer.current_epoch, network.encoder.divisor)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count views from here."""
        self._shown = self._encoded = 0
        self._epochs += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn of views that do not come again; of a photo and its mirror image few are new."""
        alone = self.folder is not None or trainer.world_size == 1  # or others' views are not here
        late = self._epochs > LATE and trainer.limit_train_batches == 1.0 and alone
        if late and self._encoded > self._shown / 2 and not self._warned:
            self._warned = True
            rank_zero_warn(
                f"{self._encoded} of {self._shown} views of this epoch had to be encoded: "
                "loading.augment shows others every time, which are kept for nothing; give "
                "callbacks.features=null, or an augmentation of few views (flips)"
            )

    def cut(self, batch: ClickBatch, epoch: int, divisor: int) -> None:
        """Cut a batch with its features to the parts of an epoch, in place."""
        if self.crop is not None:
            seeds = [(self.seed, epoch, id, 2) for id in batch["id"].tolist()]
            crop_cells(batch, self.crop, [np.random.default_rng(s) for s in seeds], divisor)


def full(folder: Path | None, limit: float) -> str:
    """Write what a person is told when no more features are kept."""
    return (
        f"the features in {folder or 'memory'} have reached their limit of {limit:g} GB: other "
        "photos are encoded again in every epoch, which is slow; raise callbacks.features.limit, "
        "or remove folders of encoders that are no longer used"
    )


def crop_cells(
    batch: ClickBatch, share: float, generators: list[np.random.Generator], divisor: int = 1
) -> None:
    """Cut a batch with its features, in place, to random parts of one size.

    The parts begin at borders of the coarsest level's cells. Their sides are multiples of
    `divisor`: others the network would pad, but not their features.

    Args:
        batch: Batch with `features`, of views whose sides the cells divide.
        share: Share of the parts' sides.
        generators: Generators of each object.
        divisor: Number of pixels of which the network takes multiples.

    Raises:
        InputError: The cells of a level, or `divisor`, do not divide the view.
    """
    size, levels = batch["image"].shape[-2:], batch["features"]
    rows, columns = min((level.shape[-2:] for level in levels), key=lambda grid: grid[0])
    cell = (size[0] // rows, size[1] // columns)
    if any(s % divisor for s in size) or any(
        s % g or g % c
        for level in levels
        for s, g, c in zip(size, level.shape[-2:], (rows, columns), strict=True)
    ):
        grids = [tuple(level.shape[-2:]) for level in levels]
        raise InputError(
            f"views of {tuple(size)} pixels cannot be cut at the cells of {grids}, of which the "
            f"network takes {divisor} pixels at least; give a view of a multiple, or crop=null"
        )
    window = (
        count_cells(share, rows, math.lcm(cell[0], divisor) // cell[0]),
        count_cells(share, columns, math.lcm(cell[1], divisor) // cell[1]),
    )
    places = [
        cell_window(clicks, cell, (rows, columns), window, generator)
        for clicks, generator in zip(unpad_clicks(batch["clicks"]), generators, strict=True)
    ]
    boxes = [
        Box(y * cell[0], x * cell[1], (y + window[0]) * cell[0], (x + window[1]) * cell[1])
        for y, x in places
    ]
    views = [crop_view(batch, row, box, box.size) for row, box in enumerate(boxes)]
    for key in ("mask", "to_source", "distance"):
        if key in batch:
            batch[key] = torch.stack(
                [batch[key][i, b.top : b.bottom, b.left : b.right] for i, b in enumerate(boxes)]
            )
    for key in ("image", "clicks", "previous"):
        if key in batch:
            batch[key] = torch.cat([view[key] for view in views])  # type: ignore[literal-required]
    cut = []
    for level in levels:
        finer = (level.shape[-2] // rows, level.shape[-1] // columns)
        corners = [(y * finer[0], x * finer[1]) for y, x in places]
        height, width = window[0] * finer[0], window[1] * finer[1]
        cut.append(
            torch.stack(
                [level[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(corners)]
            )
        )
    batch["features"] = cut


def count_cells(share: float, cells: int, step: int) -> int:
    """Count the cells of a part's side: a multiple of `step` near its share, at most all."""
    return min(cells, step * max(1, round(share * cells / step)))


def cell_window(
    clicks: Clicks,
    cell: tuple[int, int],
    grid: tuple[int, int],
    window: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[int, int]:
    """Draw the first row and column of a window of cells with a positive click (n, 4), if any."""
    positive = clicks[clicks[:, 2] == 1]
    chosen = (
        positive[generator.integers(len(positive)), :2]
        if len(positive)
        else generator.integers((grid[0] * cell[0], grid[1] * cell[1]))
    )
    corner = []
    for axis in (0, 1):
        held = int(chosen[axis]) // cell[axis]
        least, most = max(0, held - window[axis] + 1), min(held, grid[axis] - window[axis])
        corner.append(int(generator.integers(least, most + 1)))
    return corner[0], corner[1]
