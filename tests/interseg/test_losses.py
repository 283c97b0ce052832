import math

import pytest
import torch

from interseg.distance import distance_to
from interseg.losses import (
    BootstrappedCrossEntropy,
    BoundaryAwareCrossEntropy,
    FocalAndJaccard,
    NormalizedFocal,
    balanced_cross_entropy,
    binary_cross_entropy,
    bootstrapped_cross_entropy,
    label_counts,
    normalized_focal,
    soft_jaccard,
)


def cross_entropy(z, y):
    p = 1 / (1 + math.exp(-z))
    return -math.log(p if y else 1 - p)


def random_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 1, 6, 7, generator=generator, dtype=torch.float64)
    mask = torch.randint(0, 3, (3, 6, 7), generator=generator).to(torch.uint8)
    mask[mask == 2] = 255
    return logits, mask


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_bootstrapping_takes_the_worst_share_of_each_images_valid_pixels(fraction):
    logits, mask = random_batch()
    expected = []
    for z, y in zip(logits, mask, strict=True):
        losses = sorted(
            (
                cross_entropy(a, b)
                for a, b in zip(z.flatten().tolist(), y.flatten().tolist(), strict=True)
                if b != 255
            ),
            reverse=True,
        )
        kept = losses[: math.ceil(fraction * len(losses))]
        expected.append(sum(kept) / len(kept))
    assert bootstrapped_cross_entropy(logits, mask, fraction).item() == pytest.approx(
        sum(expected) / 3
    )


def test_ignored_pixels_have_no_gradient_and_an_all_void_image_adds_nothing():
    logits, mask = random_batch()
    mask[2] = 255
    for loss in (bootstrapped_cross_entropy, normalized_focal):
        z = logits.clone().requires_grad_()
        value = loss(z, mask)
        value.backward()
        assert torch.isfinite(value)
        assert (z.grad[:, 0][mask == 255] == 0).all()


def test_normalized_focal_weights_sum_to_the_valid_pixels():
    logits, mask = random_batch()
    mask[:] = 1
    p = torch.sigmoid(logits[:, 0])
    weight = (1 - p) ** 2
    weight = weight / weight.sum((1, 2), keepdim=True) * 42
    expected = (0.5 * weight * -p.log()).sum((1, 2)) / 42
    assert normalized_focal(logits, mask).item() == pytest.approx(expected.mean().item())


def focal_reference(logits, mask, gamma, alpha, divisors=None):
    """RITM's loss, pixel by pixel.

    (value, each image's sum of weights over its number of pixels), which may be given.
    """
    value, found = 0.0, []
    for image, (z, y) in enumerate(zip(logits, mask, strict=True)):
        pixels = [
            (a, b)
            for a, b in zip(z.flatten().tolist(), y.flatten().tolist(), strict=True)
            if b != 255
        ]
        right = [1 / (1 + math.exp(-a if b else a)) for a, b in pixels]
        weights = [(1 - p) ** gamma for p in right]
        found.append(sum(weights) / len(pixels))
        divisor = divisors[image] if divisors else found[-1]
        balance = [alpha if b else 1 - alpha for _, b in pixels]
        total = sum(
            a * w / divisor * -math.log(p) for a, w, p in zip(balance, weights, right, strict=True)
        )
        value += total / len(pixels) / len(logits)
    return value, found


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.5), (1.0, 0.3), (0.0, 0.5)])
def test_normalized_focal_and_its_gradient_are_those_of_the_paper(gamma, alpha):
    logits, mask = random_batch()
    value, divisors = focal_reference(logits, mask, gamma, alpha)
    gradients = {}
    for constant in (False, True):
        z = logits.clone().requires_grad_()
        loss = NormalizedFocal(gamma, alpha, constant)(z, mask)
        loss.backward()
        assert loss.item() == pytest.approx(value)
        gradients[constant] = z.grad
    for place in [(0, 0, 1, 2), (1, 0, 3, 3), (2, 0, 0, 6), (2, 0, 5, 0), (0, 0, 4, 4)]:
        sides = []
        for step in (1e-5, -1e-5):
            moved = logits.clone()
            moved[place] += step
            sides.append(focal_reference(moved, mask, gamma, alpha, divisors)[0])
        assert gradients[False][place].item() == pytest.approx(
            (sides[0] - sides[1]) / 2e-5, abs=1e-8
        )
    assert torch.equal(gradients[False], gradients[True]) == (gamma == 0)


def test_a_fraction_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="fraction is 0"):
        BootstrappedCrossEntropy(0)


def boundary_aware_reference(logits, mask, width, scale):
    """Two-in-one, eq. 2 and 3, with its gradient.

    Pixel by pixel, by the distance to each of the object's boundary pixels.
    """
    batch, height, rows = mask.shape
    labels = [
        mask[b, y, x].item() for b in range(batch) for y in range(height) for x in range(rows)
    ]
    ones, zeros = labels.count(1), labels.count(0)
    share = (
        {1: zeros / (ones + zeros), 0: ones / (ones + zeros)} if ones and zeros else {1: 1, 0: 1}
    )
    total, gradient = 0.0, torch.zeros_like(logits)
    for b in range(batch):
        inside = [(y, x) for y in range(height) for x in range(rows) if mask[b, y, x] == 1]
        boundary = []
        for y, x in inside:
            steps = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            if any(not (0 <= v < height and 0 <= u < rows) or mask[b, v, u] != 1 for v, u in steps):
                boundary.append((y, x))
        for y in range(height):
            for x in range(rows):
                label = mask[b, y, x].item()
                if label == 255:
                    continue
                d = min((math.dist((y, x), q) for q in boundary), default=math.inf)
                w = d / scale if label == 0 and d <= width else 0
                weight = share[label] * (1 + w)
                total += weight * cross_entropy(logits[b, 0, y, x].item(), label)
                gradient[b, 0, y, x] = weight * (
                    1 / (1 + math.exp(-logits[b, 0, y, x].item())) - label
                )
    return total / (ones + zeros), gradient / (ones + zeros)


