"""A volume whose object changes from slice to slice, and its slices."""

import numpy as np
from scipy.ndimage import gaussian_filter

from interseg.volumes.slices import index


def volume(seed=0, shape=(16, 28, 30)):
    """A bright blob that shifts and swells from slice to slice over textured ground, and its
    mask.
    """
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    centre = (shape[1] / 2 + 0.25 * (z - shape[0] / 2), shape[2] / 2 - 0.3 * (z - shape[0] / 2))
    radius = 7 - 0.4 * np.abs(z - shape[0] / 2)
    mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    mask &= (z > 1) & (z < shape[0] - 2)
    return gaussian_filter(mask * 2.0 + 0.3 * rng.normal(size=shape), 0.8), mask


def slices(mask, axis, numbers):
    return {n: mask[index(axis, n)] for n in numbers}
