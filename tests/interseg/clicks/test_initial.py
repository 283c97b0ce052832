import numpy as np
from scipy import ndimage

from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import REGION


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
    ring = np.argwhere((ndimage.distance_transform_edt(mask != 1) >= 5) & (ndimage.distance_transform_edt(mask != 1) <= 40) & (mask == 0))
    chosen = clicks._surround(ring, np.random.default_rng(3))
    for n in range(1, len(chosen)):
        distance = np.array([((chosen[:n] - p) ** 2).sum(1).min() for p in ring])
        assert ((chosen[:n] - chosen[n]) ** 2).sum(1).min() == distance.max()
