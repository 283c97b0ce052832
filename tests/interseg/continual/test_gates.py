"""Gates of kernels against torch's distributions: priors, draws, gradients, hand-over."""

import pytest
import torch
from torch.distributions import Bernoulli, Beta, kl_divergence
from torch.nn.functional import softplus

from interseg.continual.gates import MODES, BuffetGates, bernoulli_kl, beta_kl, inverse_softplus
from interseg.errors import InputError


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


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
    draws = cold.draw(p.expand(4000, 3))
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
    draws = gates.draw(p.expand(20000, 3))
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
