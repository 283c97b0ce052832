import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from interseg.continual.consolidation import EWC, FREE, Consolidation, LwF, PackNet
from interseg.errors import InputError


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def attached(memory, net):
    memory.attach(net)
    return memory


def learn(net, images, mask, memory, steps=20, rate=0.05):
    adam = torch.optim.Adam(net.parameters(), rate)
    for _ in range(steps):
        adam.zero_grad()
        logits = net(images)
        (cross_entropy(logits, mask) + memory.penalty(net, logits)).backward()
        memory.limit(net)
        adam.step()


def task(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, 6, 7, generator=generator), torch.randint(
        0, 2, (1, 6, 7), generator=generator
    )


def test_lwf_is_the_distillation_of_the_answers_before():
    net, (images, mask) = network(), task(0)
    memory = LwF(weight=0.5, temperature=2)
    memory.begin(net, images)
    old = net(images).detach()
    assert memory.penalty(net, net(images)).item() == pytest.approx(0, abs=1e-7)
    learn(net, images, mask, Consolidation(), 3)
    new = net(images)
    expected = 0.0
    for y in range(6):
        for x in range(7):
            p = [math.exp(old[0, c, y, x].item() / 2) for c in (0, 1)]
            q = [math.exp(new[0, c, y, x].item() / 2) for c in (0, 1)]
            p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
            expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert memory.penalty(net, new).item() == pytest.approx(0.5 * 4 * expected / 42, rel=1e-4)
    other = LwF()
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.before, old)


def test_lwf_keeps_answers_that_naive_learning_changes():
    (images, mask), drift = task(0), {}
    for name, memory in (("naive", Consolidation()), ("lwf", LwF(weight=20))):
        torch.manual_seed(1)
        net = network()
        memory.begin(net, images)
        before = net(images).detach().softmax(1)
        learn(net, images, mask, memory)
        drift[name] = (net(images).softmax(1) - before).abs().mean().item()
    assert drift["lwf"] < drift["naive"] / 2


def test_ewcs_fisher_is_the_hand_computed_one():
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    net[0].weight.data = torch.tensor([0.3, -0.4]).view(2, 1, 1, 1)
    image = torch.rand(1, 1, 3, 4)
    x = image.flatten()
    p = torch.sigmoid((0.3 + 0.4) * x)
    expected = (
        p * (1 - p) * x**2
    ).mean()  # for each logit's weight, a pixel's score is (label - p) x
    found = attached(EWC(draws=3000), net).fisher(net, image)["0.weight"].flatten()
    assert torch.allclose(found, expected.expand(2), rtol=0.1)


def test_ewcs_penalty_is_the_sum_over_tasks_with_constant_memory():
    net, memory, expected, fishers = network(), None, 0.0, []
    memory = attached(EWC(weight=3.0, draws=2), net)
    size = sum(b.numel() for b in memory.buffers())
    assert memory.penalty(net, net(task(0)[0])).item() == 0
    for seed in range(3):
        images, mask = task(seed)
        learn(net, images, mask, Consolidation(), 5)
        torch.manual_seed(seed)
        fishers.append(
            (memory.fisher(net, images), {n: p.detach().clone() for n, p in net.named_parameters()})
        )
        torch.manual_seed(seed)
        memory.end(net, images)
    learn(net, *task(9), Consolidation(), 5)
    for fisher, anchor in fishers:
        expected += sum(
            (fisher[n] * (p - anchor[n]) ** 2).sum().item() for n, p in net.named_parameters()
        )
    assert memory.penalty(net, net(task(0)[0])).item() == pytest.approx(1.5 * expected, rel=1e-3)
    assert (
        sum(b.numel() for b in memory.buffers())
        == size
        == 3 * sum(p.numel() for p in net.parameters())
    )


def test_ewc_holds_what_an_earlier_task_needs():
    images, moved = torch.rand(1, 3, 12, 14), {}
    first, second = ((images[:, c] > 0.5).long() for c in (0, 1))
    for weight in (0.0, 300.0):
        torch.manual_seed(2)
        net = network()
        learn(net, images, first, Consolidation(), 200)
        memory = attached(EWC(weight, draws=50), net)
        memory.end(net, images)
        before = cross_entropy(net(images), first).item()
        learn(net, images, second, memory, 60, rate=0.01)
        moved[weight] = cross_entropy(net(images), first).item() - before
    assert moved[300.0] < moved[0.0] / 2


def test_packnet_frees_the_smallest_weights_and_never_moves_an_earlier_tasks():
    net = network()
    memory = attached(PackNet(pruned=0.5), net)
    owned, answers = {}, []
    for number in range(3):
        images, mask = task(number)
        learn(net, images, mask, memory)
        largest = net[0].weight.detach().abs()[memory.owner("0.weight") == FREE].sort().values
        memory.end(
            net, images, lambda images=images, mask=mask: learn(net, images, mask, memory, 5)
        )
        owner, weight = memory.owner("0.weight"), net[0].weight.detach()
        taken = int((owner == number).sum())
        assert taken == len(largest) - int(0.5 * len(largest))
        assert (weight[owner == FREE] == 0).all()
        for earlier, (where, values) in owned.items():
            assert torch.equal(weight[where], values), earlier
        owned[number] = (owner == number, weight[owner == number].clone())
        answers.append(net(images).detach())
    assert torch.equal(memory.owner("0.bias"), torch.zeros(4, dtype=torch.uint8))
    assert net[0].weight.detach()[memory.owner("0.weight") == 1].abs().sum() > 0
    with memory.as_of(net, 0):
        assert torch.allclose(net(task(0)[0]), answers[0], atol=1e-6)
        assert not torch.allclose(net(task(0)[0]), answers[2], atol=1e-3)
    with memory.as_of(net, None):
        assert torch.equal(net(task(2)[0]), answers[2])
    before = net[0].weight.detach().clone()
    with memory.as_of(net, 3):
        assert torch.equal(net[0].weight, before)
    other = attached(PackNet(pruned=0.5), network())
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.owner("2.weight"), memory.owner("2.weight"))
    assert int(other.tasks) == 3


def test_packnet_has_its_limits():
    with pytest.raises(InputError, match="pruned is 1"):
        PackNet(pruned=1)
    memory = attached(PackNet(), network())
    memory.tasks.fill_(FREE)
    with pytest.raises(InputError, match="PackNet holds 255 tasks"):
        memory.end(network(), task(0)[0])


def test_naive_fine_tuning_keeps_nothing():
    net, memory, (images, mask) = network(), Consolidation(), task(0)
    memory.begin(net, images)
    assert memory.penalty(net, net(images)).item() == 0
    learn(net, images, mask, memory, 1)
    memory.end(net, images)
    with memory.as_of(net, 0):
        assert list(memory.buffers()) == []
