import cv2
import numpy as np
import pytest
from scipy import ndimage

from interseg.clicks.initial import InitialClicks, RitmInitialClicks
from interseg.clicks.layout import REGION
from interseg.errors import InputError


def scene():
    mask, others = np.zeros((120, 160), np.uint8), np.zeros((120, 160), np.uint8)
    mask[30:80, 30:90] = 1
    others[10:25, 100:140] = 1
    others[90:110, 20:60] = 2
    mask[0:5] = 255
    return mask, others


def test_initial_clicks_keep_their_distances_and_never_lie():
    mask, others = scene()
    inside = ndimage.distance_transform_edt(mask == 1)
    kinds = set()
    for seed in range(300):
        clicks = InitialClicks()(mask, others, np.random.default_rng(seed))
        positive, negative = (clicks[clicks[:, 2] == label] for label in (1, 0))
        assert 1 <= len(positive) <= 5
        assert (mask[clicks[:, 0], clicks[:, 1]] == clicks[:, 2]).all()
        assert (clicks[:, 3] == REGION).all()
        if len(clicks) > 1:
            assert (inside[positive[:, 0], positive[:, 1]] > 5).all()
        gaps = [np.hypot(*(a[:2] - b[:2])) for i, a in enumerate(positive) for b in positive[:i]]
        assert min(gaps, default=20) >= 20
        outside = ndimage.distance_transform_edt(mask != 1)[negative[:, 0], negative[:, 1]]
        on_others = others[negative[:, 0], negative[:, 1]] > 0
        if len(negative):
            kinds.add("others" if on_others.all() else "ring")
            assert on_others.all() or ((outside >= 5) & (outside <= 40)).all()
        else:
            kinds.add("none")
    assert kinds == {"others", "ring", "none"}


def test_initial_clicks_are_a_single_centre_with_the_given_probability():
    mask, others = scene()
    centre = [
        len(clicks) == 1 and abs(clicks[0, 0] - 54.5) <= 1
        for clicks in (InitialClicks()(mask, others, np.random.default_rng(s)) for s in range(600))
    ]
    assert 0.25 < np.mean(centre) < 0.36


def test_tiny_objects_get_a_click_and_absent_ones_no_positive():
    mask = np.zeros((50, 50), np.uint8)
    none = np.zeros_like(mask)
    for seed in range(20):
        assert not (InitialClicks()(mask, none, np.random.default_rng(seed))[:, 2] == 1).any()
    mask[20:22, 20:22] = 1
    for seed in range(20):
        assert (InitialClicks()(mask, none, np.random.default_rng(seed))[:, 2] == 1).sum() == 1


def test_surrounding_negatives_are_farthest_points():
    mask, _ = scene()
    clicks = InitialClicks(centre_probability=0)
    ring = np.argwhere(
        (ndimage.distance_transform_edt(mask != 1) >= 5)
        & (ndimage.distance_transform_edt(mask != 1) <= 40)
        & (mask == 0)
    )
    chosen = clicks._surround(ring, np.random.default_rng(3))
    for n in range(1, len(chosen)):
        distance = np.array([((chosen[:n] - p) ** 2).sum(1).min() for p in ring])
        assert ((chosen[:n] - chosen[n]) ** 2).sum(1).min() == distance.max()


def ritm_sets(count, **options):
    mask, others = scene()
    draw = RitmInitialClicks(**options)
    return mask, others, [draw(mask, others, np.random.default_rng(seed)) for seed in range(count)]


def test_ritms_clicks_never_lie_and_never_fall_twice():
    mask, _, sets = ritm_sets(300)
    for clicks in sets:
        assert (mask[clicks[:, 0], clicks[:, 1]] == clicks[:, 2]).all()
        assert (clicks[:, 3] == REGION).all()
        assert (clicks[:, 2] == 1).any()
        assert (
            len({(y, x, label) for y, x, label, _ in clicks.tolist() if label})
            == (clicks[:, 2] == 1).sum()
        )


