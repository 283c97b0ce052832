"""CLIS's network against the plain one of its weights, with open, closed and spare gates."""

import pytest
import torch

from interseg.continual.bayesian import GaussianWeights, bayesian_kl
from interseg.continual.gates import MODES
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


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
