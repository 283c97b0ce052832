"""The user who labels slices: new ones of the target, at random or where the guidance says."""

import numpy as np
import pytest

from interseg.errors import InputError
from interseg.volumes.measures import count_touched
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import copy
from interseg.volumes.slices import index
from interseg.volumes.users import SliceUser
from tests.helpers.blobs import volume


def test_the_user_draws_new_slices_of_the_target_along_each_plane():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    user = SliceUser((0, 2), 2, guided=False)
    seen = []
    for round in range(12):
        given = user.annotate(
            proxy.merge(), mask, None, proxy.labelled, np.random.default_rng(round)
        )
        for axis, labels in given.items():
            for number, drawn in labels.items():
                assert np.array_equal(drawn, mask[index(axis, number)])
                assert drawn.any()
                assert (axis, number) not in seen
                seen.append((axis, number))
            proxy.label(axis, labels)
    assert len([s for s in seen if s[0] == 0]) == count_touched(mask)[0]  # all of them, and no more
    assert given[0] == {}


@pytest.mark.parametrize("touched", [True, False])
def test_a_user_who_has_labelled_one_plane_wholly_knows_the_target(touched):
    """Then nothing is left to label along the others; without `touched` blank slices are left."""
    _, mask = volume()
    user, source = SliceUser((0, 2), 1, touched=touched), np.random.default_rng(0)
    known = {2: np.flatnonzero(mask.any((0, 1))).tolist()}
    drawn = user.annotate(mask, mask, None, known, source)
    assert [len(drawn[axis]) for axis in (0, 2)] == ([0, 0] if touched else [1, 1])
    everything = {2: range(mask.shape[2])}
    assert user.annotate(mask, mask, None, everything, source) == {0: {}, 2: {}}


def test_the_user_follows_the_guidance():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    probabilities = np.zeros(mask.shape)
    probabilities[11] = 1.0
    chosen = [
        next(
            iter(
                SliceUser((0,), 1).annotate(
                    proxy.merge(), mask, probabilities, {0: [2]}, np.random.default_rng(seed)
                )[0]
            )
        )
        for seed in range(80)
    ]
    assert chosen.count(11) > 25
    assert 2 not in chosen


def test_the_users_weight_is_of_the_difference_and_the_rest_of_the_distance():
    proxy = np.zeros((9, 4, 4), bool)
    probabilities = np.zeros(proxy.shape)
    probabilities[3] = 1.0
    chosen = {}
    for weight in (0.0, 1.0):
        user = SliceUser((0,), 1, touched=False, weight=weight)
        rounds = (
            user.annotate(proxy, proxy, probabilities, {0: [0]}, np.random.default_rng(seed))
            for seed in range(40)
        )
        chosen[weight] = [next(iter(labels[0])) for labels in rounds]
    assert {*chosen[1.0]} == {3}
    assert chosen[0.0].count(3) < 12
    assert chosen[0.0].count(8) > chosen[0.0].count(1)


def test_slices_that_the_target_does_not_touch_are_labelled_on_demand_only():
    truth = np.zeros((9, 4, 4), bool)
    truth[5, 1:3, 1:3] = True
    for touched, count in ((True, 1), (False, 9)):
        given = SliceUser((0,), 9, guided=False, touched=touched).annotate(
            truth, truth, None, {}, np.random.default_rng(0)
        )
        assert len(given[0]) == count


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SliceUser((3,)), r"axes=\[3\]"),
        (lambda: SliceUser((0, 0)), r"axes=\[0, 0\]"),
        (lambda: SliceUser(count=0), "count=0"),
    ],
)
def test_bad_planes_and_counts_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
