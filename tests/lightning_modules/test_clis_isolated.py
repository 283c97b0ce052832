"""The isolated update of CLIS: kernels that a task opens, and weights that it moves."""

import pytest
import torch

from interseg.continual.consolidation import PackNet
from interseg.errors import InputError
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.continual_baselines import ContinualBaseline
from lightning_modules.optimisation import Optimisation
from tests.helpers.clis import begin_at, begun, clis, shown


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_the_isolated_update_opens_spare_kernels_and_lets_their_weights_go_anywhere():
    module, image = (
        clis(spare=3, update="isolated", isolated=2, pretrained="last.ckpt"),
        torch.rand(1, 3, 16, 24),
    )
    module.prepare(shown(torch.rand(3, 3, 16, 24)))
    before = torch.cat(module.activation())
    plain = module.network.plain(image)
    assert before.lt(0.1).sum() == 14 * 3
    opened = begun(module, image)
    assert [len(chosen) for chosen in opened] == [2] * 14
    assert all(
        index >= count - 3
        for chosen, count in zip(opened, module.network.counts, strict=True)
        for index in chosen
    )
    after = torch.cat(module.activation())
    assert torch.allclose(after[module.opened], torch.tensor(0.88), atol=1e-3)
    assert torch.allclose(after[~module.opened], before[~module.opened], atol=1e-3)
    layer = module.network.convolutions[4].weight.prior_log_variance.flatten(1)
    assert (layer[opened[4]] == 0).all()
    assert (layer[:6] < 0).all()
    assert (module.network.head.weight.prior_log_variance[:, opened[-1]] == 0).all()
    assert torch.equal(module.network.plain(image), plain)
    pairs = zip(module.network.gates, module.network.probabilities(), strict=True)
    assert (
        sum(gates.kl(p)[0] for gates, p in pairs) > 1
    )  # opening has a price: under the prior they are closed


def test_without_spare_kernels_the_isolated_update_learns_the_least_open_one():
    module, image = clis(update="isolated"), torch.rand(1, 3, 16, 24)
    wanted = torch.linspace(0.9, 0.5, sum(module.network.counts))
    begin_at(module, wanted)
    module.pretrained_gates = torch.cat(module.activation())
    assert begun(module, image) == [[count - 1] for count in module.network.counts]
    assert torch.allclose(torch.cat(module.activation()), wanted, atol=1e-3)


def test_an_image_that_is_like_no_task_opens_kernels_that_none_has_opened():
    module = clis(spare=4, update="isolated", isolated=2, threshold=0.0, pretrained="last.ckpt")
    module.prepare(shown(torch.rand(3, 3, 16, 24)))
    batches = [torch.zeros(1, 3, 16, 24), torch.ones(1, 3, 16, 24), torch.full((1, 3, 16, 24), 0.5)]
    taken = []
    for image in batches[:2]:
        taken.append(begun(module, image))
        module.finish({"image": image, "annotation": torch.full((1, 16, 24), 255)})
    for first, second, count in zip(*taken, module.network.counts, strict=True):
        assert sorted(first + second) == list(range(count - 4, count))
    assert [len(chosen) for chosen in begun(module, batches[2])] == [1] * 14, "none is left"


def test_under_broken_sticks_no_kernel_is_opened_behind_closed_ones():
    with pytest.raises(InputError, match="use prior=finite"):
        clis(spare=3, update="isolated", prior="stick", pretrained="last.ckpt")


@pytest.mark.parametrize("moving", ["kernels", "gates"])
def test_the_isolated_update_moves_what_it_opened_and_the_gates_then_the_gates(moving):
    module, image = (
        clis(spare=3, update="isolated", isolated=2, pretrained="last.ckpt"),
        torch.rand(1, 3, 16, 24),
    )
    module.prepare(shown(torch.rand(3, 3, 16, 24)))
    opened = begun(module, image)
    module.phase = moving
    labels = torch.randint(0, 2, (1, 16, 24))
    module.loss(image, labels, torch.ones(1, 16, 24)).backward()
    module.on_before_optimizer_step(None)
    for gates, layer, chosen in zip(
        module.network.gates, module.network.convolutions, opened, strict=True
    ):
        assert gates.raw_a.grad.abs().sum() > 0
        for parameter in layer.parameters():
            if moving == "gates":
                assert parameter.grad is None
            else:
                assert set(
                    parameter.grad.reshape(len(parameter), -1).abs().sum(1).nonzero()[:, 0].tolist()
                ) <= set(chosen)
    head = module.network.head
    assert head.bias.mean.grad is None
    if moving == "gates":
        assert head.weight.mean.grad is None
    else:
        assert set(head.weight.mean.grad.abs().sum((0, 2, 3)).nonzero()[:, 0].tolist()) == set(
            opened[-1]
        )


def test_weight_decay_would_move_what_is_kept_and_is_refused():
    decaying = Optimisation("adamw", weight_decay=1e-2)
    with pytest.raises(InputError, match=r"weight_decay is 0\.01, and the isolated update keeps"):
        clis(update="isolated", optimisation=decaying).prepare(None)
    network = CLISNetwork(2, 6, 8, variational=False)
    with pytest.raises(InputError, match=r"weight_decay is 0\.01, and PackNet keeps"):
        ContinualBaseline(network, PackNet(), optimisation=decaying).prepare(None)