def drawn(*rows):
    return torch.tensor(
        [[int(c) if c != "v" else 255 for c in row] for row in rows], dtype=torch.uint8
    )[None]


@pytest.mark.parametrize(
    "mask",
    [
        drawn("11000000", "11000000", "00000000", "00000000"),  # touches the border
        drawn("00000000", "01100011", "01100011", "0000000v"),  # two components
        drawn("00000000", "00000000", "00000000", "00000001"),  # background beyond the band
        drawn("11111111", "11111111", "11111111", "11111111"),  # no background at all
        drawn("00000000", "00000000", "00000000", "00000000"),  # no object at all
        torch.cat(
            [
                drawn("01110000", "01v10000", "01110000", "00000000"),
                drawn("11111111", "11111111", "11111110", "11111111"),
            ]
        ),
    ],
)
@pytest.mark.parametrize("width", [0.0, 3.0, 40.0])
def test_the_boundary_aware_loss_is_its_equation(mask, width):
    logits = torch.randn(
        len(mask),
        1,
        *mask.shape[1:],
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
        requires_grad=True,
    )
    distance = torch.stack([torch.from_numpy(distance_to(m.numpy() == 1)) for m in mask])
    loss = BoundaryAwareCrossEntropy(width, 255)(logits, mask, distance)
    loss.backward()
    value, gradient = boundary_aware_reference(logits.detach(), mask, width, 255)
    assert loss.item() == pytest.approx(value, rel=1e-6)
    assert torch.allclose(logits.grad, gradient, atol=1e-9)
    twice = torch.rand(mask.shape, dtype=torch.float64)
    emphasised = BoundaryAwareCrossEntropy(width, 255)(logits, mask, distance, twice)
    emphasised.backward()
    assert torch.allclose(logits.grad - gradient, gradient * twice[:, None], atol=1e-9)
    if width == 0:
        assert loss.item() == pytest.approx(balanced_cross_entropy(logits, mask).item())
    with_region = BoundaryAwareCrossEntropy(width, 255, region=0.5)(logits, mask, distance)
    assert (with_region - loss).item() == pytest.approx(0.5 * soft_jaccard(logits, mask).item())


def test_a_wrong_pixel_far_from_the_object_costs_more_up_to_the_band():
    mask = torch.zeros(1, 3, 80, dtype=torch.uint8)
    mask[0, 1, 0] = 1
    distance = torch.from_numpy(distance_to(mask[0].numpy() == 1))[None]
    costs = []
    for x in (2, 20, 40, 41, 79):
        logits = torch.full((1, 1, 3, 80), -5.0, requires_grad=True)
        BoundaryAwareCrossEntropy()(logits, mask, distance).backward()
        costs.append(logits.grad[0, 0, 1, x].item())
    assert costs[0] < costs[1] < costs[2]
    assert costs[3] == costs[4] < costs[0]
    assert costs[2] / costs[4] == pytest.approx(1 + 40 / 255)


def test_processes_that_share_their_counts_have_the_loss_of_their_joined_batches():
    logits, mask = random_batch(2)
    counts = label_counts(mask) / 3
    parts = [
        balanced_cross_entropy(z[None], m[None], counts=counts)
        for z, m in zip(logits, mask, strict=True)
    ]
    assert sum(parts).item() / 3 == pytest.approx(balanced_cross_entropy(logits, mask).item())


def test_soft_jaccard_is_one_minus_intersection_over_union_of_probabilities():
    logits, mask = random_batch()
    mask[2] = 255
    expected = []
    for z, y in zip(logits[:2], mask[:2], strict=True):
        pairs = [
            (1 / (1 + math.exp(-a)), b)
            for a, b in zip(z.flatten().tolist(), y.flatten().tolist(), strict=True)
            if b != 255
        ]
        both = sum(p * b for p, b in pairs)
        expected.append(1 - both / sum(p + b - p * b for p, b in pairs))
    assert soft_jaccard(logits, mask).item() == pytest.approx(sum(expected) / 3)
    certain = torch.where(mask == 1, 50.0, -50.0)[:2, None]
    assert soft_jaccard(certain, mask[:2]).item() == pytest.approx(0, abs=1e-9)


def test_soft_jaccard_is_the_only_loss_that_weighs_a_missed_pixel_by_the_objects_size():
    mask = torch.zeros(2, 32, 32, dtype=torch.uint8)
    mask[0, :2, :4] = mask[1, :16, :16] = 1
    logits = torch.where(mask[:, None] == 1, 9.0, -9.0).double()
    missed = logits.clone()
    missed[:, :, 0, 0] = -9.0
    costs = [
        [
            (
                loss(missed[i : i + 1], mask[i : i + 1]) - loss(logits[i : i + 1], mask[i : i + 1])
            ).item()
            for i in (0, 1)
        ]
        for loss in (soft_jaccard, binary_cross_entropy)
    ]
    assert costs[0][0] == pytest.approx(1 / 8, rel=0.1)
    assert costs[0][1] == pytest.approx(1 / 256, rel=0.1)
    assert costs[1][0] == pytest.approx(costs[1][1])


def test_focal_and_jaccard_adds_the_regions_loss_with_its_weight():
    logits, mask = random_batch()
    loss = FocalAndJaccard(region=0.5)
    expected = normalized_focal(logits, mask) + 0.5 * soft_jaccard(logits, mask)
    assert loss(logits, mask).item() == pytest.approx(expected.item())
