"""Registration: a slice's mask is moved to another slice of the volume by their images.

Dynamic interactive learning, eq. 5.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from interseg.errors import InputError

Slice = NDArray[np.floating]
Carry = Callable[[Slice, Slice, NDArray[np.bool_]], NDArray[np.bool_]]
"""Function from fixed image (h, w), moving image (h, w) and the moving image's mask to the fixed
image's mask."""


LEAST, LARGEST = 16, 32766
"""Sides in pixels between which OpenCV's flow works; it ends the process on some smaller ones."""


def copy(fixed: Slice, moving: Slice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a copy of the mask: the control."""
    return mask.copy()


def dis_flow(
    fixed: Slice,
    moving: Slice,
    mask: NDArray[np.bool_],
    least: int = 60,
    stride: int = 2,
    window: float = 1.5,
    sure: float | None = 0.4,
) -> NDArray[np.bool_]:
    """Carry a mask by OpenCV's dense inverse search optical flow (Kroeger et al. 2016).

    Its medium preset is made for photos, patches of 8 pixels at half their size. Slices are
    smaller, and worth its time four times over. Between slices that are nearly the same the flow
    follows noise; where it explains little of their difference it is shortened, down to a copy of
    the mask (benchmarks/registration.md).

    Args:
        fixed: Image (h, w) whose mask is wanted.
        moving: Image (h, w).
        mask: Mask of the moving image.
        least: Smallest side in pixels; smaller slices are enlarged for the search by a whole
            number, as far as OpenCV takes them. The mask of a slice that is out of its limits all
            the same is copied.
        stride: Distance between patches in pixels.
        window: Standard deviation in pixels of the window in which differences are compared.
        sure: Share of the difference from which the flow is trusted fully; None trusts it always.
    """
    short, long = min(fixed.shape), max(fixed.shape)
    scale = max(1, min(-(-least // short), LARGEST // long))
    if scale * short < LEAST or scale * long > LARGEST:
        return mask.copy()
    still, moved = (
        np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), np.uint8
        )
        for image in to_bytes(fixed, moving)
    )
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchStride(stride)
    flow = search.calc(still, moved, None)  # type: ignore[call-overload]
    if sure is not None:
        trust = np.minimum(explained_share(still, moved, flow, window * scale) / sure, 1)
        flow = flow * trust[..., None]
    flow = cv2.resize(flow, (fixed.shape[1], fixed.shape[0]), interpolation=cv2.INTER_AREA) / scale
    carried = warp(flow, mask.astype(np.float32), cv2.BORDER_CONSTANT)
    return carried > 0.5


def explained_share(
    fixed: NDArray[np.uint8], moving: NDArray[np.uint8], flow: NDArray[np.float32], window: float
) -> NDArray[np.float32]:
    """Compute the share of two images' squared difference that a flow explains round each pixel.

    Args:
        fixed: Image (h, w).
        moving: Image (h, w).
        flow: Displacement (h, w, 2) in pixels, x first, of each pixel of the fixed image.
        window: Standard deviation in pixels of the Gaussian window of the means.

    Returns:
        (h, w) in [0, 1]; 1 where the images do not differ, 0 where the flow makes it worse.
    """
    still, other = fixed.astype(np.float32), moving.astype(np.float32)
    moved = warp(flow, other, cv2.BORDER_REPLICATE)
    before = cv2.GaussianBlur((still - other) ** 2, (0, 0), window)
    after = cv2.GaussianBlur((still - moved) ** 2, (0, 0), window)
    return np.clip(1 - after / np.maximum(before, 1e-3), 0, 1).astype(np.float32)


def warp(flow: NDArray[np.float32], image: NDArray[np.float32], border: int) -> NDArray[np.float32]:
    """Sample an image (h, w) where a flow (h, w, 2) points, with one of OpenCV's borders."""
    y, x = np.indices(image.shape, np.float32)
    places = x + flow[..., 0], y + flow[..., 1]
    moved = cv2.remap(image, *places, cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(moved, np.float32)


def affine(fixed: Slice, moving: Slice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Move a mask by the affine map of largest mutual information (SimpleITK)."""
    return _register(fixed, moving, mask, spline=False)


def affine_spline(fixed: Slice, moving: Slice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Move a mask by an affine map, then a 4 x 4 B-spline, of largest mutual information.

    This is the paper's kind of registration, by SimpleITK.
    """
    return _register(fixed, moving, mask, spline=True)


BACKENDS: dict[str, Carry] = {
    "dis": dis_flow,
    "dis_trusted": partial(dis_flow, sure=None),
    "affine_spline": affine_spline,
    "affine": affine,
    "copy": copy,
}
"""Registrations by their names in configs; the list is closed. `dis_trusted` trusts the flow
everywhere: earlier versions' "dis"."""


def backend_of(name: str) -> Carry:
    """Return a registration by name; raises `InputError` for an unknown one."""
    if name not in BACKENDS:
        raise InputError(f"registration is {name!r}; use one of {', '.join(BACKENDS)}")
    return BACKENDS[name]


def to_bytes(*images: Slice) -> list[NDArray[np.uint8]]:
    """Scale images to one grey scale from 0 to 255, the least and the largest value of all."""
    low = min(float(image.min()) for image in images)
    high = max(float(image.max()) for image in images)
    factor = 255 / max(high - low, 1e-12)
    return [np.round((image - low) * factor).astype(np.uint8) for image in images]


def _register(
    fixed: Slice, moving: Slice, mask: NDArray[np.bool_], spline: bool
) -> NDArray[np.bool_]:
    """Register two images and move the mask; a registration that fails copies the mask.

    The paper gives no settings; here there are 32 bins, two levels and 50 iterations.
    """
    still, moved = (
        SimpleITK.GetImageFromArray(np.ascontiguousarray(i, np.float32)) for i in (fixed, moving)
    )
    try:
        transform = SimpleITK.CenteredTransformInitializer(
            still,
            moved,
            SimpleITK.AffineTransform(2),
            SimpleITK.CenteredTransformInitializerFilter.GEOMETRY,
        )
        transform = _registration(transform).Execute(still, moved)
        if spline:
            grid = SimpleITK.BSplineTransformInitializer(still, [4, 4])
            method = _registration(grid)
            method.SetMovingInitialTransform(transform)
            grid = method.Execute(still, moved)
            transform = SimpleITK.CompositeTransform([transform, grid])
    except RuntimeError:  # constant slices have no information to share
        return mask.copy()
    source = SimpleITK.GetImageFromArray(mask.astype(np.float32))
    carried = SimpleITK.Resample(source, still, transform, SimpleITK.sitkLinear, 0.0)
    return SimpleITK.GetArrayFromImage(carried) > 0.5


def _registration(start: SimpleITK.Transform) -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    method.SetGlobalDefaultNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 50)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.0])
    method.SetInitialTransform(start, inPlace=False)
    return method
