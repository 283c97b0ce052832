import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from interseg.continual.annotations import AnsweredImage, no_annotation
from interseg.continual.superpixels import ORDERS, SuperpixelUser, choose_segments, superpixels
from interseg.continual.uncertainty import uncertainty
from interseg.errors import InputError


def grid(height=60, width=90, side=10):
    """Square superpixels, numbered row by row."""
    y, x = np.indices((height, width)) // side
    return (y * (width // side) + x).astype(np.int64)


def answered():
    """A truth of two halves, predicted as one; uncertainty falls from left to right."""
    mask = np.zeros((60, 90), np.uint8)
    mask[:, 45:] = 1
    prediction = np.zeros((60, 90), np.uint8)
    uncertainty = np.broadcast_to(np.linspace(1, 0, 90), (60, 90))
    return prediction, mask, uncertainty


def annotate(user, prediction, mask, unsure, before=None, seed=0, epistemic=None):
    before = no_annotation(mask.shape) if before is None else before
    answered = AnsweredImage(prediction, mask, unsure, grid(), before, epistemic)
    found, number = user.annotate(answered, np.random.default_rng(seed))
    assert number == len(np.unique(grid()[found != 255]))
    return found


def slow_worth(user, answered, centre, pixels):
    """Rank a superpixel by the rule, pixel by pixel; a larger value is annotated earlier."""
    maps = {
        "mutual_information": answered.epistemic,
        "epistemic_mass": answered.epistemic,
        "error_size": np.ones(answered.mask.shape),
    }
    values = maps.get(user.order, answered.uncertainty)
    if user.order in ("entropy", "mutual_information"):
        return np.mean([values[y, x] for y, x in pixels])
    total, reach = 0.0, round(user.apart)
    for y in range(round(centre[0]) - reach, round(centre[0]) + reach + 1):
        for x in range(round(centre[1]) - reach, round(centre[1]) + reach + 1):
            inside = 0 <= y < answered.mask.shape[0] and 0 <= x < answered.mask.shape[1]
            if (
                inside
                and answered.mask[y, x] != 255
                and answered.prediction[y, x] != answered.mask[y, x]
            ):
                total += values[y, x]
    return total


def slow_neighbours(segments, s):
    """Superpixels that touch one."""
    found = set()
    for y, x in np.argwhere(segments == s):
        for other in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if 0 <= other[0] < segments.shape[0] and 0 <= other[1] < segments.shape[1]:
                found.add(int(segments[other]))
    return found - {s}


def slow(user, answered):
    """The rule, superpixel by superpixel."""
    prediction, mask, unsure, segments, before, _ = answered
    labels, known = {}, {}
    for s in np.unique(segments):
        pixels = np.argwhere(segments == s)
        valid = [(y, x) for y, x in pixels if mask[y, x] != 255]
        votes = [mask[y, x] for y, x in valid]
        label = max(sorted(set(votes)), key=votes.count, default=255)
        labels[s] = label if votes and votes.count(label) >= user.purity * len(valid) else 255
        wrong = sum(prediction[y, x] != mask[y, x] for y, x in valid)
        known[s] = (pixels, valid, wrong / max(1, len(valid)))
    rows = []
    for s, (pixels, valid, share) in known.items():
        if labels[s] == 255 or any(before[y, x] != 255 for y, x in pixels):
            continue
        centre = pixels.mean(0)
        if user.order == "official":
            if any(labels[other] != labels[s] for other in slow_neighbours(segments, s)):
                continue
            key = (0, -share) if share >= 0.75 else (1, -np.mean([unsure[y, x] for y, x in pixels]))
        elif share < 0.5:
            continue
        else:
            key = (0, -slow_worth(user, answered, centre, pixels))
        rows.append(((key[0], round(key[1], 9)), s, centre, valid))
    chosen, found = [], np.full(mask.shape, 255, np.uint8)
    for _, s, centre, valid in sorted(rows, key=lambda r: r[:2]):
        if len(chosen) < user.count and all(
            np.linalg.norm(centre - c) >= user.apart for c in chosen
        ):
            chosen.append(centre)
            for y, x in valid:
                found[y, x] = labels[s]
    return found


@pytest.mark.parametrize("order", [order for order in ORDERS if order != "random"])
@pytest.mark.parametrize("seed", range(3))
def test_annotations_are_the_slow_rules(seed, order):
    rng = np.random.default_rng(seed)
    blocks = np.kron(
        rng.integers(0, 2, (2, 3)), np.ones((3, 3), int)
    )  # so that some superpixels lie inside their class
    mask = np.kron(blocks, np.ones((10, 10), int)).astype(np.uint8)
    noisy = rng.random(mask.shape) < 0.12
    mask[noisy] = rng.integers(0, 3, noisy.sum())
    mask[rng.random(mask.shape) < 0.05] = 255
    share = np.kron(rng.random((6, 9)), np.ones((10, 10)))
    prediction = np.where(
        rng.random(mask.shape) < share, mask, rng.integers(0, 3, mask.shape)
    ).astype(np.uint8)
    before = no_annotation(mask.shape)
    before[:10, :30] = 1
    unsure = np.kron(rng.random((6, 9)), np.ones((10, 10))) + rng.random(mask.shape) / 10
    answered = AnsweredImage(prediction, mask, unsure, grid(), before, rng.random(mask.shape))
    user = SuperpixelUser(count=5, apart=15, purity=0.8, order=order)
    found, number = user.annotate(answered, rng)
    assert number > 2
    assert np.array_equal(found, slow(user, answered))


def test_the_paper_annotates_what_is_uncertain_and_error_mass_what_is_wrong_and_large():
    mask, prediction = np.zeros((60, 90), np.uint8), np.zeros((60, 90), np.uint8)
    prediction[10:50, 10:50] = (
        1  # a large error that the network is sure of, and a small one that it is not
    )
    prediction[30:40, 70:80] = 1
    unsure = np.where(np.arange(90) < 60, 0.1, 0.5) * np.ones((60, 1))
    first = {
        order: grid()[annotate(SuperpixelUser(1, 25, order=order), prediction, mask, unsure) == 0]
        for order in ("entropy", "error_mass")
    }
    assert set(first["entropy"]) == {3 * 9 + 7}
    assert set(first["error_mass"]) <= {2 * 9 + 2, 2 * 9 + 3, 3 * 9 + 2, 3 * 9 + 3}
    with pytest.raises(InputError, match="order is 'alphabet'"):
        SuperpixelUser(order="alphabet")
    with pytest.raises(InputError, match="needs a method that says how much"):
        annotate(SuperpixelUser(order="mutual_information"), prediction, mask, unsure)


def test_the_official_order_fills_up_with_what_is_right():
    mask = np.zeros((60, 90), np.uint8)
    prediction = mask.copy()
    prediction[:10, :10] = 1
    found = annotate(
        SuperpixelUser(count=5, apart=15, order="official"), prediction, mask, answered()[2]
    )
    assert (found[:10, :10] == 0).all()
    assert len(np.unique(grid()[found == 0])) == 5


def test_the_most_uncertain_wrong_superpixels_are_annotated_apart_from_one_another():
    given = answered()
    found = annotate(SuperpixelUser(count=4, apart=25, order="entropy"), *given)
    assert set(np.unique(found)) == {1, 255}
    chosen = np.unique(grid()[found == 1])
    assert len(chosen) == 4
    centres = np.array([(10 * (s // 9) + 4.5, 10 * (s % 9) + 4.5) for s in chosen])
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    assert distances[~np.eye(4, dtype=bool)].min() >= 25
    assert centres[:, 1].min() == 54.5  # the column at 40 to 49 is no class' own


def test_without_guidance_the_choice_is_random_and_seeded():
    user = SuperpixelUser(count=3, order="random")
    a, b, c = (annotate(user, *answered(), seed=s) for s in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert (answered()[1][a != 255] == 1).all()


def test_fewer_are_annotated_where_fewer_are_wrong_and_none_where_none_is():
    prediction, mask, unsure = answered()
    right = mask.copy()
    right[:10, 60:70] = 0
    assert len(np.unique(grid()[annotate(SuperpixelUser(), right, mask, unsure) != 255])) == 1
    assert (annotate(SuperpixelUser(), mask, mask, unsure) == 255).all()
    void = np.full_like(mask, 255)
    assert (annotate(SuperpixelUser(), prediction, void, unsure) == 255).all()


def test_what_was_annotated_is_not_annotated_again():
    given, before = answered(), no_annotation((60, 90))
    seen = set()
    for _ in range(3):
        found = annotate(SuperpixelUser(count=4, order="entropy"), *given, before=before)
        chosen = set(np.unique(grid()[found != 255]).tolist())
        assert not chosen & seen
        seen |= chosen
        before = np.where(found != 255, found, before)
    assert len(seen) == 12


def test_a_single_class_image_is_annotated_with_it():
    mask = np.zeros((60, 90), np.uint8)
    found = annotate(SuperpixelUser(), np.ones_like(mask), mask, np.ones(mask.shape))
    assert set(np.unique(found)) == {0, 255}


def test_slic_counts_are_about_those_asked_for_and_numbered_from_zero():
    from skimage.data import astronaut

    segments = superpixels(astronaut()[:256, :256], 200)
    assert 100 < segments.max() + 1 < 300
    assert set(np.unique(segments)) == set(range(segments.max() + 1))
    assert superpixels(np.zeros((4, 5, 3), np.uint8), 200).shape == (4, 5)


def test_uncertainty_is_entropy_and_its_parts_add_up():
    draws = torch.rand(5, 3, 4, 6, dtype=torch.float64).mul(4).softmax(1)
    found = uncertainty(draws)
    assert torch.allclose(found.predictive, Categorical(draws.mean(0).movedim(0, -1)).entropy())
    assert torch.allclose(found.aleatoric, Categorical(draws.movedim(1, -1)).entropy().mean(0))
    assert torch.allclose(found.predictive, found.aleatoric + found.epistemic)
    assert (uncertainty(draws[:1]).epistemic == 0).all()
    sure = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 6)
    assert (uncertainty(sure).predictive == 0).all()


def test_a_person_is_asked_for_the_most_uncertain_superpixels_apart_and_not_for_labelled_ones():
    segments, unsure = grid(), answered()[2]  # the uncertainty falls from left to right
    before = no_annotation(segments.shape)
    before[0, 0] = 1  # one labelled pixel
    chosen = choose_segments(unsure, segments, before, count=4, apart=25)
    centres = [divmod(s, 9) for s in chosen]  # in superpixels of 10 pixels
    assert chosen[0] == 9, "the first one of the left column that is not labelled"
    assert len(chosen) == 4
    assert all(
        np.hypot(a[0] - b[0], a[1] - b[1]) >= 2.5
        for i, a in enumerate(centres)
        for b in centres[:i]
    )
    assert len(choose_segments(unsure, segments, before, count=100, apart=0)) == 53


@pytest.mark.parametrize("order", ["error_mass", "error_size"])
def test_distances_of_the_rule_are_those_of_a_photo_of_another_scale(order):
    """Twice the scale and half the distance are the same rule."""
    prediction, mask, unsure = answered()
    image = AnsweredImage(prediction, mask, unsure, grid(), no_annotation(mask.shape), None)
    found = [
        SuperpixelUser(4, apart, order=order).annotate(image, np.random.default_rng(0), scale)[0]
        for apart, scale in ((24, 1.0), (12, 2.0))
    ]
    assert np.array_equal(*found)
