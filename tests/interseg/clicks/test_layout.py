import albumentations
import numpy as np
import pytest
import torch
from scipy import ndimage

from datamodules.base import identity_map
from interseg.clicks.initial import InitialClicks
from interseg.clicks.layout import check_clicks, no_clicks, pad_clicks, to_source, to_view, unpad_clicks
from interseg.errors import InputError


def coordinates(*transforms, height=90, width=120, seed=0):
    pipeline = albumentations.Compose(list(transforms), additional_targets={"to_source": "mask"})
    pipeline.set_random_seed(seed)
    view = pipeline(image=np.zeros((height, width, 3), np.uint8), to_source=identity_map((height, width)))
    return np.rint(view["to_source"]).astype(np.int16) - 1


def test_padding_and_its_inverse():
    clicks = [no_clicks(), np.array([[1, 2, 0], [3, 4, 1]])]
    padded = pad_clicks(clicks)
    assert padded.tolist() == [[[-1] * 3] * 2, [[1, 2, 0], [3, 4, 1]]]
    assert [c.tolist() for c in unpad_clicks(padded)] == [[], [[1, 2, 0], [3, 4, 1]]]
    assert pad_clicks([no_clicks()]).shape == (1, 1, 3)


@pytest.mark.parametrize("seed", range(8))
def test_a_click_survives_flip_crop_scale_and_rotation_back_and_forth(seed):
    view = coordinates(
        albumentations.HorizontalFlip(p=0.5),
        albumentations.RandomScale((-0.5, 0.5), p=1),
        albumentations.Rotate(20, p=0.5),
        albumentations.PadIfNeeded(70, 70),
        albumentations.RandomCrop(60, 60),
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    clicks = np.column_stack([rng.integers(0, 60, (20, 2)), rng.integers(0, 2, 20)])
    clicks = clicks[view[clicks[:, 0], clicks[:, 1], 0] >= 0]
    again = to_view(to_source(clicks, view), view)
    assert len(again) == len(clicks)
    moved = np.abs(view[again[:, 0], again[:, 1]].astype(int) - view[clicks[:, 0], clicks[:, 1]])
    assert moved.max(initial=0) == 0  # an enlarged view shows a source pixel more than once: the same source, not the same view pixel
    assert (again[:, 2] == clicks[:, 2]).all()


def test_every_source_pixel_of_a_reduced_view_is_shown_and_none_beyond_a_crop():
    view = coordinates(albumentations.Resize(30, 40))
    every = np.array([(y, x, 1) for y in range(90) for x in range(120)])
    assert len(to_view(every, view)) == len(every)
    crop = coordinates(albumentations.Crop(10, 20, 50, 60))
    shown = to_view(every, crop)
    assert len(shown) == 40 * 40
    assert to_source(shown, crop)[:, 0].min() == 20


def test_a_click_on_padding_has_no_source():
    view = coordinates(albumentations.PadIfNeeded(200, 200, position="top_left"))
    assert to_source(np.array([[5, 6, 1], [150, 6, 1]]), view).tolist() == [[5, 6, 1]]


def test_clicks_outside_the_image_or_with_a_strange_label_are_named():
    check_clicks(np.array([[0, 0, 0], [9, 19, 1]]), 10, 20)
    with pytest.raises(InputError, match=r"click \(y=10, x=3\) lies outside the image of 10 x 20"):
        check_clicks(np.array([[10, 3, 1]]), 10, 20)
    with pytest.raises(InputError, match="label 3"):
        check_clicks(np.array([[1, 3, 3]]), 10, 20)


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


def test_padded_clicks_are_int64():
    assert pad_clicks([no_clicks()]).dtype == torch.int64
