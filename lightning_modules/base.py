"""What every method shares with the loop: `segment`, and steps that leave the interaction to the callbacks."""

from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.nn.functional import interpolate

from interseg.errors import InputError


class InteractiveModule(LightningModule):
    """Base of the methods. The user loop calls `segment` alone; it fills in the batch's clicks before a step."""

    def segment(self, batch: dict[str, Any]) -> Tensor:
        """Logits (B, 1, H, W) of the objects of a batch, given their clicks."""
        raise NotImplementedError

    def on_fit_start(self) -> None:
        """Keep the run's seed."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed torch by (seed, step, rank): what a step draws (dropout) does not depend on where the run was resumed."""
        state = np.random.SeedSequence([self._seed, self.global_step, self.global_rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0] >> np.uint64(1)))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: the loop has played the batch, and the metrics' callback reads what it left."""

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Nothing: as in validation."""


def require(batch: dict[str, Any], *keys: str) -> None:
    """Raise `ValueError` for the first key that a batch lacks."""
    for key in keys:
        if key not in batch:
            raise ValueError(f"the batch has no {key!r} (it has {', '.join(sorted(batch))}); datamodules/base.py describes the keys")


def check_loss(loss: Tensor, batch: dict[str, Any]) -> None:
    """Raise `InputError` where a loss is not finite, naming the objects."""
    if not torch.isfinite(loss):
        raise InputError(f"the loss is {loss.item()} on objects {batch['id'].tolist()}; lower the learning rate or look at these objects")


def reduced(batch: dict[str, Any], long_side: int | None) -> dict[str, Any]:
    """A batch's image, clicks and previous mask with the image's long side reduced; the batch itself where it is no larger."""
    size = batch["image"].shape[-2:]
    smaller = reduced_size(size, long_side)
    if smaller is None:
        return batch
    image = interpolate(batch["image"], smaller, mode="bilinear", antialias=True)
    view = {"image": image, "clicks": scale_clicks(batch["clicks"], size, smaller)}
    if "previous" in batch:
        view["previous"] = interpolate(batch["previous"][:, None].float(), smaller, mode="area")[:, 0] >= 0.5
    return view


def enlarged(logits: Tensor, image: Tensor) -> Tensor:
    """Logits (B, 1, h, w) at an image's size."""
    size = image.shape[-2:]
    return logits if logits.shape[-2:] == size else interpolate(logits, size, mode="bilinear")


def reduced_size(size: torch.Size, long_side: int | None) -> tuple[int, int] | None:
    """(height, width) with the given long side, or None where the image is no larger."""
    if long_side is None or max(size) <= long_side:
        return None
    height, width = (max(1, round(side * long_side / max(size))) for side in size)
    return height, width


def scale_clicks(clicks: Tensor, size: torch.Size, reduced: tuple[int, int]) -> Tensor:
    """Clicks of an image at another size: the pixel that covers the clicked pixel's centre; padding rows stay."""
    scaled = clicks.clone()
    for axis in (0, 1):
        scaled[..., axis] = ((clicks[..., axis] + 0.5) * reduced[axis] / size[axis]).floor().long().clamp(-1, reduced[axis] - 1)
    return scaled
