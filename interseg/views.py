"""What a network is shown of an image, and the way back: all of it, reduced to a long side, or a crop round the object (zoom-in)."""

from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from interseg.batches import ClickBatch
from interseg.clicks.layout import Clicks
from interseg.errors import InputError

OUTSIDE = -20.0
"""The logit of pixels that a view leaves out: background."""


Side = int | tuple[int, int] | None
"""Size of what a network is shown: the long side that larger images are reduced to, (height, width)
of all, or their own."""


class Box(NamedTuple):
    """Rows top to bottom and columns left to right of an image, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def holds(self, y: int, x: int) -> bool:
        """Whether a pixel lies in the box."""
        return self.top <= y < self.bottom and self.left <= x < self.right

    def grown(self, margin: int, height: int, width: int) -> "Box":
        """With a margin on each side, within an image of (height, width)."""
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        return Box(top, left, min(height, self.bottom + margin), min(width, self.right + margin))

    def with_clicks(self, clicks: Clicks) -> "Box":
        """Grown so far as to hold clicks (n, 4)."""
        y, x = clicks[:, 0], clicks[:, 1]
        top, left = y.min(initial=self.top), x.min(initial=self.left)
        return Box(
            int(top),
            int(left),
            int((y + 1).max(initial=self.bottom)),
            int((x + 1).max(initial=self.right)),
        )


def box_of(region: NDArray[np.bool_]) -> Box:
    """Find the bounding box of a region (H, W); empty at its corner where it is."""
    if not region.any():
        return Box(0, 0, 0, 0)
    (top, bottom), (left, right) = (
        (int(found.min()), int(found.max()) + 1) for found in np.nonzero(region)
    )
    return Box(top, left, bottom, right)


def reduced(batch: ClickBatch, long_side: Side) -> ClickBatch:
    """Reduce a batch's image, clicks and previous mask to a long side; the batch itself where it is no larger.

    An image that was reduced before (`encoded`) is not reduced again.
    """
    size = batch["image"].shape[-2:]
    smaller = reduced_size(size, long_side)
    return (
        batch if smaller is None else resized(batch, smaller, batch.get("encoded", {}).get("image"))
    )


def reduced_image(images: Tensor, long_side: Side) -> dict[str, Tensor]:
    """Reduce images (B, 3, H, W) to a long side, as `image`; nothing where they are no larger."""
    smaller = reduced_size(images.shape[-2:], long_side)
    return {} if smaller is None else {"image": resized_image(images, smaller)}


def rows_of(batch: ClickBatch, rows: slice | list[int]) -> ClickBatch:
    """Take some rows of a batch's image, clicks and previous mask."""
    return cast(
        ClickBatch,
        {key: batch[key][rows] for key in ("image", "clicks", "previous") if key in batch},
    )


def cropped(batch: ClickBatch, row: int, box: Box, long_side: int | tuple[int, int]) -> ClickBatch:
    """One object's image, clicks and previous mask in a box, resized to a long side or a size; clicks outside become padding."""
    window = slice(box.top, box.bottom), slice(box.left, box.right)
    clicks = batch["clicks"][row : row + 1].clone()
    clicks[..., 0] -= box.top
    clicks[..., 1] -= box.left
    outside = (
        (clicks[..., :2] < 0).any(-1)
        | (clicks[..., 0] >= box.size[0])
        | (clicks[..., 1] >= box.size[1])
    )
    clicks[outside | (batch["clicks"][row : row + 1, :, 2] < 0)] = -1
    view: ClickBatch = {"image": batch["image"][row : row + 1, :, *window], "clicks": clicks}
    if "previous" in batch:
        view["previous"] = batch["previous"][row : row + 1, *window]
    if isinstance(long_side, int):
        return resized(view, scaled_size(box.size, long_side))
    height, width = long_side
    return resized(view, (height, width))


def resized(view: ClickBatch, size: tuple[int, int], image: Tensor | None = None) -> ClickBatch:
    """Resize an image with its clicks and previous mask; `image` is the image at that size where it is known."""
    before = view["image"].shape[-2:]
    if tuple(before) == size:
        return view
    image = resized_image(view["image"], size) if image is None else image
    other: ClickBatch = {"image": image, "clicks": scale_clicks(view["clicks"], before, size)}
    if "previous" in view and view["previous"].dtype == torch.uint8:  # classes
        other["previous"] = interpolate(view["previous"][:, None], size, mode="nearest-exact")[:, 0]
    elif "previous" in view:
        mode = "area" if size[0] < before[0] else "bilinear"
        scaled = interpolate(view["previous"][:, None].float(), size, mode=mode)[:, 0]
        other["previous"] = scaled >= 0.5 if view["previous"].dtype == torch.bool else scaled
    return other


def resized_image(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (B, 3, H, W)."""
    return interpolate(images, size, mode="bilinear", antialias=True)


def enlarged(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (B, 1, h, w) at another size (height, width)."""
    return (
        logits
        if tuple(logits.shape[-2:]) == tuple(size)
        else interpolate(logits, size, mode="bilinear")
    )


def restored(logits: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """Logits (B, 1, h, w) of a box's view in the frame (height, width) of the image; `OUTSIDE` beyond the box."""
    inside = enlarged(logits, box.size)
    margins = (box.left, size[1] - box.right, box.top, size[0] - box.bottom)
    return pad(inside, margins, value=OUTSIDE) if any(margins) else inside


def scaled_box(box: Box, size: tuple[int, int], other: tuple[int, int]) -> Box:
    """Find the box of an image of `size` in the same image at another size: whole pixels, none left out."""
    down, across = other[0] / size[0], other[1] / size[1]
    return Box(
        floor(box.top * down),
        floor(box.left * across),
        ceil(box.bottom * down - 1e-9),
        ceil(box.right * across - 1e-9),
    )


def reduced_size(size: torch.Size, long_side: Side) -> tuple[int, int] | None:
    """(height, width) with the given long side, or the given one; None where the image is no larger, or has it."""
    if long_side is None:
        return None
    if not isinstance(long_side, int):
        height, width = long_side
        return None if (height, width) == tuple(size) else (height, width)
    if max(size) <= long_side:
        return None
    return scaled_size((size[0], size[1]), long_side)


def check_side(side: Side) -> Side:
    """Return a `Side`; raises `InputError` for anything else."""
    sizes = [] if side is None else [side] if isinstance(side, int) else list(side)
    if any(size < 1 for size in sizes) or (not isinstance(side, int | None) and len(sizes) != 2):
        raise InputError(f"long_side is {side}; give a number of pixels, [height, width], or null")
    return side


def scaled_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(height, width) scaled to a long side."""
    height, width = (max(1, round(side * long_side / max(size))) for side in size)
    return height, width


def scale_clicks(clicks: Tensor, size: torch.Size, reduced: tuple[int, int]) -> Tensor:
    """Clicks of an image at another size: the pixel that covers the clicked pixel's centre; padding rows stay."""
    scaled = clicks.clone()
    for axis in (0, 1):
        scaled[..., axis] = (
            ((clicks[..., axis] + 0.5) * reduced[axis] / size[axis])
            .floor()
            .long()
            .clamp(-1, reduced[axis] - 1)
        )
    return scaled
