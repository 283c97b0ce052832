"""Gaussian weights and their convolution: draws, KL, priors that are handed over."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import conv2d

from interseg.continual.bayesian import BayesianConvolution, GaussianWeights


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def random_weights():
    weights = GaussianWeights(torch.randn(4, 3), prior_std=1.5, log_variance=-2)
    torch.nn.init.normal_(weights.log_variance, -2, 0.5)
    return weights


def test_the_kl_of_weights_is_torchs_before_and_after_a_task():
    weights = random_weights()
    prior = Normal(0, 1.5)
    for _ in range(2):
        posterior = Normal(weights.mean, weights.log_variance.mul(0.5).exp())
        assert weights.kl().item() == pytest.approx(
            kl_divergence(posterior, prior).sum().item(), rel=1e-5
        )
        weights.hand_over()
        assert weights.kl().item() == pytest.approx(0, abs=1e-5)
        prior = Normal(
            weights.mean.detach().clone(), weights.log_variance.detach().clone().mul(0.5).exp()
        )
        torch.nn.init.normal_(weights.mean)


def test_draws_have_the_posteriors_moments_and_gradients():
    weights = random_weights()
    draws = torch.stack([weights() for _ in range(4000)])
    std = weights.log_variance.mul(0.5).exp()
    assert torch.allclose(draws.mean(0), weights.mean, atol=0.05)
    assert torch.allclose(draws.std(0), std, rtol=0.1)
    assert torch.equal(weights(sample=False), weights.mean)
    weights().sum().backward()
    assert torch.equal(weights.mean.grad, torch.ones(4, 3))
    assert weights.log_variance.grad.abs().sum() > 0


def test_information_lowers_variances_and_never_raises_them():
    weights = random_weights()
    before, information = weights.log_variance.detach().exp(), torch.rand(4, 3) * 20
    weights.sharpen(information)
    expected = torch.minimum(before, 1 / (1 / 1.5**2 + information))
    assert torch.allclose(weights.log_variance.exp(), expected)
    assert 0 < (expected < before).sum() < 12


def test_a_prior_survives_a_checkpoint(tmp_path):
    layer = BayesianConvolution(3, 4)
    layer.weight.hand_over()
    torch.nn.init.normal_(layer.weight.mean)
    torch.save(layer.state_dict(), tmp_path / "x.ckpt")
    other = BayesianConvolution(3, 4)
    other.load_state_dict(torch.load(tmp_path / "x.ckpt", weights_only=True))
    assert other.weight.kl().item() == layer.weight.kl().item() > 0


@pytest.mark.parametrize("size", [1, 3])
def test_a_convolution_without_noise_is_the_plain_one(size):
    layer, x = BayesianConvolution(3, 4, size), torch.rand(2, 3, 9, 7)
    plain = conv2d(x, layer.weight.mean, layer.bias.mean, padding=size // 2)
    assert torch.equal(layer(x, sample=False), plain)
    assert not torch.equal(layer(x), layer(x))
    for part in (layer.weight, layer.bias):
        torch.nn.init.constant_(part.log_variance, -200)
    assert torch.allclose(layer(x), plain)
