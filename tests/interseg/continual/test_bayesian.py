import pytest
import torch
from torch.distributions import Bernoulli, Beta, Normal, kl_divergence
from torch.nn.functional import conv2d, softplus

from interseg.continual.bayesian import BayesianConvolution, GaussianWeights, bayesian_kl
from interseg.continual.gates import MODES, BuffetGates, bernoulli_kl, beta_kl, inverse_softplus
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
    cold = BuffetGates(3, temperature=0.01, mode="concrete")
    draws = torch.stack([cold.draw(p) for _ in range(4000)])
    assert ((draws < 0.01) | (draws > 0.99)).double().mean() > 0.98
    assert torch.allclose(draws.mean(0), p, atol=0.03)
    torch.manual_seed(5)
    drawn = BuffetGates(3, mode="concrete").draw(p)
    torch.manual_seed(5)
    noise = torch.rand_like(p)
    formula = 1 / (1 + torch.exp(-(p.log() - (1 - p).log() + noise.log() - (1 - noise).log()) / 2))
    assert torch.allclose(drawn, formula)


@pytest.mark.parametrize("mode", MODES)
def test_every_modes_gates_have_their_mean_and_carry_gradients(mode):
    gates = BuffetGates(3, mode=mode)
    p = torch.tensor([0.1, 0.5, 0.9])
    draws = torch.stack([gates.draw(p) for _ in range(20000)])
    assert torch.allclose(draws.mean(0), gates.mean(p), atol=0.02)
    assert torch.equal(gates.mean(p), p) == (mode != "concrete")
    values = set(draws.unique().tolist())
    assert (values == {0.0, 1.0}) == (mode == "straight_through")
    gates.draw(gates.probabilities()).sum().backward()
    assert gates.raw_a.grad.abs().sum() > 0
    assert gates.raw_b.grad.abs().sum() > 0
    drawn = not torch.equal(gates.probabilities(), gates.probabilities())
    assert drawn == (mode != "expected")


