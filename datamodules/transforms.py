"""Augmentations that albumentations lacks."""

from typing import Any

import albumentations
import numpy as np
import torch

from interseg.clicks.layout import no_clicks
from interseg.inference.zoom import ZoomIn
from interseg.views import Box, resize_image


class ResizeView(albumentations.DualTransform):
    """A photo resized as a network's view of it is: without aliases, whichever side is reduced.

    `albumentations.Resize` takes samples at intervals, or areas, which OpenCV does where both sides
    are reduced. Masks and coordinate maps take the nearest pixel.

    Args:
        height: Height of the view in pixels.
        width: Width of the view in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(p=1.0)
        self.height, self.width = height, width

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """Resize an image of 8 bits."""
        pixels = torch.from_numpy(np.ascontiguousarray(img)).permute(2, 0, 1)[None].float()
        view = resize_image(pixels, (self.height, self.width))[0].permute(1, 2, 0)
        return view.round().clamp(0, 255).byte().numpy()

    def apply_to_mask(self, mask: np.ndarray, **params: Any) -> np.ndarray:
        """Take the nearest pixels of a mask or a coordinate map."""
        height, width = mask.shape[:2]
        rows = np.arange(self.height) * height // self.height
        columns = np.arange(self.width) * width // self.width
        return mask[rows[:, None], columns]


class AtObject(albumentations.DualTransform):
    """Base of the crops that depend on where the object is."""

    @property
    def targets_as_params(self) -> list[str]:
        """Names of the targets that the crop depends on."""
        return ["mask"]


class CropAtObject(AtObject):
    """A crop whose centre pixel belongs to the object (BRS, section 3.1).

    Pixels beyond the image are padding. A view without an object pixel is cropped at a random
    place.

    Args:
        height: Height of the crop in pixels.
        width: Width of the crop in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(p=1.0)
        self.height, self.width = height, width

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the pixel that becomes the centre."""
        pixels = np.flatnonzero(data["mask"] == 1)
        candidates = pixels if len(pixels) else data["mask"].size
        pixel = int(self.random_generator.choice(candidates))
        y, x = divmod(pixel, data["mask"].shape[1])
        return {"top": y - self.height // 2, "left": x - self.width // 2}

    def apply(self, img: np.ndarray, top: int, left: int, **params: Any) -> np.ndarray:
        """Crop an image, a mask or a coordinate map, 0 beyond it."""
        view = np.zeros((self.height, self.width, *img.shape[2:]), img.dtype)
        bottom, right = top + self.height, left + self.width
        inside = img[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        height, width = inside.shape[:2]
        y, x = max(-top, 0), max(-left, 0)
        view[y : y + height, x : x + width] = inside
        return view


class ZoomAtObject(AtObject):
    """The box round the object that a zoom shows a network in evaluation (`ZoomIn`).

    The same box every time, so that features of it can be kept; a view without an object pixel
    stays whole.

    Args:
        expansion: Factor by which the object's bounding box is expanded.
        min_crop: Least side of the box in pixels of the photo.

    Raises:
        InputError: An expansion or least side below 1.
    """

    def __init__(self, expansion: float = 1.4, min_crop: int = 200) -> None:
        super().__init__(p=1.0)
        self.expansion, self.min_crop = expansion, min_crop
        self.zoom = ZoomIn(expansion=expansion, min_crop=min_crop)

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Find the box."""
        inside = data["mask"] == 1
        whole = Box(0, 0, *inside.shape)
        return {"box": self.zoom.box_round(inside, no_clicks()) if inside.any() else whole}

    def apply(self, img: np.ndarray, box: Box, **params: Any) -> np.ndarray:
        """Crop an image, a mask or a coordinate map."""
        return img[box.top : box.bottom, box.left : box.right]
