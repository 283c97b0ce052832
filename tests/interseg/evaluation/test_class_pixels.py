"""Figures of classes over a whole set against all of its pixels, counted one by one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from interseg.evaluation.class_pixels import ClassPixels

CLASSES, MAX_CLICKS = 4, 3


def game(seed, played):
    """A game over so many clicks, whose answers get better; class 3 is rare."""
    rng = np.random.default_rng(seed)
    shape = (6, 5 + seed)
    truth = rng.choice([0, 1, 2, 3, 255], shape, p=[0.4, 0.3, 0.15, 0.05, 0.1]).astype(np.uint8)
    masks = np.zeros((MAX_CLICKS, *shape), np.uint8)
    answers = [rng.integers(0, 3, shape).astype(np.uint8)]
    for k in range(played):
        masks[k] = np.where((rng.random(shape) < 0.5) & (truth != 255), truth, answers[-1])
        answers.append(masks[k])
    made = SimpleNamespace(
        first_mask=answers[0], masks=masks, ious=[0.5] * played, truth=truth, max_clicks=MAX_CLICKS
    )
    return made, answers


def slow_figures(games):
    figures = {}
    for k in range(MAX_CLICKS + 1):
        pairs = []
        for played, answers in games:
            answer = answers[min(k, len(answers) - 1)]  # the last one stays
            pairs += [
                (t, a)
                for t, a in zip(played.truth.ravel().tolist(), answer.ravel().tolist(), strict=True)
                if t != 255
            ]
        ious = []
        for c in range(CLASSES):
            union = sum(c in pair for pair in pairs)
            if union:
                ious.append(sum(pair == (c, c) for pair in pairs) / union)
        figures[f"pixels@{k}"] = sum(t == a for t, a in pairs) / len(pairs)
        figures[f"class_miou@{k}"] = sum(ious) / len(ious)
    return figures


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_pixels_of_all_images_together(seed):
    games = [game(5 * seed + i, played) for i, played in enumerate((3, 0, 1, 2))]
    contribution = ClassPixels(CLASSES)
    rows = [contribution.outcome(played) for played, _ in games]
    assert all(set(row) == set(contribution.keys) for row in rows)
    assert all(row["confusion"].shape == (MAX_CLICKS + 1, CLASSES, CLASSES) for row in rows)
    assert all(row["confusion"].dtype == torch.int64 for row in rows)
    figures = contribution.figures({"confusion": torch.stack([row["confusion"] for row in rows])})
    assert figures == pytest.approx(slow_figures(games))


def test_a_games_pixels_are_counted_by_true_and_given_class():
    played, answers = game(1, 2)
    confusion = ClassPixels(CLASSES).outcome(played)["confusion"]
    for k, answer in enumerate([*answers, answers[-1]]):
        for true in range(CLASSES):
            for given in range(CLASSES):
                assert (
                    confusion[k, true, given] == ((played.truth == true) & (answer == given)).sum()
                )


def test_a_class_that_neither_truth_nor_answers_have_counts_nothing():
    truth, answer = np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 3]], np.uint8)
    played = SimpleNamespace(
        first_mask=answer, masks=np.zeros((1, 1, 4), np.uint8), ious=[], truth=truth, max_clicks=1
    )
    confusion = ClassPixels(CLASSES).outcome(played)["confusion"]
    figures = ClassPixels(CLASSES).figures({"confusion": confusion[None]})
    assert figures == pytest.approx(
        {f"pixels@{k}": 2 / 3 for k in (0, 1)} | {f"class_miou@{k}": 1 / 2 for k in (0, 1)}
    )


def test_the_report_draws_both_against_the_clicks():
    figures = {"max_clicks": 2, "pixels@0": 0.1, "pixels@1": 0.2, "pixels@2": 0.3}
    figures |= {"class_miou@0": 0.4, "class_miou@1": 0.5, "class_miou@2": 0.6}
    plot = ClassPixels(CLASSES).plot(figures)
    assert list(plot.x) == [0, 1, 2]
    assert plot.lines == {
        "pixels of their class": [0.1, 0.2, 0.3],
        "mean IoU over classes": [0.4, 0.5, 0.6],
    }
    assert ClassPixels(CLASSES).sentence(figures) == ""
