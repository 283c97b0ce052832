"""Classical click segmentation as a method: the loop, users and figures of networks, untrained."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from interseg.batches import ClickBatch, require
from interseg.classical import METHODS, seeds_of
from interseg.clicks.layout import unpad_clicks
from interseg.errors import InputError
from interseg.views import reduce_batch, resize_logits
from lightning_modules.base import InteractiveModule


class Classical(InteractiveModule):
    """One of `interseg.classical`'s methods.

    Args:
        method: "random_walker", "grabcut", "graph_cut" or "geodesic".
        radius: Radius of the seeds that clicks become, in pixels.
        long_side: Long side in pixels that larger images are reduced to; None for full size.
        options: Options of the method, see its function.
    """

    def __init__(
        self,
        method: str,
        radius: int = 3,
        long_side: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise InputError(f"method is {method!r}; use one of {', '.join(METHODS)}")
        self.method, self.radius, self.long_side = METHODS[method], radius, long_side
        self.options = options or {}

    def segment(self, batch: ClickBatch) -> Tensor:
        """Compute logits (B, 1, H, W) from `image`, `clicks` and, if given, `previous`."""
        require(batch, "image", "clicks")
        view = reduce_batch(batch, self.long_side)
        images = view["image"].permute(0, 2, 3, 1).float().cpu().numpy()
        masks = view["previous"].cpu().numpy() if "previous" in view else [None] * len(images)
        maps = []
        for image, clicks, previous in zip(
            images, unpad_clicks(view["clicks"]), masks, strict=True
        ):
            seeds = seeds_of(clicks, image.shape[0], image.shape[1], self.radius)
            maps.append(self.method(image, seeds, previous, **self.options))
        logits = torch.logit(torch.from_numpy(np.stack(maps)), eps=1e-6)[:, None].to(view["image"])
        return resize_logits(logits, batch["image"].shape[-2:])
