"""Pictures of answers: what a photo looks like at another size."""

import numpy as np
import pytest

from interseg.clicks.layout import no_clicks
from interseg.evaluation.drawing import overlay, scale_to


@pytest.mark.parametrize(("scale", "least", "most"), [(0.25, 120, 135), (4.0, 0, 255)])
def test_a_photo_is_reduced_to_its_means_and_enlarged_smoothly(scale, least, most):
    stripes = np.zeros((16, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    drawn = overlay(stripes, np.zeros((16, 32), bool), no_clicks(), scale=scale)
    assert drawn.shape == (round(16 * scale), round(32 * scale), 3)
    assert drawn.min() >= least
    assert drawn.max() <= most
    values = set(np.unique(drawn).tolist())
    assert scale < 1 or len(values - {0, 255}) > 3, "edges are not steps"


def test_a_strip_is_drawn_no_longer_than_eight_times_its_height():
    assert scale_to(200, 100, 300) == 2
    height, width = 20, 7000
    scale = scale_to(200, height, width)
    assert round(width * scale) == 1600
