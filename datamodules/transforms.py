"""Augmentations that albumentations lacks."""

from typing import Any

import albumentations
import numpy as np


class CropAtObject(albumentations.DualTransform):
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

    @property
    def targets_as_params(self) -> list[str]:
        """Names of the targets that the crop depends on."""
        return ["mask"]

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
        """Crop an image, black beyond it."""
        view = np.zeros((self.height, self.width, *img.shape[2:]), img.dtype)
        bottom, right = top + self.height, left + self.width
        inside = img[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        height, width = inside.shape[:2]
        y, x = max(-top, 0), max(-left, 0)
        view[y : y + height, x : x + width] = inside
        return view

    def apply_to_mask(self, mask: np.ndarray, top: int, left: int, **params: Any) -> np.ndarray:
        """Crop a mask or a coordinate map, 0 beyond it."""
        return self.apply(mask, top, left)