def test_ritms_numbers_of_clicks_decay():
    _, _, sets = ritm_sets(1500, most=6, decay=0.7)
    for label, first, total in ((1, 1, 6), (0, 0, 7)):
        counts = np.bincount([(clicks[:, 2] == label).sum() for clicks in sets], minlength=7)
        expected = np.zeros(7)
        expected[first : first + total] = 0.7 ** np.arange(total)
        shares = expected / expected.sum()
        assert np.abs(counts / 1500 - shares).max() < 4 * np.sqrt(0.25 / 1500)


def test_ritms_negative_clicks_are_in_regions_of_their_probability():
    mask, others, _ = ritm_sets(0)
    border = (
        cv2.dilate((mask == 1).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=6) > 0
    )  # a tenth of the root of 3000
    border &= mask == 0
    for regions, where in (((0, 1, 0), others > 0), ((0, 0, 1), border), ((1, 0, 0), mask == 0)):
        clicks = np.concatenate(ritm_sets(200, regions=regions)[2])
        negative = clicks[clicks[:, 2] == 0]
        assert where[negative[:, 0], negative[:, 1]].all()
        assert len(negative) > 300
    clicks = np.concatenate(ritm_sets(1000)[2])
    negative = clicks[clicks[:, 2] == 0]
    on_others, on_border = (
        others[negative[:, 0], negative[:, 1]] > 0,
        border[negative[:, 0], negative[:, 1]],
    )
    free = (mask == 0).sum()
    assert abs(on_others.mean() - (0.4 + 0.1 * (others > 0).sum() / free)) < 0.03
    assert abs(on_border.mean() - (0.5 + 0.1 * border.sum() / free)) < 0.03
    alone = RitmInitialClicks(regions=(0, 1, 0))(
        mask, np.zeros_like(others), np.random.default_rng(0)
    )
    assert (mask[alone[:, 0], alone[:, 1]] == alone[:, 2]).all()


def test_ritms_positive_clicks_keep_off_the_boundary_where_it_erodes():
    mask, _, eroded = ritm_sets(300, erode_probability=1.0)
    depth = ndimage.distance_transform_cdt(np.pad(mask == 1, 1), "chessboard")[1:-1, 1:-1]
    assert min(depth[y, x] for clicks in eroded for y, x, label, _ in clicks.tolist() if label) == 4
    whole = ritm_sets(300, erode_probability=0.0)[2]
    assert min(depth[y, x] for clicks in whole for y, x, label, _ in clicks.tolist() if label) == 1
    tiny, none = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    assert not (RitmInitialClicks()(tiny, none, np.random.default_rng(0))[:, 2] == 1).any()
    tiny[10:13, 10:13] = 1  # of which an erosion would leave nothing
    for seed in range(20):
        clicks = RitmInitialClicks()(tiny, none, np.random.default_rng(seed))
        assert 1 <= (clicks[:, 2] == 1).sum() <= 9


@pytest.mark.parametrize(("inner", "depth"), [((2, 5), 1), ((2, 6), 4)])
def test_ritm_erodes_where_more_than_ten_pixels_are_left(inner, depth):
    mask, none = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    mask[10 : 16 + inner[0], 10 : 16 + inner[1]] = 1
    draw = RitmInitialClicks(erode_probability=1.0)
    drawn = [draw(mask, none, np.random.default_rng(seed)) for seed in range(40)]
    depths = ndimage.distance_transform_cdt(mask, "chessboard")
    positives = [row for clicks in drawn for row in clicks.tolist() if row[2] == 1]
    assert min(depths[y, x] for y, x, *_ in positives) == depth


def test_what_ritms_clicks_cannot_be_drawn_from_is_refused():
    with pytest.raises(InputError, match=r"regions is \[0.5, 0.4, 0.5\]"):
        RitmInitialClicks(regions=(0.5, 0.4, 0.5))
    with pytest.raises(InputError, match="most=0"):
        RitmInitialClicks(most=0)
