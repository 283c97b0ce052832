import math

import pytest
import torch

from interseg.losses import BootstrappedCrossEntropy, bootstrapped_cross_entropy, normalized_focal


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
            (cross_entropy(a, b) for a, b in zip(z.flatten().tolist(), y.flatten().tolist(), strict=True) if b != 255), reverse=True
        )
        kept = losses[: math.ceil(fraction * len(losses))]
        expected.append(sum(kept) / len(kept))
    assert bootstrapped_cross_entropy(logits, mask, fraction).item() == pytest.approx(sum(expected) / 3)


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


def test_a_fraction_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="fraction is 0"):
        BootstrappedCrossEntropy(0)
