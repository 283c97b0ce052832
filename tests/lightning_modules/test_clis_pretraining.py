"""Pretraining of CLIS, and what is made of it before the first task."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Categorical
from torch.nn.functional import cross_entropy

from interseg.continual.embedding import gaussian_kl
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.optimisation import Optimisation
from tests.helpers.clis import clis, shown


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_plain_pretraining_learns_the_means_of_a_plain_network():
    module, plain = clis(), CLISNetwork(2, 5, 6, variational=False)
    for own, layer in zip(
        [*plain.convolutions, plain.head],
        [*module.network.convolutions, module.network.head],
        strict=True,
    ):
        own.weight.data.copy_(layer.weight.mean)
        own.bias.data.copy_(layer.bias.mean)
    module._trainer = SimpleNamespace(world_size=1, num_training_batches=1)
    module.embedding.loss = lambda images: torch.zeros(())
    batch = {"image": torch.rand(2, 3, 16, 24), "mask": torch.randint(0, 2, (2, 16, 24))}
    loss = module.pretraining_loss(batch)
    assert torch.allclose(loss, cross_entropy(plain(batch["image"]), batch["mask"]))
    loss.backward()
    assert module.network.convolutions[0].weight.log_variance.grad is None
    variational = clis(pretraining="variational")
    variational._trainer, variational.embedding.loss = module._trainer, module.embedding.loss
    variational.pretraining_loss(batch).backward()
    assert variational.network.convolutions[0].weight.log_variance.grad is not None


def test_a_prepared_network_answers_as_the_pretrained_one_and_a_variational_one_is_not_converted():
    images = torch.rand(3, 3, 16, 24)
    for pretraining in ("plain", "variational"):
        module = clis(pretraining=pretraining)
        plain, answer = module.network.plain(images), module.network(images, sample=0.0)
        module.prepare(shown(images))
        expected = plain if pretraining == "plain" else answer
        assert torch.allclose(module.network(images, sample=0.0), expected, atol=1e-5)
        most = max(
            p.max().item() for name, p in module.network.named_parameters() if "log_var" in name
        )
        assert most == (-6 if pretraining == "plain" else -8)


def test_refinement_lowers_the_bound_on_the_pretrainings_images():
    images = torch.rand(3, 3, 16, 24)
    bounds = []
    for steps in (0, 15):
        torch.manual_seed(0)
        module = clis(refinement=steps, optimisation=Optimisation(learning_rate=1e-3))
        module.prepare(shown(images, 1))
        labels = torch.ones(3, 16, 24)
        torch.manual_seed(1)
        bounds.append(
            sum(
                module.bound(images, labels, torch.ones_like(labels), math.inf, 1.0).item()
                for _ in range(5)
            )
        )
    assert bounds[1] < 0.95 * bounds[0]


def test_without_a_threshold_an_image_is_like_a_task_as_pretrained_images_are_alike():
    images = torch.rand(20, 3, 1, 1) * torch.rand(20, 3, 16, 24)
    for threshold in (None, 3.5, math.inf):
        module = clis(threshold=threshold)
        module.memory.threshold.fill_(-1)  # a pretraining's
        module.prepare(shown(images))
        with torch.no_grad():
            mean, log_variance = module.embedding(images)
        nearest = [
            min(
                gaussian_kl(mean[i], log_variance[i], mean[j], log_variance[j]).item()
                for j in range(20)
                if j != i
            )
            for i in range(20)
        ]
        assert module.state_dict()["memory.threshold"].item() == pytest.approx(
            threshold or sorted(nearest)[9], rel=1e-3
        )


def test_the_first_tasks_prior_is_as_sharp_as_the_pretrainings_images_make_it():
    module, images = clis(pretraining="variational"), torch.rand(3, 3, 16, 24)
    weights = module.network.convolutions[0].weight
    weights.log_variance.data += 8 + torch.randn_like(weights.log_variance)
    before, information = weights.log_variance.detach().clone(), torch.zeros_like(weights.mean)
    torch.manual_seed(1)
    for image in images:
        labels = Categorical(logits=module.network(image[None], sample=0.0)[0].movedim(0, -1))
        drawn = torch.multinomial(labels.probs.flatten(0, 1), 1).view(16, 24)
        information += torch.autograd.grad(labels.log_prob(drawn).sum(), weights.mean)[0] ** 2
    torch.manual_seed(1)
    module.prepare(shown(images))
    expected = torch.minimum(before, -torch.log(1 + information))
    assert torch.allclose(weights.prior_log_variance, expected, atol=1e-4)
    assert torch.equal(weights.log_variance, weights.prior_log_variance)
    assert 0 < (expected < before).sum() < expected.numel()
    learned = clis(pretraining="variational", information=0)
    kept = learned.network.convolutions[0].weight.log_variance.detach().clone() + 8
    learned.network.convolutions[0].weight.log_variance.data += 8
    learned.prepare(shown(images))
    assert torch.equal(learned.network.convolutions[0].weight.prior_log_variance, kept)
    void = clis(pretraining="variational")
    before = void.network.convolutions[0].weight.log_variance.detach().clone() + 8
    void.network.convolutions[0].weight.log_variance.data += 8
    void.prepare(shown(images, 255))
    assert torch.allclose(
        void.network.convolutions[0].weight.log_variance, torch.minimum(before, torch.zeros(()))
    )
