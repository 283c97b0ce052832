import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from interseg.continual.propagation import (
    energy,
    lab,
    neighbour_sum,
    normalise,
    propagate,
    similarity,
)


def scene(classes=3, height=12, width=15, seed=0, patches=4):
    rng = np.random.default_rng(seed)
    field = np.stack([gaussian_filter(rng.normal(size=(height, width)), 2) for _ in range(classes)])
    prior = torch.from_numpy(field / field.std() * 1.5).softmax(0)
    image = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
    annotation = np.full((height, width), 255, np.uint8)
    for _ in range(patches):
        y, x = rng.integers(height - 2), rng.integers(width - 2)
        annotation[y : y + 2, x : x + 2] = rng.integers(classes)
    return (
        prior,
        torch.from_numpy(annotation),
        similarity(torch.from_numpy(lab(image)).double(), 20),
    )


def slow_energy(theta, prior, annotation, colours, contrast, weight):
    """Eq. 11 to 14, pixel by pixel and pair by pair."""
    classes, height, width = theta.shape
    total = 0.0
    for y in range(height):
        for x in range(width):
            p = [theta[c, y, x].item() for c in range(classes)]
            total += sum(
                v * (math.log(v) - math.log(prior[c, y, x].item())) for c, v in enumerate(p)
            )
            if annotation[y, x] != 255:
                total -= weight * math.log(p[annotation[y, x]])
            for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)):
                if 0 <= v < height and 0 <= u < width:
                    q = [theta[c, v, u].item() for c in range(classes)]
                    gap = sum((colours[k, y, x] - colours[k, v, u]) ** 2 for k in range(3))
                    kl = [
                        sum(a * (math.log(a) - math.log(b)) for a, b in zip(s, t, strict=True))
                        for s, t in ((p, q), (q, p))
                    ]
                    total += math.exp(-contrast * gap) * sum(kl) / 2
    return total


def test_the_energy_is_the_equations():
    prior, annotation, _ = scene()
    image = np.random.default_rng(1).integers(0, 255, (12, 15, 3)).astype(np.uint8)
    colours = lab(image).astype(float)
    theta = torch.rand(3, 12, 15, dtype=torch.float64).softmax(0)
    found = energy(theta, prior, annotation, similarity(torch.from_numpy(colours), 20), 7.0)
    assert found.item() == pytest.approx(slow_energy(theta, prior, annotation, colours, 20, 7.0))


def test_neighbours_are_summed_with_their_pairs_weights():
    maps = torch.rand(2, 4, 5, dtype=torch.float64)
    colours = torch.rand(3, 4, 5, dtype=torch.float64)
    found = neighbour_sum(maps, similarity(colours, 2.0))
    for y in range(4):
        for x in range(5):
            near = [
                (v, u)
                for v in range(max(0, y - 1), min(4, y + 2))
                for u in range(max(0, x - 1), min(5, x + 2))
                if (v, u) != (y, x)
            ]
            weights = [
                torch.exp(-2 * ((colours[:, y, x] - colours[:, v, u]) ** 2).sum()) for v, u in near
            ]
            assert torch.allclose(
                found[:, y, x],
                sum(w * maps[:, v, u] for w, (v, u) in zip(weights, near, strict=True)),
            )


@pytest.mark.parametrize(
    ("weight", "strength", "classes"),
    [(10.0, 0.0, 2), (10.0, 8.0, 5), (1000.0, 1.0, 5), (1000.0, 8.0, 2)],
)
def test_no_descent_finds_less_energy(weight, strength, classes):
    prior, annotation, pairs = scene(classes)
    pairs = [strength * w for w in pairs]
    theta = propagate(prior, annotation, pairs, weight, iterations=200, tolerance=1e-7)
    assert torch.allclose(theta.sum(0), torch.ones(12, 15, dtype=torch.float64))
    found = energy(theta, prior, annotation, pairs, weight)
    for start in (theta, prior):
        logits = start.log().clone().requires_grad_()
        descent = torch.optim.LBFGS(
            [logits], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-9
        )

        def closure(logits=logits, descent=descent):
            descent.zero_grad()
            value = energy(normalise(logits.softmax(0)), prior, annotation, pairs, weight)
            value.backward()
            return value

        descent.step(closure)
        assert found <= closure().item() + 0.02 + 1e-3 * abs(found)


def test_few_turns_reach_the_energy_of_401_steps_of_adam():
    prior, annotation, pairs = scene(3, 40, 50, patches=16)
    logits = prior.log().clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.1)
    for _ in range(401):
        adam.zero_grad()
        energy(normalise(logits.softmax(0)), prior, annotation, pairs, 10.0).backward()
        adam.step()
    slow = energy(normalise(logits.detach().softmax(0)), prior, annotation, pairs, 10.0)
    assert (
        energy(
            propagate(prior, annotation, pairs, 10.0, iterations=30), prior, annotation, pairs, 10.0
        )
        <= slow
    )


@pytest.mark.parametrize("classes", [2, 6])
def test_without_asking_for_more_turns_the_minimum_is_near(classes):
    prior, annotation, pairs = scene(classes, 71, 93, patches=12)
    pairs = [10 * w for w in pairs]
    found, least = (
        propagate(prior, annotation, pairs, **turns)
        for turns in ({}, {"iterations": 2000, "tolerance": 1e-8})
    )
    energies = [energy(theta, prior, annotation, pairs).item() for theta in (found, least)]
    assert energies[1] <= energies[0] <= 1.003 * energies[1]
    assert (found.argmax(0) == least.argmax(0)).double().mean() > 0.99


def test_nothing_annotated_and_no_pairs_return_the_prediction():
    prior, annotation, pairs = scene()
    nothing = torch.full_like(annotation, 255)
    assert torch.allclose(propagate(prior, nothing, [0 * w for w in pairs]), prior, atol=1e-6)
    smoothed = propagate(prior, nothing, pairs)
    assert not torch.allclose(smoothed, prior, atol=1e-3)


def test_annotations_hold_and_spread_over_like_colours_only():
    prior = torch.full((2, 20, 30), 0.5, dtype=torch.float64)
    prior[0] += 0.1
    prior[1] -= 0.1
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 255
    annotation = torch.full((20, 30), 255, dtype=torch.uint8)
    annotation[8:12, 3:7] = 1
    pairs = [20 * w for w in similarity(torch.from_numpy(lab(image)).double())]
    theta = propagate(prior, annotation, pairs, iterations=300, tolerance=1e-6)
    assert (theta[1, 8:12, 3:7] > 0.99).all()
    assert theta[1, 10, 9] > 0.5
    assert torch.allclose(theta[1, :, 16:], prior[1, :, 16:], atol=0.02)


def test_certain_and_impossible_predictions_stay_finite():
    prior, annotation, pairs = scene()
    sure = torch.nn.functional.one_hot(prior.argmax(0)).movedim(-1, 0).double()
    theta = propagate(sure, annotation, pairs)
    assert theta.isfinite().all()
    assert (theta.argmax(0)[annotation != 255] == annotation[annotation != 255].long()).all()
