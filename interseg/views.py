"""Views: the parts of an image that a network sees, and the way back to the image.

A view is the whole image, reduced to a long side, or a crop round the object (zoom-in).
"""

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
"""Logit of pixels outside a view: background."""


Side = int | tuple[int, int] | None
"""Size of views: the long side to which larger images are reduced, (height, width) of all views, or
None for the images' own sizes."""


class Box(NamedTuple):
    """The rows top to bottom and columns left to right of an image, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the box."""
        return self.bottom - self.top, self.right - self.left

    def holds(self, y: int, x: int) -> bool:
        """Test whether a pixel lies in the box."""
        return self.top <= y < self.bottom and self.left <= x < self.right

    def grow(self, margin: int, height: int, width: int) -> "Box":
        """Add a margin on each side, within an image of (height, width)."""
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        return Box(top, left, min(height, self.bottom + margin), min(width, self.right + margin))

    def shift(self, down: int, across: int) -> "Box":
        """Move the box."""
        return Box(self.top + down, self.left + across, self.bottom + down, self.right + across)

    def with_clicks(self, clicks: Clicks) -> "Box":
        """Extend the box until it holds clicks (n, 4)."""
        y, x = clicks[:, 0], clicks[:, 1]
        top, left = y.min(initial=self.top), x.min(initial=self.left)
        bottom = (y + 1).max(initial=self.bottom)
        right = (x + 1).max(initial=self.right)
        return Box(int(top), int(left), int(bottom), int(right))


def box_of(region: NDArray[np.bool_]) -> Box:
    """Find the bounding box of a region (H, W); an empty box at (0, 0) for an empty region."""
    if not region.any():
        return Box(0, 0, 0, 0)
    y, x = np.nonzero(region)
    return Box(int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)


def reduce_batch(batch: ClickBatch, long_side: Side) -> ClickBatch:
    """Reduce a batch's image, clicks and previous mask to a long side.

    A batch that is not larger is returned unchanged. An image that was reduced before (`encoded`)
    is not reduced again.
    """
    size = batch["image"].shape[-2:]
    smaller = reduce_size(size, long_side)
    if smaller is None:
        return batch
    return resize_view(batch, smaller, batch.get("encoded", {}).get("image"))


def reduce_image(images: Tensor, long_side: Side) -> dict[str, Tensor]:
    """Reduce images (B, 3, H, W) to a long side, as `image`; {} if they are not larger."""
    smaller = reduce_size(images.shape[-2:], long_side)
    return {} if smaller is None else {"image": resize_image(images, smaller)}


def rows_of(batch: ClickBatch, rows: slice | list[int]) -> ClickBatch:
    """Select rows of a batch's image, clicks and previous mask."""
    keys = [key for key in ("image", "clicks", "previous") if key in batch]
    return cast(ClickBatch, {key: batch[key][rows] for key in keys})


def crop_view(
    batch: ClickBatch, row: int, box: Box, long_side: int | tuple[int, int]
) -> ClickBatch:
    """Crop one object's image, clicks and previous mask to a box, and resize them.

    Clicks outside the box become padding.

    Args:
        batch: Batch of the object.
        row: Row of the object.
        box: Box in pixels of the image.
        long_side: Long side, or (height, width), of the view.
    """
    window = slice(box.top, box.bottom), slice(box.left, box.right)
    clicks = crop_clicks(batch["clicks"][row : row + 1], box)
    view: ClickBatch = {"image": batch["image"][row : row + 1, :, *window], "clicks": clicks}
    if "previous" in batch:
        view["previous"] = batch["previous"][row : row + 1, *window]
    if isinstance(long_side, int):
        return resize_view(view, scale_size(box.size, long_side))
    return resize_view(view, (long_side[0], long_side[1]))


def crop_clicks(clicks: Tensor, box: Box) -> Tensor:
    """Move clicks (B, N, 4) to the frame of a box; those outside it become padding."""
    cropped = clicks.clone()
    cropped[..., 0] -= box.top
    cropped[..., 1] -= box.left
    y, x = cropped[..., 0], cropped[..., 1]
    height, width = box.size
    outside = (y < 0) | (x < 0) | (y >= height) | (x >= width)
    cropped[outside | (clicks[..., 2] < 0)] = -1
    return cropped


