"""Views of an image: what is reduced is reduced rightly, whatever its size and the precision."""

import numpy as np
import pytest
import torch

from interseg.views import resize_image, scale_clicks


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_clicks_fall_on_the_same_pixels_in_half_precision(precision):
    clicks = torch.tensor([[[301, 299, 1, 0], [1000, 777, 0, 0], [-1, -1, -1, -1]]])
    size, reduced = torch.Size((1200, 1600)), (672, 896)
    wanted = scale_clicks(clicks, size, reduced)
    torch.set_default_dtype(precision)  # as Lightning's plugin does round a step
    try:
        found = scale_clicks(clicks, size, reduced)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, wanted)
    assert wanted[0, :2, :2].tolist() == [[168, 167], [560, 435]]
    assert torch.equal(wanted[0, 2], clicks[0, 2])


def slow_weights(before, after):
    """Weights (after, before) of a linear filter that is as wide as the reduction."""
    scale = max(before / after, 1.0)
    centres = (np.arange(after) + 0.5) * before / after
    distance = np.abs(np.arange(before)[None] + 0.5 - centres[:, None]) / scale
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(3, 1), (1, 3), (1, 1), (7, 2), (30, 1)])
def test_an_image_is_reduced_without_aliases_to_a_single_column_too(size):
    image = np.random.default_rng(0).random((21, 8))
    wanted = slow_weights(21, size[0]) @ image @ slow_weights(8, size[1]).T
    found = resize_image(torch.from_numpy(image)[None, None], size)[0, 0].numpy()
    assert np.allclose(found, wanted, atol=1e-6)
