"""Drawn volumes, and files of them."""

import numpy as np
import SimpleITK


def case(seed, shape=(10, 14, 12)):
    """A bright ball in a dark box within nothing, and its mask (D, H, W)."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    mask = (z - 5) ** 2 + (y - 6) ** 2 + (x - 6) ** 2 < 10 + seed % 3
    image = np.zeros(shape, np.float32)
    image[1:-1, 2:-2, 1:-1] = rng.uniform(20, 40, (shape[0] - 2, shape[1] - 4, shape[2] - 2))
    image[mask] += 60
    return image, mask.astype(np.uint8)


def save(pixels, path, spacing=(0.5, 1.0, 2.0), origin=(0, 0, 0), direction=None):
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction:
        image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def draw_volumes(root, count=6):
    """Volumes and their labels, in the layout of `data/volume_folder.yaml`."""
    for i in range(count):
        image, mask = case(i)
        save(image, root / "images" / f"c{i}.nii.gz")
        save(mask, root / "labels" / f"c{i}.nrrd")
    return root
