import albumentations
import numpy as np
import pytest
import torch

from datamodules.click_batches import identity_map
from interseg.clicks.layout import (
    BOUNDARY,
    KINDS,
    REGION,
    Click,
    check_clicks,
    clicks_of,
    format_click,
    no_clicks,
    pad_clicks,
    parse_click,
    to_source,
    to_view,
    unpad_clicks,
)
from interseg.errors import InputError


def coordinates(*transforms, height=90, width=120, seed=0):
    pipeline = albumentations.Compose(list(transforms), additional_targets={"to_source": "mask"})
    pipeline.set_random_seed(seed)
    view = pipeline(
        image=np.zeros((height, width, 3), np.uint8), to_source=identity_map((height, width))
    )
    return np.rint(view["to_source"]).astype(np.int16) - 1


def test_padding_and_its_inverse():
    clicks = [no_clicks(), clicks_of([(1, 2, 0), (3, 4, 1, BOUNDARY)])]
    padded = pad_clicks(clicks)
    assert padded.tolist() == [[[-1] * 4] * 2, [[1, 2, 0, REGION], [3, 4, 1, BOUNDARY]]]
    assert [c.tolist() for c in unpad_clicks(padded)] == [
        [],
        [[1, 2, 0, REGION], [3, 4, 1, BOUNDARY]],
    ]
    assert [c.shape for c in unpad_clicks(padded)] == [(0, 4), (2, 4)]
    assert pad_clicks([no_clicks()]).shape == (1, 1, 4)


def test_rows_of_three_numbers_are_clicks_on_regions():
    clicks = clicks_of([(1, 2, 0), [3, 4, 5, BOUNDARY], Click(6, 7), Click(8, 9, 1, BOUNDARY)])
    assert clicks.tolist() == [
        [1, 2, 0, REGION],
        [3, 4, 5, BOUNDARY],
        [6, 7, 1, REGION],
        [8, 9, 1, BOUNDARY],
    ]
    assert clicks.dtype == np.int64
    assert clicks_of([]).shape == no_clicks().shape == (0, 4)
    assert clicks_of([]).dtype == no_clicks().dtype == np.int64


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
    clicks = rng.integers(0, (60, 60, 2, 2), (20, 4))
    clicks = clicks[view[clicks[:, 0], clicks[:, 1], 0] >= 0]
    again = to_view(to_source(clicks, view), view)
    assert len(again) == len(clicks)
    moved = np.abs(view[again[:, 0], again[:, 1]].astype(int) - view[clicks[:, 0], clicks[:, 1]])
    assert moved.max(initial=0) == 0  # an enlarged view shows a source pixel more than once
    assert (again[:, 2:] == clicks[:, 2:]).all()


def test_every_source_pixel_of_a_reduced_view_is_shown_and_none_beyond_a_crop():
    view = coordinates(albumentations.Resize(30, 40))
    every = clicks_of((y, x, 1) for y in range(90) for x in range(120))
    assert len(to_view(every, view)) == len(every)
    crop = coordinates(albumentations.Crop(10, 20, 50, 60))
    shown = to_view(every, crop)
    assert len(shown) == 40 * 40
    assert to_source(shown, crop)[:, 0].min() == 20


def test_a_click_on_padding_has_no_source():
    view = coordinates(albumentations.PadIfNeeded(200, 200, position="top_left"))
    assert to_source(clicks_of([(5, 6, 1, BOUNDARY), (150, 6, 1)]), view).tolist() == [
        [5, 6, 1, BOUNDARY]
    ]


def test_clicks_outside_the_image_or_with_a_strange_label_are_named():
    check_clicks(clicks_of([(0, 0, 0), (9, 19, 1)]), 10, 20)
    check_clicks(no_clicks(), 10, 20)
    with pytest.raises(InputError, match=r"click \(y=10, x=3\) lies outside the image of 10 x 20"):
        check_clicks(clicks_of([(10, 3, 1)]), 10, 20)
    with pytest.raises(
        InputError, match=r"click \(y=1, x=3\) has label 3; use 1 for object, 0 for background"
    ):
        check_clicks(clicks_of([(1, 3, 1), (1, 3, 3)]), 10, 20)


def test_a_click_of_a_class_that_is_not_known_is_named():
    check_clicks(clicks_of([(1, 3, 0), (1, 3, 3)]), 10, 20, classes=4)
    for label in (-2, 4):
        with pytest.raises(
            InputError, match=rf"click \(y=1, x=3\) has label {label}; use a class from 0 to 3"
        ):
            check_clicks(clicks_of([(1, 3, label)]), 10, 20, classes=4)


def test_a_click_of_a_kind_that_is_not_known_is_named():
    check_clicks(clicks_of([(1, 3, 0), (1, 3, 1, BOUNDARY)]), 10, 20, kinds=(REGION, BOUNDARY))
    with pytest.raises(
        InputError, match=r"click \(y=1, x=3\) is of kind boundary; this method knows region"
    ):
        check_clicks(clicks_of([(0, 0, 1), (1, 3, 1, BOUNDARY)]), 10, 20)
    with pytest.raises(
        InputError, match=r"click \(y=1, x=3\) is of kind 2; this method knows region or boundary"
    ):
        check_clicks(clicks_of([(1, 3, 1, 2)]), 10, 20, kinds=(REGION, BOUNDARY))


@pytest.mark.parametrize(
    ("click", "text"),
    [
        (Click(3, 40), "3:40:1"),
        (Click(0, 0, 0), "0:0:0"),
        (Click(1234, 56, 7), "1234:56:7"),
        (Click(3, 40, 1, BOUNDARY), "3:40:1:boundary"),
    ],
)
def test_a_written_click_is_read_back(click, text):
    assert format_click(click) == format_click(list(click)) == text
    assert parse_click(text) == click
    assert isinstance(parse_click(text), Click)


def test_every_kind_of_click_is_read_back():
    for kind in range(len(KINDS)):
        assert parse_click(format_click(Click(1, 2, 3, kind))) == Click(1, 2, 3, kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:4",
        "3:4:",
        "3:4:x",
        "a:4:1",
        "3:4:1:",
        "3:4:1:2",
        "3:4:1:edge",
        "3:4:1:boundary:",
        "3:4:1.0",
    ],
)
def test_what_is_no_click_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - of int, index or unpacking
        parse_click(text)


def test_padded_clicks_are_int64():
    assert pad_clicks([no_clicks()]).dtype == torch.int64
