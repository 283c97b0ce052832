"""The proxy mask against the paper's algorithm, line by line."""

import numpy as np
import pytest

from interseg.errors import InputError
from interseg.volumes.measures import dice
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import BACKENDS, copy, dis_flow
from interseg.volumes.slices import index
from tests.helpers.blobs import slices, volume


def slow_proxy(image, mask, axis, numbers, carry):
    """Algorithm 2, line by line."""
    proxy = np.zeros(image.shape, bool)
    for j in range(image.shape[axis]):
        if j in numbers:
            proxy[index(axis, j)] = mask[index(axis, j)]
        else:
            k = min(sorted(numbers), key=lambda n: abs(j - n))
            fixed, moving = (
                np.ascontiguousarray(image[index(axis, i)], np.float32) for i in (j, k)
            )
            proxy[index(axis, j)] = carry(fixed, moving, mask[index(axis, k)])
    return proxy


@pytest.mark.parametrize("carry", [copy, dis_flow])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_is_the_algorithms_and_growing_it_gives_what_all_at_once_gives(carry, axis):
    image, mask = volume()
    numbers = [8, 3, 12, 9]
    grown, whole = ProxyMask(image, carry), ProxyMask(image, carry, threads=2)
    for number in numbers:
        grown.label(axis, slices(mask, axis, [number]))
    whole.label(axis, slices(mask, axis, numbers))
    expected = slow_proxy(image, mask, axis, numbers, carry)
    assert np.array_equal(grown.planes[axis], expected)
    assert np.array_equal(whole.planes[axis], expected)


def test_a_round_registers_only_slices_whose_nearest_label_changed():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    proxy.label(0, slices(mask, 0, [4]))
    assert proxy.registrations == 15
    proxy.label(0, slices(mask, 0, [12]))
    assert proxy.registrations == 15 + 6  # 9, 10, 11 and 13, 14, 15; 8 is as near to 4
    proxy.label(0, {})
    assert proxy.registrations == 21
    proxy.label(0, {4: ~mask[4]})  # drawn again
    assert proxy.registrations == 21 + 8
    assert np.array_equal(proxy.planes[0][4], ~mask[4])


def test_planes_are_merged_by_and_or_and_the_users_slices_stand():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    assert not proxy.merge().any()
    proxy.label(0, slices(mask, 0, [8]))
    proxy.label(1, slices(mask, 1, [14]))
    both, either = proxy.planes[0] & proxy.planes[1], proxy.planes[0] | proxy.planes[1]
    drawn = np.zeros(mask.shape, bool)
    drawn[8] = drawn[:, 14] = True
    assert np.array_equal(proxy.merge()[~drawn], both[~drawn])
    assert np.array_equal(proxy.merge(inclusive=True)[~drawn], either[~drawn])
    assert np.array_equal(proxy.merge()[drawn], mask[drawn])
    assert proxy.labelled == {0: [8], 1: [14]}
    outside = int(np.argmin(mask.any((0, 2))))
    alone = ProxyMask(image, copy)
    alone.label(0, slices(mask, 0, [8]))
    expected = alone.merge()
    alone.label(1, slices(mask, 1, [outside]))  # "nothing on this slice" says nothing of others
    expected[:, outside] = False
    assert np.array_equal(alone.merge(), expected)


def test_more_slices_make_a_better_proxy_and_flow_beats_the_copy():
    image, mask = volume()
    scores = {}
    for name in ("copy", "dis"):
        proxy = ProxyMask(image, BACKENDS[name])
        scores[name] = []
        for numbers in ([8], [3], [12]):
            for axis in (0, 1):
                proxy.label(axis, slices(mask, axis, [n if axis == 0 else n + 6 for n in numbers]))
            scores[name].append(dice(proxy.merge(), mask))
    for values in scores.values():
        assert values[0] < values[2]
    assert scores["dis"][0] > scores["copy"][0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProxyMask(np.full((2, 3, 4), np.nan)), "finite values"),
        (lambda: ProxyMask(np.zeros((3, 4))), r"got \(3, 4\)"),
        (
            lambda: ProxyMask(np.zeros((2, 3, 4)), copy).label(0, {2: np.zeros((3, 4), bool)}),
            "slice 2 .* along axis 0: there are 2",
        ),
        (
            lambda: ProxyMask(np.zeros((2, 3, 4)), copy).label(1, {0: np.zeros((3, 4), bool)}),
            r"there are 3 of \(2, 4\)",
        ),
    ],
)
def test_bad_volumes_and_slices_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
