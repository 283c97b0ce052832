import itertools
import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from interseg.continual.embedding import ImageEmbedding, TaskMemory, gaussian_kl, usual_distance


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_the_kl_of_gaussians_is_torchs():
    m, v, n, w = (torch.randn(4, 5, dtype=torch.float64) for _ in range(4))
    expected = kl_divergence(Normal(m, v.mul(0.5).exp()), Normal(n, w.mul(0.5).exp())).sum(-1)
    assert torch.allclose(gaussian_kl(m, v, n, w), expected)


def test_images_are_embedded_whatever_their_size_and_learned():
    net = ImageEmbedding((16, 24), 6, 4)
    images = torch.cat([torch.rand(1, 3, 1, 1).expand(1, 3, 30, 50) for _ in range(8)])
    mean, log_variance = net(images)
    assert mean.shape == log_variance.shape == (8, 6)
    assert net(torch.rand(1, 3, 5, 7))[0].shape == (1, 6)
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(400):
        adam.zero_grad()
        loss = net.loss(images)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_fine_stripes_are_grey_to_the_embedding():
    stripes = torch.arange(88).remainder(2).float().expand(1, 3, 64, 88)
    reduced = ImageEmbedding((16, 24), 6, 4).reduced(stripes)
    assert reduced.shape == (1, 3, 16, 24)
    assert torch.allclose(reduced, torch.tensor(0.5), atol=0.1)


def test_the_paper_has_three_blocks_and_two_dense_layers_each_way():
    net = ImageEmbedding()
    assert [type(m).__name__ for m in net.encoder.modules() if not list(m.children())].count(
        "Conv2d"
    ) == 3
    assert [m.out_features for m in net.encoder if isinstance(m, torch.nn.Linear)] == [400, 800]
    assert net.decoder(net.expand(torch.zeros(1, 400)).view(-1, *net.grid)).shape == (1, 3, 64, 88)


def test_an_image_finds_the_task_that_it_is_like():
    memory = TaskMemory(4, 5)
    assert memory.nearest(torch.zeros(4), torch.zeros(4)) is None
    gates = [[torch.full((2,), 0.1 * t), torch.full((3,), 0.2 * t)] for t in range(3)]
    for t in range(3):
        memory.store(torch.full((4,), float(t)), torch.zeros(4), gates[t])
    for t, where in ((0, -1.0), (1, 1.2), (2, 9.0)):
        found, distance, near = memory.nearest(torch.full((4,), where), torch.zeros(4))
        assert found == t
        least = memory.distances(torch.full((4,), where), torch.zeros(4)).min()
        assert distance == float(least)
        assert near
        stored = memory.gates([2, 3])[found]
        assert [f.tolist() for f in stored] == [g.tolist() for g in gates[t]]
    memory.threshold.fill_(1.0)
    for where, near in ((9.0, False), (2.1, True)):
        assert memory.nearest(torch.full((4,), where), torch.zeros(4))[2] == near
    memory.clear()
    assert len(memory) == 0


def test_a_task_costs_its_pair_and_pairs_survive_a_checkpoint(tmp_path):
    memory = TaskMemory(400, 764)
    sizes = []
    for t in range(3):
        memory.store(torch.randn(400), torch.randn(400), [torch.rand(764)])
        torch.save(memory.state_dict(), tmp_path / f"{t}.ckpt")
        sizes.append(sum(b.numel() * b.element_size() for b in memory.state_dict().values()))
    assert [b - a for a, b in itertools.pairwise(sizes)] == [6256, 6256]
    memory.threshold.fill_(7.0)
    torch.save(memory.state_dict(), tmp_path / "2.ckpt")
    elsewhere = TaskMemory(400, 764).to("meta")
    with pytest.warns(UserWarning, match="no-op"):  # nothing can be copied there
        elsewhere.load_state_dict(memory.state_dict())
    assert elsewhere.pairs.device.type == "meta"
    assert elsewhere.pairs.shape == memory.pairs.shape
    other = TaskMemory(400, 764)
    other.load_state_dict(torch.load(tmp_path / "2.ckpt", weights_only=True))
    assert torch.equal(other.pairs, memory.pairs)
    assert float(other.threshold) == 7


def test_the_usual_distance_is_the_median_to_the_nearest_other():
    m, v = torch.randn(2, 5, 3, dtype=torch.float64)
    nearest = []
    for i in range(5):
        own = Normal(m[i], v[i].mul(0.5).exp())
        nearest.append(
            min(
                kl_divergence(own, Normal(m[j], v[j].mul(0.5).exp())).sum().item()
                for j in range(5)
                if j != i
            )
        )
    assert usual_distance(m, v).item() == pytest.approx(sorted(nearest)[2])
    assert usual_distance(m[:1], v[:1]).item() == math.inf