def resize_view(view: ClickBatch, size: tuple[int, int], image: Tensor | None = None) -> ClickBatch:
    """Resize an image with its clicks and previous mask.

    Args:
        view: Image, clicks and, if there is one, previous mask.
        size: (height, width) of the result.
        image: The image at that size; None to resize it.
    """
    before = view["image"].shape[-2:]
    if tuple(before) == size:
        return view
    image = resize_image(view["image"], size) if image is None else image
    other: ClickBatch = {"image": image, "clicks": scale_clicks(view["clicks"], before, size)}
    if "previous" in view and view["previous"].dtype == torch.uint8:  # classes
        other["previous"] = interpolate(view["previous"][:, None], size, mode="nearest-exact")[:, 0]
    elif "previous" in view:
        scaled = resize_image(view["previous"][:, None].float(), size)[:, 0]
        other["previous"] = scaled >= 0.5 if view["previous"].dtype == torch.bool else scaled
    return other


def resize_image(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images (B, C, H, W), a smaller one without aliases."""
    if size[1] == 1:  # torch makes all rows of a single column equal, but no column of a single row
        columns = interpolate(images.transpose(2, 3), size[::-1], mode="bilinear", antialias=True)
        return columns.transpose(2, 3)
    return interpolate(images, size, mode="bilinear", antialias=True)


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize logits (B, K, h, w) to another size (height, width)."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return interpolate(logits, size, mode="bilinear")


def restore(logits: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """Move logits (B, K, h, w) of a box's view to the frame (height, width) of the image.

    They are `OUTSIDE` beyond the box.
    """
    inside = resize_logits(logits, box.size)
    margins = (box.left, size[1] - box.right, box.top, size[0] - box.bottom)
    return pad(inside, margins, value=OUTSIDE) if any(margins) else inside


def scale_box(box: Box, size: tuple[int, int], other: tuple[int, int]) -> Box:
    """Scale a box from an image of `size` to the same image at another size.

    The result has whole pixels and covers all of the box.
    """
    down, across = other[0] / size[0], other[1] / size[1]
    return Box(
        floor(box.top * down),
        floor(box.left * across),
        ceil(box.bottom * down - 1e-9),
        ceil(box.right * across - 1e-9),
    )


def reduce_size(size: torch.Size, long_side: Side) -> tuple[int, int] | None:
    """Compute the (height, width) of a view; None if the image already has it or is not larger."""
    if long_side is None:
        return None
    if not isinstance(long_side, int):
        height, width = long_side
        return None if (height, width) == tuple(size) else (height, width)
    if max(size) <= long_side:
        return None
    return scale_size((size[0], size[1]), long_side)


def check_side(side: Side) -> Side:
    """Return a `Side` unchanged; raises `InputError` for anything else."""
    if side is None:
        return side
    sizes = [side] if isinstance(side, int) else list(side)
    if min(sizes, default=1) < 1 or (not isinstance(side, int) and len(sizes) != 2):
        raise InputError(f"long_side is {side}; give a number of pixels, [height, width], or null")
    return side


def scale_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Scale (height, width) to a long side."""
    height, width = (max(1, round(side * long_side / max(size))) for side in size)
    return height, width


def scale_clicks(clicks: Tensor, size: Sequence[int], reduced: tuple[int, int]) -> Tensor:
    """Scale an image's clicks to another size; padding rows stay.

    A click moves to the pixel that covers the clicked pixel's centre.
    """
    scaled = clicks.clone()
    for axis in (0, 1):
        # in single precision: half knows no pixel beyond 2048, and its products overflow
        centre = (clicks[..., axis].float() + 0.5) * reduced[axis] / size[axis]
        scaled[..., axis] = centre.floor().long().clamp(-1, reduced[axis] - 1)
    return scaled
