"""Rules that every user keeps: an end at a perfect mask, no pixel twice, a batch as its objects."""

import numpy as np
import pytest

from interseg.clicks.layout import Click, clicks_of, no_clicks
from interseg.clicks.users import (
    BrsUser,
    ClusterUser,
    DeepUser,
    ItisUser,
    RandomUser,
    RitmUser,
    User,
)
from tests.helpers.scenes import random_classes, random_masks, wrong_where

USERS = [RitmUser(), DeepUser(), BrsUser(), ItisUser(), ClusterUser(), RandomUser()]


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
def test_every_user_stops_at_a_perfect_mask_and_never_repeats_a_pixel(user):
    rng = np.random.default_rng(1)
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4, 2:4] = 1
    mask[0, 0] = 255
    assert user.next_click(mask == 1, mask, no_clicks(), rng) is None
    clicks, prediction = no_clicks(), np.zeros((6, 6), bool)
    while (click := user.next_click(prediction, mask, clicks, rng)) is not None:
        assert click[:2] not in {tuple(c[:2]) for c in clicks.tolist()}
        assert isinstance(click, Click)
        clicks = np.concatenate([clicks, clicks_of([click])])
    assert len(clicks) == 4


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
@pytest.mark.parametrize("scene", [random_masks, random_classes])
def test_batched_clicks_equal_single_ones(user: User, scene):
    games = [scene(seed, 30, 40, 3.0) for seed in range(6)]
    single = [user.next_click(*game, np.random.default_rng(i)) for i, game in enumerate(games)]
    batched = user.next_clicks(
        *zip(*games, strict=True), [np.random.default_rng(i) for i in range(6)]
    )
    assert batched == single


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
def test_every_user_stops_at_perfect_classes_and_never_repeats_a_pixel(user):
    rng = np.random.default_rng(1)
    prediction, mask, _ = random_classes(3, 8, 9, 1.0)
    assert (
        user.next_click(np.where(mask == 255, 2, mask).astype(np.uint8), mask, no_clicks(), rng)
        is None
    )
    clicks = no_clicks()
    while (click := user.next_click(prediction, mask, clicks, rng)) is not None:
        assert isinstance(click, Click)
        assert click[2:] == (mask[click[:2]], 0)
        clicks = np.concatenate([clicks, clicks_of([click])])
    assert (
        len({tuple(c[:2]) for c in clicks.tolist()})
        == len(clicks)
        == wrong_where(prediction, mask).sum()
        > 10
    )


@pytest.mark.parametrize("user", USERS, ids=lambda u: type(u).__name__)
def test_two_classes_are_clicked_as_an_object_against_background(user):
    for seed in range(20):
        prediction, mask, clicks = random_masks(seed, 20, 25, 2.0)
        as_object = user.next_click(prediction, mask, clicks, np.random.default_rng(seed))
        assert (
            user.next_click(prediction.astype(np.uint8), mask, clicks, np.random.default_rng(seed))
            == as_object
        )
