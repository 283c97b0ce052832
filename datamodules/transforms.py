"""Augmentations that albumentations lacks."""

from typing import Any

import albumentations
import numpy as np


class CropAtObject(albumentations.DualTransform):
    """A crop whose centre pixel belongs to the object (BRS, section 3.1); what lies beyond the image is padding.

    A view without an object pixel is cropped at a random place.

    Args:
        height: of the crop in pixels.
        width: of the crop in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(p=1.0)
        self.height, self.width = height, width

    @property
    def targets_as_params(self) -> list[str]:
        """The crop depends on the mask."""
        return ["mask"]

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draw the pixel that becomes the centre."""
        pixels = np.flatnonzero(data["mask"] == 1)
        pixel = (
            self.random_generator.choice(pixels)
            if len(pixels)
            else self.random_generator.integers(data["mask"].size)
        )
        y, x = divmod(int(pixel), data["mask"].shape[1])
        return {"top": y - self.height // 2, "left": x - self.width // 2}

    def apply(self, img: np.ndarray, top: int, left: int, **params: Any) -> np.ndarray:
        """Cut an image, black beyond it."""
        view = np.zeros((self.height, self.width, *img.shape[2:]), img.dtype)
        inside = img[
            max(top, 0) : max(top + self.height, 0), max(left, 0) : max(left + self.width, 0)
        ]
        view[
            max(-top, 0) : max(-top, 0) + inside.shape[0],
            max(-left, 0) : max(-left, 0) + inside.shape[1],
        ] = inside
        return view

    def apply_to_mask(self, mask: np.ndarray, top: int, left: int, **params: Any) -> np.ndarray:
        """Cut a mask or a coordinate map, 0 beyond it."""
        return self.apply(mask, top, left)
