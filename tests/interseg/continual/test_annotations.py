import numpy as np
import pytest

from interseg.clicks.layout import clicks_of
from interseg.continual.annotations import (
    AnsweredImage,
    StrokeUser,
    draw_clicks,
    draw_scribble,
    longest_chord,
    no_annotation,
)
from interseg.errors import InputError


def test_clicks_and_scribbles_are_annotations():
    found = draw_clicks(clicks_of([(5, 6, 2), (20, 30, 0)]), (40, 50), radius=2)
    assert found[5, 6] == 2
    assert found[5, 8] == 2
    assert found[20, 30] == 0
    assert (found == 255).sum() > 1900
    line = draw_scribble([(5, 5), (5, 40), (30, 40)], 1, (40, 50), width=3)
    assert line[5, 20] == line[20, 40] == 1
    assert line[20, 20] == 255
    with pytest.raises(InputError, match="outside the image of 40 x 50"):
        draw_clicks(clicks_of([(40, 0, 1)]), (40, 50))


def stroke(user, prediction, mask, before=None):
    before = no_annotation(mask.shape) if before is None else before
    nothing = np.zeros(mask.shape)
    return user.annotate(
        AnsweredImage(prediction, mask, nothing, nothing.astype(np.int64), before),
        np.random.default_rng(0),
    )


def random_scene(seed):
    rng = np.random.default_rng(seed)
    mask, prediction = (
        np.kron(rng.integers(0, 3, (6, 8)), np.ones((6, 6), int)).astype(np.uint8) for _ in range(2)
    )
    mask[:2, :5] = 255
    return prediction, mask


def slow_click(prediction, mask, before):
    """The pixel farthest from every pixel that is right, of another class, annotated, void or
    outside; the first of equals.
    """
    height, width = mask.shape
    best = (0.0, None)
    for y in range(height):
        for x in range(width):
            if mask[y, x] == 255 or prediction[y, x] == mask[y, x] or before[y, x] != 255:
                continue
            others = [
                (r, c)
                for r in range(-1, height + 1)
                for c in range(-1, width + 1)
                if not (0 <= r < height and 0 <= c < width)
                or mask[r, c] != mask[y, x]
                or prediction[r, c] == mask[r, c]
                or before[r, c] != 255
            ]
            depth = np.sqrt(np.square(np.array(others) - (y, x)).sum(1)).min()
            if depth > best[0] + 1e-6:
                best = (depth, (y, x))
    return best[1]


@pytest.mark.parametrize("seed", range(2))
def test_clicks_are_the_slow_rule(seed):
    prediction, mask = (part[:18, :20] for part in random_scene(seed))
    before = no_annotation(mask.shape)
    for _ in range(4):
        found, number = stroke(StrokeUser(count=1, radius=0), prediction, mask, before)
        assert number == 1
        assert list(map(tuple, np.argwhere(found != 255))) == [slow_click(prediction, mask, before)]
        before = np.where(found != 255, found, before)


@pytest.mark.parametrize("scribbles", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_strokes_say_the_truth_where_the_prediction_is_wrong_and_nothing_twice(seed, scribbles):
    prediction, mask = random_scene(seed)
    before, user = no_annotation(mask.shape), StrokeUser(count=5, scribbles=scribbles)
    for _ in range(3):
        found, number = stroke(user, prediction, mask, before)
        drawn = found != 255
        assert number == 5
        assert (found[drawn] == mask[drawn]).all()
        assert (prediction[drawn] != mask[drawn]).all()
        assert (before[drawn] == 255).all()
        before = np.where(drawn, found, before)


def test_several_strokes_are_single_ones_in_turn():
    prediction, mask = random_scene(5)
    together, before = stroke(StrokeUser(count=3), prediction, mask)[0], no_annotation(mask.shape)
    for _ in range(3):
        found, _ = stroke(StrokeUser(count=1), prediction, mask, before)
        before = np.where(found != 255, found, before)
    assert np.array_equal(together, before)


def test_a_scribble_runs_along_a_long_region_and_a_click_does_not():
    mask = np.zeros((40, 60), np.uint8)
    mask[15:25, 5:55] = 1
    rows = {}
    for scribbles in (False, True):
        found, _ = stroke(StrokeUser(count=1, scribbles=scribbles), np.zeros_like(mask), mask)
        y, x = np.nonzero(found == 1)
        rows[scribbles] = (np.ptp(y) + 1, np.ptp(x) + 1)
    assert rows[False] == (7, 7)
    assert rows[True][0] < 8
    assert rows[True][1] > 40


def test_a_scribble_does_not_reach_over_another_class():
    mask = np.array([[1] * 4 + [2] * 4 + [1] * 6], np.uint8)
    found, _ = stroke(StrokeUser(count=1, scribbles=True), np.zeros_like(mask), mask)
    drawn = np.flatnonzero(found[0] != 255)
    assert np.ptp(drawn) + 1 == len(drawn)


def test_a_satisfied_user_and_an_all_void_truth_give_nothing():
    prediction, mask = random_scene(0)
    assert stroke(StrokeUser(), mask % 255, mask)[1] == 0
    assert stroke(StrokeUser(), prediction, np.full_like(mask, 255))[1] == 0


def test_small_errors_get_fewer_strokes():
    mask = np.zeros((20, 20), np.uint8)
    mask[3, 4] = mask[10:12, 10] = 1
    found, number = stroke(StrokeUser(), np.zeros_like(mask), mask)
    assert number == 3
    assert np.array_equal(found == 1, mask == 1)


def test_the_longest_chord_stays_inside():
    region = np.zeros((30, 30), bool)
    region[5, 2:12] = region[5:25, 8] = True
    assert sorted(longest_chord(region, 5, 8)) == [(5, 8), (24, 8)]
    assert sorted(longest_chord(region, 5, 4)) == [(5, 2), (5, 11)]
