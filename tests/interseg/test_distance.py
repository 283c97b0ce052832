import numpy as np
import pytest
from scipy import ndimage

from interseg.distance import distance_to, interior_distance


@pytest.mark.parametrize("seed", range(20))
def test_transforms_are_exact_and_the_same_on_every_call(seed):
    region = (
        ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((80, 90)), seed % 5) > 0
    )
    inside = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1].astype(np.float32)
    outside = ndimage.distance_transform_edt(~region).astype(np.float32)
    for _ in range(5):
        assert (interior_distance(region) == inside).all()
        assert (distance_to(region) == outside).all()


def test_the_distance_to_nothing_is_infinite():
    assert np.isinf(distance_to(np.zeros((3, 4), bool))).all()
