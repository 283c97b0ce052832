"""Exact Euclidean distance transforms, the same on every call."""

import cv2
import numpy as np
from numpy.typing import NDArray

# Intel's primitives inside OpenCV round some distances differently from call to call
# (opencv/opencv#24082), and a click is an argmax: without them the transform is the correctly
# rounded root of an exact integer, and no slower.
cv2.ipp.setUseIPP(False)


def interior_distance(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the distance (H, W) in pixels of a region's pixels to the nearest pixel outside.

    Pixels beyond the image are outside.
    """
    padded = cv2.copyMakeBorder(region.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance[1:-1, 1:-1]  # type: ignore[return-value]


def distance_to(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the distance (H, W) in pixels of each pixel to the nearest pixel of a region.

    It is 0 in the region, and infinite for an empty one.
    """
    if not region.any():
        return np.full(region.shape, np.inf, np.float32)
    outside = (~region).view(np.uint8)
    return cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)  # type: ignore[return-value]
