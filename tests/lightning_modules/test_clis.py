import pytest
import torch
from torch.nn.functional import cross_entropy

from interseg.continual.embedding import ImageEmbedding
from interseg.networks.clis_network import CLISNetwork
from interseg.uncertainty import entropy
from lightning_modules.clis import CLIS
from lightning_modules.optimisation import Optimisation
from lightning_modules.task_learner import Propagation, weighted_cross_entropy


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def clis(**options):
    return CLIS(CLISNetwork(2, 5, 6), ImageEmbedding((16, 24), 4, 4), samples=4, **options)


def test_the_likelihood_weighs_annotated_pixels_and_leaves_void_out():
    logits, labels, weights = torch.randn(1, 3, 4, 5), torch.randint(0, 3, (1, 4, 5)), torch.rand(1, 4, 5) * 9 + 1
    labels[0, 0, 0] = 255
    expected = 0.0
    for y in range(4):
        for x in range(5):
            if labels[0, y, x] != 255:
                expected += weights[0, y, x] * cross_entropy(logits[:, :, y, x], labels[:, y, x])
    assert weighted_cross_entropy(logits, labels, weights).item() == pytest.approx(expected.item() / 20)


def test_an_answer_is_the_mean_of_its_draws_and_its_entropy():
    module, image = clis().eval(), torch.rand(2, 3, 16, 24)
    torch.manual_seed(1)
    answer = module.predict(image)
    assert answer.probabilities.shape == (2, 2, 16, 24)
    assert torch.allclose(answer.uncertainty, entropy(answer.probabilities))
    torch.manual_seed(1)
    gates = list(module.pretrained_gates.split(module.network.counts))
    with torch.no_grad():
        draws = torch.stack([module.network(image[:1], gates).softmax(1) for _ in range(4)])
    assert torch.allclose(answer.probabilities[:1], draws.mean(0))
    assert torch.allclose(module.segment({"image": image}).exp().sum(1), torch.ones(2, 16, 24))


def test_gates_are_the_most_alike_tasks_or_the_pretrained_ones():
    module, seen = clis(threshold=5.0).eval(), []
    module.network.forward = lambda image, gates=None, sample=True: (seen.append(gates), torch.zeros(1, 2, 16, 24))[1]
    image, other = torch.rand(1, 3, 16, 24), torch.zeros(1, 3, 16, 24)
    with torch.no_grad():
        mean, log_variance = module.embedding(image)
    kept = [torch.full((n,), 0.25) for n in module.network.counts]
    module.memory.store(mean[0], log_variance[0], kept)
    module.predict(image)
    assert [g.tolist() for g in seen[-1]] == [g.tolist() for g in kept]
    module.memory.store(mean[0] + 100, log_variance[0], kept)
    module.memory.pairs = module.memory.pairs[1:]
    module.predict(other)
    assert torch.equal(torch.cat(seen[-1]), module.pretrained_gates)
    module.predict(image, task=1)  # the one in progress: its own posterior
    assert torch.equal(torch.cat(seen[-1]), torch.cat(module.network.probabilities(sample=False)))


def test_after_a_task_the_posterior_is_the_prior_and_its_pair_is_kept():
    module = clis()
    before = module.network.kl(module.network.probabilities(sample=False))
    module.finish({"image": torch.rand(1, 3, 16, 24)}, None)
    after = module.network.kl(module.network.probabilities(sample=False))
    assert before > 1
    assert after.item() == pytest.approx(0, abs=1e-2)
    assert len(module.memory) == 1
    module.prepare(None)
    assert len(module.memory) == 0


@pytest.mark.parametrize("moving", ["kernels", "gates"])
def test_the_isolated_update_moves_the_least_open_kernels_then_the_gates(moving):
    module = clis(update="isolated", isolated=2)
    for gates in module.network.gates:
        torch.nn.init.uniform_(gates.raw_a, 0.1, 3)
    module._moving = moving
    images, labels = torch.rand(1, 3, 16, 24), torch.randint(0, 2, (1, 16, 24))
    module.loss(images, labels, torch.ones(1, 16, 24)).backward()
    module.limit()
    for gates, layer in zip(module.network.gates, module.network.convolutions, strict=True):
        grad = layer.weight.mean.grad
        if moving == "gates":
            assert grad is None
            assert gates.raw_a.grad is not None
        else:
            assert gates.raw_a.grad is None
            rows = grad.flatten(1).abs().sum(1) > 0
            assert set(rows.nonzero()[:, 0].tolist()) <= set(gates.probabilities(sample=False).argsort()[:2].tolist())
    assert module.network.head.weight.mean.grad is None


def test_gates_learn_at_their_own_rate():
    module = clis(optimisation=Optimisation(learning_rate=1e-3, rates={"gates": 50}))
    rates = {len(g["params"]): g["lr"] for g in module.configure_optimizers()["optimizer"].param_groups}
    assert rates[28] == pytest.approx(0.05)
    counted = sum(len(g["params"]) for g in module.configure_optimizers()["optimizer"].param_groups)
    assert counted == len(list(module.parameters()))


def test_the_kl_is_scaled_by_pixels_and_the_autoencoder_waits():
    module = clis(kl_weight=1.0)
    images, labels, ones = torch.rand(1, 3, 16, 24), torch.randint(0, 2, (1, 16, 24)), torch.ones(1, 16, 24)
    torch.manual_seed(1)
    with_kl = module.loss(images, labels, ones)
    torch.manual_seed(1)
    kl = module.network.kl(module.network.probabilities())
    module.kl_weight = 0.0
    torch.manual_seed(1)
    assert with_kl.item() == pytest.approx(module.loss(images, labels, ones).item() + kl.item() / (16 * 24), rel=1e-5)
    with_kl.backward()
    assert all((p.grad == 0).all() for p in module.embedding.parameters())


def test_propagation_takes_images_as_the_batch_has_them():
    image, probabilities = torch.rand(3, 10, 12), torch.rand(2, 10, 12).softmax(0)
    annotation = torch.full((10, 12), 255, dtype=torch.uint8)
    annotation[2:5, 2:5] = 1
    found = Propagation(pair_weight=0.0)(image, probabilities, annotation)
    assert (found[1, 2:5, 2:5] > 0.99).all()
    assert torch.allclose(found[:, 6:], probabilities[:, 6:], atol=1e-5)


def test_learning_a_task_begins_with_the_gates_that_answered_its_image(monkeypatch):
    module = clis(steps=0)
    image, seen = torch.rand(1, 3, 16, 24), []
    monkeypatch.setattr("lightning_modules.task_learner.TaskLearner._learn", lambda self, *_: seen.append(torch.cat(self.activation())))
    stored = [torch.rand(count) * 0.8 + 0.1 for count in module.network.counts]
    mean, log_variance = (part[0] for part in module.embedding(image))
    module.memory.store(mean.detach(), log_variance.detach(), stored)
    kept = torch.cat(module.activation())
    for round, steps, expected in ((0, 3, torch.cat(stored)), (1, 3, kept), (0, 0, kept)):
        for gates, probabilities in zip(module.network.gates, kept.split(module.network.counts), strict=True):
            gates.begin_at(probabilities)
        module._learn({"image": image, "round": round}, None, steps)
        assert torch.allclose(seen[-1], expected, atol=1e-3)
