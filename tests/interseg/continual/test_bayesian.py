import pytest
import torch
from torch.distributions import Bernoulli, Beta, Normal, kl_divergence
from torch.nn.functional import conv2d, softplus

from interseg.continual.bayesian import BayesianConvolution, GaussianWeights, bayesian_kl
from interseg.continual.gates import BuffetGates, bernoulli_kl, beta_kl, inverse_softplus
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork


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
        assert weights.kl().item() == pytest.approx(kl_divergence(posterior, prior).sum().item(), rel=1e-5)
        weights.hand_over()
        assert weights.kl().item() == pytest.approx(0, abs=1e-5)
        prior = Normal(weights.mean.detach().clone(), weights.log_variance.detach().clone().mul(0.5).exp())
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


def test_the_kl_of_sticks_and_gates_is_torchs():
    a, b, a0, b0 = (torch.rand(6, dtype=torch.float64) * 5 + 0.1 for _ in range(4))
    assert torch.allclose(beta_kl(a, b, a0, b0), kl_divergence(Beta(a, b), Beta(a0, b0)))
    p, p0 = torch.rand(6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    assert torch.allclose(bernoulli_kl(p, p0), kl_divergence(Bernoulli(p), Bernoulli(p0)))
    assert torch.allclose(softplus(inverse_softplus(a)), a)


@pytest.mark.parametrize("prior", ["finite", "stick"])
def test_gates_follow_their_prior(prior):
    gates = BuffetGates(12, prior, alpha=3.0)
    with torch.no_grad():
        gates.raw_a.copy_(inverse_softplus(gates.prior_a))
        gates.raw_b.copy_(inverse_softplus(gates.prior_b))
    draws = torch.stack([gates.probabilities() for _ in range(6000)])
    if prior == "finite":  # E[pi] = (alpha / K) / (alpha / K + 1)
        expected = torch.full((12,), (3 / 12) / (3 / 12 + 1))
    else:  # E[pi_k] = (alpha / (alpha + 1))^k
        expected = (3 / 4) ** torch.arange(1, 13.0)
        assert (draws[:, 1:] <= draws[:, :-1] + 1e-6).all()
    assert torch.allclose(draws.mean(0), expected, atol=0.03)
    assert gates.kl(gates.probabilities())[0].item() == pytest.approx(0, abs=1e-3)


def test_a_stick_with_the_papers_alpha_leaves_one_kernel_active():
    gates = BuffetGates(56, "stick")
    with torch.no_grad():
        gates.raw_a.copy_(inverse_softplus(gates.prior_a))
        gates.raw_b.copy_(inverse_softplus(gates.prior_b))
    active = torch.stack([gates.probabilities().sum() for _ in range(3000)]).mean()
    assert active.item() == pytest.approx(1, abs=0.1)


def test_concrete_gates_are_bernoulli_as_the_temperature_falls_and_carry_gradients():
    p = torch.tensor([0.1, 0.5, 0.9])
    cold = BuffetGates(3, temperature=0.01)
    draws = torch.stack([cold.draw(p) for _ in range(4000)])
    assert ((draws < 0.01) | (draws > 0.99)).double().mean() > 0.98
    assert torch.allclose(draws.mean(0), p, atol=0.03)
    noise = torch.tensor([0.3, 0.6, 0.2])
    formula = 1 / (1 + torch.exp(-(p.log() - (1 - p).log() + noise.log() - (1 - noise).log()) / 2))
    torch.manual_seed(5)
    drawn = BuffetGates(3).draw(p)
    torch.manual_seed(5)
    noise = torch.rand_like(p)
    formula = 1 / (1 + torch.exp(-(p.log() - (1 - p).log() + noise.log() - (1 - noise).log()) / 2))
    assert torch.allclose(drawn, formula)
    gates = BuffetGates(3)
    gates.draw(gates.probabilities()).sum().backward()
    assert gates.raw_a.grad.abs().sum() > 0
    assert gates.raw_b.grad.abs().sum() > 0


def test_gates_hand_over():
    gates = BuffetGates(5)
    before, _ = gates.kl(gates.probabilities(sample=False))
    gates.hand_over()
    after = gates.kl(gates.probabilities(sample=False))
    assert before > 0
    assert [round(t.item(), 5) for t in after] == [0, 0]
    with pytest.raises(InputError, match="prior is 'chinese'"):
        BuffetGates(5, "chinese")
    with pytest.raises(InputError, match="temperature is 0"):
        BuffetGates(5, temperature=0)


def test_the_network_is_the_official_ones_size():
    network = CLISNetwork(8)
    assert sum(m.mean.numel() for m in network.modules() if isinstance(m, GaussianWeights)) == 443696  # 443 k
    assert sum(network.counts) == 764
    assert sum(p.numel() for p in CLISNetwork(8, variational=False).parameters()) == 443696


@pytest.mark.parametrize("size", [(5, 7), (16, 24), (50, 33)])
def test_any_size_goes_in_even_one_smaller_than_the_pooling(size):
    for variational in (True, False):
        assert CLISNetwork(3, 4, 4, variational=variational)(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_without_noise_and_with_open_gates_it_is_the_plain_network():
    plain, network = CLISNetwork(3, 4, 6, variational=False).eval(), CLISNetwork(3, 4, 6).eval()
    for own, layer in zip([*plain.convolutions, plain.head], [*network.convolutions, network.head], strict=True):
        for weights, given in ((layer.weight, own.weight), (layer.bias, own.bias)):
            torch.nn.init.constant_(weights.log_variance, -200)
            weights.mean.data.copy_(given)
    x = torch.rand(1, 3, 16, 24)
    network.test_gates = "expected"
    for gates in network.gates:
        gates.temperature = 0.01
    ones = [torch.ones(n) for n in network.counts]
    assert torch.allclose(network(x, ones), plain(x), atol=1e-5)
    closed = [torch.zeros(n) for n in network.counts]
    assert torch.allclose(network(x, closed), network.head.bias.mean[:, None, None].expand(1, 3, 16, 24))


def test_gates_at_test_time_are_drawn_expected_or_hard():
    network = CLISNetwork(2, 4, 4).eval()
    p = [torch.full((n,), 0.7) for n in network.counts]
    p[0][0] = 0.2
    mean = torch.stack([network.gates[0].draw(p[0]) for _ in range(20000)]).mean(0)
    network.test_gates = "hard"
    assert network.draw_gates(p)[0].tolist() == pytest.approx([0, *mean[1:].tolist()], abs=0.01)
    network.test_gates = "expected"
    assert network.draw_gates(p)[0].tolist() == pytest.approx(mean.tolist(), abs=0.01)
    network.test_gates = "sample"
    assert not torch.equal(network.draw_gates(p)[0], network.draw_gates(p)[0])
    assert network.train().draw_gates(p, sample=False)[0].tolist() == pytest.approx(mean.tolist(), abs=0.01)
    for wrong, message in (({"classes": 1}, "classes is 1"), ({"gates": "open"}, "gates is 'open'")):
        with pytest.raises(InputError, match=message):
            CLISNetwork(**wrong)


def test_the_networks_kl_is_the_sum_of_its_parts_and_nothing_after_a_task():
    network = CLISNetwork(2, 4, 4)
    p = network.probabilities()
    parts = sum(sum(gates.kl(q)) for gates, q in zip(network.gates, p, strict=True)) + bayesian_kl(network)
    assert network.kl(p).item() == pytest.approx(parts.item())
    network.hand_over()
    assert network.kl(network.probabilities(sample=False)).item() == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("prior", ["finite", "stick"])
def test_a_posterior_begins_at_given_probabilities_and_stays_as_sure(prior):
    gates = BuffetGates(6, prior)
    torch.nn.init.normal_(gates.raw_a, 2, 1)
    torch.nn.init.normal_(gates.raw_b, 0, 1)
    sure = (gates.a + gates.b).detach()
    wanted = torch.linspace(0.9, 0.1, 6)
    gates.begin_at(wanted)
    assert torch.allclose(gates.probabilities(sample=False), wanted, atol=1e-4)
    assert torch.allclose(gates.a + gates.b, sure, rtol=1e-4)