def test_a_drawn_gate_of_zero_or_one_has_the_concrete_ones_gradient():
    p = torch.tensor([0.3, 0.8], requires_grad=True)
    gradients = []
    for mode in ("straight_through", "concrete"):
        torch.manual_seed(2)
        gradients.append(torch.autograd.grad(BuffetGates(2, mode=mode).draw(p).sum(), p)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("prior", ["finite", "stick"])
def test_gates_begin_open_and_spare_ones_closed(prior):
    gates = BuffetGates(8, prior, start=0.8, spare=2)
    p = gates.probabilities(sample=False)
    assert (p[:6] > 0.79).all()
    assert (p[6:] < 0.051).all()
    if prior == "finite":
        assert p[:6].tolist() == pytest.approx([0.8] * 6, abs=1e-4)
    assert torch.allclose(gates.a + gates.b, torch.full((8,), 10.0), atol=1e-3)


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
    assert (
        sum(m.mean.numel() for m in network.modules() if isinstance(m, GaussianWeights)) == 443696
    )  # 443 k
    assert sum(network.counts) == 764
    assert sum(p.numel() for p in CLISNetwork(8, variational=False).parameters()) == 443696


@pytest.mark.parametrize("size", [(5, 7), (16, 24), (50, 33)])
def test_any_size_goes_in_even_one_smaller_than_the_pooling(size):
    for variational in (True, False):
        assert CLISNetwork(3, 4, 4, variational=variational)(torch.rand(2, 3, *size)).shape == (
            2,
            3,
            *size,
        )


def test_without_noise_and_with_open_gates_it_is_the_plain_network():
    plain, network = CLISNetwork(3, 4, 6, variational=False).eval(), CLISNetwork(3, 4, 6).eval()
    for own, layer in zip(
        [*plain.convolutions, plain.head], [*network.convolutions, network.head], strict=True
    ):
        for weights, given in ((layer.weight, own.weight), (layer.bias, own.bias)):
            torch.nn.init.constant_(weights.log_variance, -200)
            weights.mean.data.copy_(given)
    x = torch.rand(1, 3, 16, 24)
    ones = [torch.ones(n) for n in network.counts]
    assert torch.allclose(network(x, ones), plain(x), atol=1e-5)
    closed = [torch.zeros(n) for n in network.counts]
    assert torch.allclose(
        network(x, closed), network.head.bias.mean[:, None, None].expand(1, 3, 16, 24)
    )


def as_plain(plain, network):
    """Give a variational network a plain one's weights."""
    for own, layer in zip(
        [*plain.convolutions, plain.head], [*network.convolutions, network.head], strict=True
    ):
        layer.weight.mean.data.copy_(own.weight)
        layer.bias.mean.data.copy_(own.bias)


@pytest.mark.parametrize("gates", MODES)
@pytest.mark.parametrize("prior", ["finite", "stick"])
def test_a_converted_network_answers_as_the_plain_one_did(gates, prior):
    plain, network = (
        CLISNetwork(3, 4, 6, variational=False),
        CLISNetwork(3, 4, 6, gates=gates, prior=prior),
    )
    for layer in plain.convolutions:
        torch.nn.init.normal_(layer.bias, 0, 0.2)
    as_plain(plain, network)
    x = torch.rand(2, 3, 16, 24)
    assert torch.equal(network.plain(x), plain(x))
    assert not torch.allclose(network(x, sample=0.0), plain(x), atol=1e-2)
    network.convert(-7.0)
    assert torch.allclose(network(x, sample=0.0), plain(x), atol=1e-5)
    assert {
        value.item()
        for name, p in network.named_parameters()
        if "log_var" in name
        for value in p.unique()
    } == {-7.0}
    few, many = [network(x, sample=noise) for noise in (1e-3, 1.0)]
    if gates == "expected":  # the only noise is the weights'
        assert (few - plain(x)).abs().max() < 0.1 * (many - plain(x)).abs().max()


def test_spare_kernels_change_nothing_until_they_are_read():
    plain, small = CLISNetwork(3, 4, 6, variational=False), CLISNetwork(3, 4, 6)
    as_plain(plain, small)
    network = CLISNetwork(3, 4, 6, spare=2)
    assert network.counts == [6, *[8] * 13]
    network.load_state_dict(network.widen(small.state_dict()))
    x = torch.rand(1, 3, 16, 24)
    assert torch.allclose(network.plain(x), plain(x), atol=1e-5)
    network.convert()
    opened = [
        torch.where(torch.arange(n) < n - 2, p, 0.9)
        for n, p in zip(network.counts, network.probabilities(), strict=True)
    ]
    for probabilities in (None, opened):
        assert torch.allclose(network(x, probabilities, 0.0), plain(x), atol=1e-5)
    assert network.convolutions[3].weight.log_variance[:6, :6].unique().tolist() == [-6]
    assert network.convolutions[3].weight.log_variance[6:].unique().tolist() == [-8]
    with torch.no_grad():
        network.head.weight.mean[:, 6:] = 1
    assert not torch.allclose(network(x, opened, 0.0), plain(x), atol=1e-2)
    other = CLISNetwork(3, 5, 6).state_dict()
    assert (
        network.widen(other)["convolutions.0.weight.mean"].shape[0] == 5
    )  # another network's is left to be refused


def test_what_a_network_cannot_be_is_named():
    wrong = (
        ({"classes": 1}, "classes is 1"),
        ({"gates": "open"}, "gates is 'open'"),
        ({"gates_start": 1.0}, "start is 1.0"),
    )
    for options, message in (
        *wrong,
        ({"spare": 2, "variational": False}, "spare is 2"),
        ({"spare": -1}, "spare is -1"),
    ):
        with pytest.raises(InputError, match=message):
            CLISNetwork(**options)


def test_the_networks_kl_is_the_sum_of_its_parts_and_nothing_after_a_task():
    network = CLISNetwork(2, 4, 4)
    p = network.probabilities()
    parts = sum(sum(gates.kl(q)) for gates, q in zip(network.gates, p, strict=True)) + bayesian_kl(
        network
    )
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
