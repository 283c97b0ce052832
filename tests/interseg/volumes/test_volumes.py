import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from interseg.errors import InputError
from interseg.volumes.measures import dice, distance_to_slices, falling_confidence, labour, residual, step_confidence, touched_slices
from interseg.volumes.proxy import ProxyMask
from interseg.volumes.registration import BACKENDS, affine, affine_spline, backend_of, copy, dis_flow
from interseg.volumes.slices import index
from interseg.volumes.users import SliceUser, guided_slices


def volume(seed=0, shape=(16, 28, 30)):
    """A bright blob that shifts and swells from slice to slice over textured ground, and its mask."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    centre = (shape[1] / 2 + 0.25 * (z - shape[0] / 2), shape[2] / 2 - 0.3 * (z - shape[0] / 2))
    radius = 7 - 0.4 * np.abs(z - shape[0] / 2)
    mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    mask &= (z > 1) & (z < shape[0] - 2)
    return gaussian_filter(mask * 2.0 + 0.3 * rng.normal(size=shape), 0.8), mask


def slices(mask, axis, numbers):
    return {n: mask[index(axis, n)] for n in numbers}


def slow_proxy(image, mask, axis, numbers, carry):
    """Algorithm 2, line by line."""
    proxy = np.zeros(image.shape, bool)
    for j in range(image.shape[axis]):
        if j in numbers:
            proxy[index(axis, j)] = mask[index(axis, j)]
        else:
            k = min(sorted(numbers), key=lambda n: abs(j - n))
            fixed, moving = (np.ascontiguousarray(image[index(axis, i)], np.float32) for i in (j, k))
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
    assert not proxy.merged().any()
    proxy.label(0, slices(mask, 0, [8]))
    proxy.label(1, slices(mask, 1, [14]))
    both, either = proxy.planes[0] & proxy.planes[1], proxy.planes[0] | proxy.planes[1]
    drawn = np.zeros(mask.shape, bool)
    drawn[8] = drawn[:, 14] = True
    assert np.array_equal(proxy.merged()[~drawn], both[~drawn])
    assert np.array_equal(proxy.merged(inclusive=True)[~drawn], either[~drawn])
    assert np.array_equal(proxy.merged()[drawn], mask[drawn])
    assert proxy.labelled == {0: [8], 1: [14]}


def test_more_slices_make_a_better_proxy_and_flow_beats_the_copy():
    image, mask = volume()
    scores = {}
    for name in ("copy", "dis"):
        proxy = ProxyMask(image, BACKENDS[name])
        scores[name] = []
        for numbers in ([8], [3], [12]):
            for axis in (0, 1):
                proxy.label(axis, slices(mask, axis, [n if axis == 0 else n + 6 for n in numbers]))
            scores[name].append(dice(proxy.merged(), mask))
    for values in scores.values():
        assert values[0] < values[2]
    assert scores["dis"][0] > scores["copy"][0]


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_finds_a_shift_or_is_the_control(name):
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.normal(size=(48, 52)), 2).astype(np.float32)
    image /= image.std()
    mask = np.zeros(image.shape, bool)
    mask[16:32, 18:34] = True
    image[mask] += 2
    moving, moving_mask = np.roll(image, (2, -3), (0, 1)), np.roll(mask, (2, -3), (0, 1))
    found = dice(BACKENDS[name](image, moving, moving_mask), mask)
    control = dice(moving_mask, mask)
    assert found == control if name == "copy" else found > control + 0.05


def test_the_spline_takes_up_what_the_affine_map_leaves_and_comes_first_on_the_way_to_the_moving_slice():
    rng = np.random.default_rng(2)
    image = gaussian_filter(rng.normal(size=(80, 84)), 2).astype(np.float32)
    image /= image.std()
    y, x = np.indices(image.shape, dtype=float)
    mask = np.hypot(y - 40, x - 42) < 18
    image[mask] += 2
    bend = 7 * np.exp(-((y - 40) ** 2 + (x - 20) ** 2) / 200)
    places = [0.75 * (y - 40) + 33 + bend, 0.75 * (x - 42) + 51 - bend]
    moving = map_coordinates(image, places, order=1, mode="nearest").astype(np.float32)
    moving_mask = map_coordinates(mask.astype(float), places, order=1) > 0.5
    found = {carry: dice(carry(image, moving, moving_mask), mask) for carry in (copy, affine, affine_spline)}
    assert found[affine_spline] > found[affine] + 0.01  # in the other order, or without it, there is no gain
    assert found[affine] > found[copy] + 0.3


@pytest.mark.parametrize("carry", [dis_flow, affine, affine_spline])
def test_slices_without_any_structure_and_tiny_ones_are_carried_too(carry):
    for shape in ((20, 24), (3, 5), (2, 2730), (2, 5000), (2, 32768)):
        mask = np.zeros(shape, bool)
        mask[1:3, 1:4] = True
        flat = np.zeros(shape, np.float32)
        assert np.array_equal(carry(flat, flat, mask), mask)
    mask = np.ones((12, 40), bool)
    assert np.array_equal(dis_flow(mask * np.float32(1), mask * np.float32(1), mask, least=1), mask)
    with pytest.raises(InputError, match="registration is 'ants'; use one of dis"):
        backend_of("ants")


def test_distances_and_confidences_are_the_equations():
    shape, labelled = (5, 6, 7), {0: [1], 2: [0, 5]}
    distance = distance_to_slices(shape, labelled)
    for z, y, x in np.ndindex(shape):
        assert distance[z, y, x] == min(abs(z - 1), abs(x - 0), abs(x - 5)), y
    assert np.array_equal(step_confidence(shape, labelled, 4), np.where(distance == 0, 5, 1))
    assert np.allclose(falling_confidence(shape, labelled, 5), np.exp(-distance / 5))
    assert (step_confidence(shape, {}) == 1).all()
    assert (falling_confidence(shape, {}) == 0).all()


def test_the_residual_is_the_equation_and_guides_to_where_it_is_large():
    rng = np.random.default_rng(0)
    proxy, probabilities, labelled = rng.random((6, 7, 8)) > 0.5, rng.random((6, 7, 8)), {0: [2], 1: [3]}
    distance = distance_to_slices(proxy.shape, labelled)
    expected = 0.7 * np.abs(proxy - probabilities) + 0.3 * distance / distance.max()
    assert np.allclose(residual(proxy, probabilities, labelled), expected)
    r = np.zeros((6, 7, 8))
    r[4], r[1], r[2] = 3.0, 1.0, 99.0
    counts = np.zeros(6)
    for seed in range(600):
        for number in guided_slices(r, [2], 0, 1, np.random.default_rng(seed)):
            counts[number] += 1
    assert counts[2] == counts[0] == counts[3] == 0
    assert counts[4] / counts[1] == pytest.approx(3, rel=0.25)
    assert guided_slices(r, [2], 0, 9, np.random.default_rng(0)) == [1, 4]
    assert guided_slices(r, [1, 2, 4], 0, 1, np.random.default_rng(0)) == []


def test_labour_is_the_share_of_the_targets_slices():
    _, mask = volume()
    assert touched_slices(mask) == (12, *(int(mask.any(other).sum()) for other in ((0, 2), (0, 1))))
    parts = np.zeros((9, 4, 4), bool)
    parts[[1, 2, 7], 1:3] = True
    assert touched_slices(parts) == (3, 2, 4)
    everything = SliceUser((0, 1), 9, guided=False).annotate(parts, parts, None, {}, np.random.default_rng(0))
    assert labour({axis: list(masks) for axis, masks in everything.items()}, touched_slices(parts)) == 2  # all of it, along two axes
    assert labour({0: range(6), 1: range(6)}, (23, 43, 50)) == pytest.approx(6 / 23 + 6 / 43)
    assert round(100 * labour({0: range(6), 1: range(6)}, (23, 43, 50))) == 40
    with pytest.raises(InputError, match="the target is empty"):
        touched_slices(np.zeros((2, 3, 4), bool))
    assert dice(mask, mask) == dice(~mask & mask, ~mask & mask) == 1


def test_the_user_draws_new_slices_of_the_target_along_each_plane():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    user = SliceUser((0, 2), 2, guided=False)
    seen = []
    for round in range(12):
        given = user.annotate(proxy.merged(), mask, None, proxy.labelled, np.random.default_rng(round))
        for axis, labels in given.items():
            for number, drawn in labels.items():
                assert np.array_equal(drawn, mask[index(axis, number)])
                assert drawn.any()
                assert (axis, number) not in seen
                seen.append((axis, number))
            proxy.label(axis, labels)
    assert len([s for s in seen if s[0] == 0]) == touched_slices(mask)[0]  # all of them, and no more
    assert given[0] == {}


def test_the_user_follows_the_guidance():
    image, mask = volume()
    proxy = ProxyMask(image, copy)
    probabilities = np.zeros(mask.shape)
    probabilities[11] = 1.0
    chosen = [
        next(iter(SliceUser((0,), 1).annotate(proxy.merged(), mask, probabilities, {0: [2]}, np.random.default_rng(seed))[0]))
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
        rounds = (user.annotate(proxy, proxy, probabilities, {0: [0]}, np.random.default_rng(seed)) for seed in range(40))
        chosen[weight] = [next(iter(labels[0])) for labels in rounds]
    assert {*chosen[1.0]} == {3}
    assert chosen[0.0].count(3) < 12
    assert chosen[0.0].count(8) > chosen[0.0].count(1)


def test_slices_that_the_target_does_not_touch_are_labelled_on_demand_only():
    truth = np.zeros((9, 4, 4), bool)
    truth[5, 1:3, 1:3] = True
    for touched, count in ((True, 1), (False, 9)):
        given = SliceUser((0,), 9, guided=False, touched=touched).annotate(truth, truth, None, {}, np.random.default_rng(0))
        assert len(given[0]) == count


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProxyMask(np.full((2, 3, 4), np.nan)), "finite values"),
        (lambda: ProxyMask(np.zeros((3, 4))), r"got \(3, 4\)"),
        (lambda: ProxyMask(np.zeros((2, 3, 4)), copy).label(0, {2: np.zeros((3, 4), bool)}), "slice 2 .* along axis 0: there are 2"),
        (lambda: ProxyMask(np.zeros((2, 3, 4)), copy).label(1, {0: np.zeros((3, 4), bool)}), r"there are 3 of \(2, 4\)"),
        (lambda: SliceUser((3,)), r"axes=\[3\]"),
        (lambda: SliceUser((0, 0)), r"axes=\[0, 0\]"),
        (lambda: SliceUser(count=0), "count=0"),
    ],
)
def test_bad_volumes_and_slices_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
