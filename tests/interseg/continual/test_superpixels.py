import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from interseg.continual.annotations import Scene, no_annotation
from interseg.continual.superpixels import SuperpixelUser, superpixels
from interseg.continual.uncertainty import uncertainty


def grid(height=60, width=90, side=10):
    """Square superpixels, numbered row by row."""
    y, x = np.indices((height, width)) // side
    return (y * (width // side) + x).astype(np.int64)


def scene():
    """A truth of two halves, predicted as one; uncertainty falls from left to right."""
    mask = np.zeros((60, 90), np.uint8)
    mask[:, 45:] = 1
    prediction = np.zeros((60, 90), np.uint8)
    uncertainty = np.broadcast_to(np.linspace(1, 0, 90), (60, 90))
    return prediction, mask, uncertainty


def annotate(user, prediction, mask, unsure, before=None, seed=0):
    before = no_annotation(mask.shape) if before is None else before
    found, number = user.annotate(Scene(prediction, mask, unsure, grid(), before), np.random.default_rng(seed))
    assert number == len(np.unique(grid()[found != 255]))
    return found


def slow(user, prediction, mask, unsure, segments, before):
    """The rule, superpixel by superpixel."""
    rows = []
    for s in np.unique(segments):
        pixels = np.argwhere(segments == s)
        valid = [(y, x) for y, x in pixels if mask[y, x] != 255]
        if not valid or any(before[y, x] != 255 for y, x in pixels):
            continue
        votes = [mask[y, x] for y, x in valid]
        label = max(sorted(set(votes)), key=votes.count)
        wrong = sum(prediction[y, x] != mask[y, x] for y, x in valid)
        if votes.count(label) >= user.purity * len(valid) and wrong > 0 and 2 * wrong >= len(valid):
            rows.append((-np.mean([unsure[y, x] for y, x in pixels]), s, label, pixels.mean(0), valid))
    chosen, found = [], np.full(mask.shape, 255, np.uint8)
    for _, _, label, centre, valid in sorted(rows, key=lambda r: (round(r[0], 12), r[1])):
        if len(chosen) < user.count and all(np.linalg.norm(centre - c) >= user.apart for c in chosen):
            chosen.append(centre)
            for y, x in valid:
                found[y, x] = label
    return found


@pytest.mark.parametrize("seed", range(8))
def test_annotations_are_the_slow_rules(seed):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, 3, (6, 9)), np.ones((10, 10), int)).astype(np.uint8)
    noisy = rng.random(mask.shape) < 0.12
    mask[noisy] = rng.integers(0, 3, noisy.sum())
    mask[rng.random(mask.shape) < 0.05] = 255
    prediction = np.where(rng.random(mask.shape) < 0.5, mask, rng.integers(0, 3, mask.shape)).astype(np.uint8)
    before = no_annotation(mask.shape)
    before[:10, :30] = 1
    unsure = rng.random(mask.shape)
    user = SuperpixelUser(count=5, apart=15, purity=0.8)
    found, _ = user.annotate(Scene(prediction, mask, unsure, grid(), before), rng)
    assert np.array_equal(found, slow(user, prediction, mask, unsure, grid(), before))


def test_the_most_uncertain_wrong_superpixels_are_annotated_apart_from_one_another():
    given = scene()
    found = annotate(SuperpixelUser(count=4, apart=25), *given)
    assert set(np.unique(found)) == {1, 255}
    chosen = np.unique(grid()[found == 1])
    assert len(chosen) == 4
    centres = np.array([(10 * (s // 9) + 4.5, 10 * (s % 9) + 4.5) for s in chosen])
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    assert distances[~np.eye(4, dtype=bool)].min() >= 25
    assert centres[:, 1].min() == 54.5  # the column at 40 to 49 is no class' own


def test_without_guidance_the_choice_is_random_and_seeded():
    user = SuperpixelUser(count=3, guided=False)
    a, b, c = (annotate(user, *scene(), seed=s) for s in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert (scene()[1][a != 255] == 1).all()


def test_fewer_are_annotated_where_fewer_are_wrong_and_none_where_none_is():
    prediction, mask, unsure = scene()
    right = mask.copy()
    right[:10, 60:70] = 0
    assert len(np.unique(grid()[annotate(SuperpixelUser(), right, mask, unsure) != 255])) == 1
    assert (annotate(SuperpixelUser(), mask, mask, unsure) == 255).all()
    void = np.full_like(mask, 255)
    assert (annotate(SuperpixelUser(), prediction, void, unsure) == 255).all()


def test_what_was_annotated_is_not_annotated_again():
    given, before = scene(), no_annotation((60, 90))
    seen = set()
    for _ in range(3):
        found = annotate(SuperpixelUser(count=4), *given, before=before)
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
