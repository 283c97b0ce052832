"""Truths and predictions that differ from them, drawn at random, and what is obvious about them,
computed slowly.
"""

import numpy as np
from scipy import ndimage

from interseg.clicks.layout import clicks_of


def random_masks(seed, height, width, smoothness, ignore=True):
    """A truth with ignored pixels and a prediction that differs from it, blobs of the given
    size.
    """
    rng = np.random.default_rng(seed)
    fields = [
        ndimage.gaussian_filter(rng.standard_normal((height, width)), smoothness, mode="wrap")
        for _ in range(3)
    ]
    mask = (fields[0] > 0).astype(np.uint8)
    prediction = fields[0] + fields[1] > 0
    if ignore:
        mask[fields[2] > np.quantile(fields[2], 0.9)] = 255
    return prediction, mask, clicks_of(rng.integers(0, (height, width, 2), (4, 3)).tolist())


def random_classes(seed, height, width, smoothness, classes=4):
    """The same of several classes."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2 * classes + 1, height, width))
    fields = ndimage.gaussian_filter(noise, (0, smoothness, smoothness), mode="wrap")
    mask = fields[:classes].argmax(0).astype(np.uint8)
    prediction = (fields[:classes] + fields[classes : 2 * classes]).argmax(0).astype(np.uint8)
    mask[fields[-1] > np.quantile(fields[-1], 0.9)] = 255
    return prediction, mask, clicks_of(rng.integers(0, (height, width, classes), (4, 3)).tolist())


def wrong_where(prediction, mask):
    """The wrong pixels, one by one."""
    wrong = np.zeros(mask.shape, bool)
    for pixel in np.ndindex(mask.shape):
        wrong[pixel] = mask[pixel] != 255 and int(prediction[pixel]) != mask[pixel]
    return wrong


def depth_of(region, clicks):
    """The distance of each pixel to the nearest one outside a region, beyond the image being
    outside; 0 where it was clicked.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    depth[clicks[:, 0], clicks[:, 1]] = 0
    return depth


def neighbours(y, x, shape, corners):
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1)] + (
        [(-1, -1), (-1, 1), (1, -1), (1, 1)] if corners else []
    )
    return [(y + v, x + u) for v, u in steps if 0 <= y + v < shape[0] and 0 <= x + u < shape[1]]


def slow_components(region):
    """The 8-connected components of a region, as sets of pixels."""
    left, found = {tuple(p) for p in np.argwhere(region).tolist()}, []
    while left:
        stack, component = [left.pop()], set()
        while stack:
            p = stack.pop()
            component.add(p)
            for q in neighbours(*p, region.shape, True):
                if q in left:
                    left.remove(q)
                    stack.append(q)
        found.append(component)
    return found


def slow_outline(region):
    """The pixels of a region beside one outside it; at the border where there is none."""
    pixels = [tuple(p) for p in np.argwhere(region)]
    found = [p for p in pixels if any(not region[q] for q in neighbours(*p, region.shape, False))]
    return found or [p for p in pixels if len(neighbours(*p, region.shape, False)) < 4]


def square(height=40, width=40, top=10, left=10, bottom=30, right=30):
    """The mask of a rectangle."""
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask
