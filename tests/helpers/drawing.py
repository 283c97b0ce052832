"""Drawn data: noisy photos with bright ellipses, in the layouts that readers take."""

from pathlib import Path

import cv2
import numpy as np


def draw(
    seed: int, height: int = 72, width: int = 96, objects: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """A noisy photo (H, W, 3) with bright ellipses, and its instance map (H, W) with ids 1, 2,
    ...
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 90, (height, width, 3)).astype(np.uint8)
    ids = np.zeros((height, width), np.uint8)
    for id in range(1, objects + 1):
        centre = (
            int(width * (id - 0.5) / objects),
            int(rng.integers(height // 3, 2 * height // 3)),
        )
        axes = (int(rng.integers(8, width // (2 * objects) - 3)), int(rng.integers(8, height // 3)))
        cv2.ellipse(ids, centre, axes, 0, 0, 360, id, -1)
    image[ids > 0] += 120
    return image, ids


def draw_ellipse(seed=0, height=48, width=64):
    """A reddish ellipse on a bluish ground, both noisy, and its mask."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = ((y - 24) / 14) ** 2 + ((x - 30) / 18) ** 2 <= 1
    image = np.where(mask[..., None], (0.7, 0.3, 0.2), (0.2, 0.3, 0.6)) + generator.normal(
        0, 0.05, (height, width, 3)
    )
    return np.clip(image, 0, 1).astype(np.float32), mask.astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> None:
    """An RGB or grey image file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def draw_folder(root: Path, count: int) -> Path:
    """`images/` and `masks/` with instance ids, as datamodules/folder_source.py reads them."""
    for i in range(count):
        image, ids = draw(i)
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", ids)
    return root


def draw_sizes(root: Path) -> Path:
    """Five photos in that layout, 10 objects; the last photo has another size."""
    for i in range(5):
        image, ids = draw(i, width=96 if i < 4 else 80)
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", ids)
    return root


def draw_classes(root: Path, count: int = 8) -> Path:
    """Photos of 40 x 56 pixels with two classes, as data/class_folder.yaml reads them."""
    for i in range(count):
        image, ids = draw(i, 40, 56)
        image = cv2.GaussianBlur(image, (0, 0), 2)  # white noise has no superpixels
        write(root / "images" / f"{i}.png", image)
        write(root / "masks" / f"{i}.png", (ids > 0).astype(np.uint8))
    return root
