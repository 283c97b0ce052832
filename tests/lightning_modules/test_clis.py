"""CLIS without a Trainer: answers, gates that are retrieved, loss and rates."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from interseg.continual.uncertainty import entropy
from interseg.losses import weighted_cross_entropy
from lightning_modules.optimisation import Optimisation
from lightning_modules.task_learner import Propagation
from tests.helpers.clis import clis, store


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_the_likelihood_weighs_annotated_pixels_and_leaves_void_out():
    logits, labels, weights = (
        torch.randn(1, 3, 4, 5),
        torch.randint(0, 3, (1, 4, 5)),
        torch.rand(1, 4, 5) * 9 + 1,
    )
    soft, expected = torch.rand(1, 3, 4, 5).softmax(1), 0.0
    for y in range(4):
        for x in range(5):
            expected -= (
                weights[0, y, x] * (soft[0, :, y, x] * logits[0, :, y, x].log_softmax(0)).sum()
            ).item()
    assert weighted_cross_entropy(logits, soft, weights).item() == pytest.approx(expected / 20)
    labels[0, 0, 0] = 255
    expected = 0.0
    for y in range(4):
        for x in range(5):
            if labels[0, y, x] != 255:
                expected += weights[0, y, x] * cross_entropy(logits[:, :, y, x], labels[:, y, x])
    assert weighted_cross_entropy(logits, labels, weights).item() == pytest.approx(
        expected.item() / 20
    )


def test_an_answer_is_the_mean_of_its_draws_and_its_entropy():
    module, image = clis().eval(), torch.rand(2, 3, 16, 24)
    torch.manual_seed(1)
    answer = module.predict({"image": image})
    assert answer.probabilities.shape == (2, 2, 16, 24)
    assert torch.allclose(answer.uncertainty, entropy(answer.probabilities))
    assert 0 < answer.epistemic.mean() < answer.uncertainty.mean()
    torch.manual_seed(1)
    gates = list(module.pretrained_gates.split(module.network.counts))
    with torch.no_grad():
        draws = torch.stack([module.network(image[:1], gates).softmax(1) for _ in range(4)])
    assert torch.allclose(answer.probabilities[:1], draws.mean(0))
    assert torch.allclose(module.segment({"image": image}).exp().sum(1), torch.ones(2, 16, 24))


def test_gates_are_the_most_alike_tasks_or_the_pretrained_ones():
    module, seen = clis().eval(), []
    module.memory.threshold.fill_(5.0)
    module.network.forward = lambda image, gates=None, sample=True: (
        seen.append(gates),
        torch.zeros(1, 2, 16, 24),
    )[1]
    image, other = torch.rand(1, 3, 16, 24), torch.zeros(1, 3, 16, 24)
    with torch.no_grad():
        mean, log_variance = module.embedding(image)
    kept = [torch.full((n,), 0.25) for n in module.network.counts]
    module.memory.store(mean[0], log_variance[0], kept)
    module.predict({"image": image})
    assert [g.tolist() for g in seen[-1]] == [g.tolist() for g in kept]
    module.memory.store(mean[0] + 100, log_variance[0], kept)
    module.memory.pairs = module.memory.pairs[1:]
    module.predict({"image": other})
    assert torch.equal(torch.cat(seen[-1]), module.pretrained_gates)
    module.predict_current(image)  # its own posterior
    assert torch.equal(torch.cat(seen[-1]), torch.cat(module.network.probabilities(sample=False)))


def test_tasks_learn_at_a_rate_of_their_own():
    for pretrained, rate in ((None, 1e-3), ("a checkpoint", 3e-4)):
        module = clis(
            pretrained=pretrained,
            optimisation=Optimisation(learning_rate=1e-3, rates={"gates": 50}),
            task_rate=3e-4,
        )
        groups = module.configure_optimizers()["optimizer"].param_groups
        assert {round(group["initial_lr"], 9) for group in groups} == {rate, 50 * rate}
        assert module.optimisation.learning_rate == 1e-3, "which PackNet's relearning keeps"


def test_tasks_have_no_schedule_and_no_warm_up_of_the_pretraining():
    given = Optimisation(learning_rate=1e-3, warmup=50, schedule="cosine", milestones={0: 0.1})
    for task_rate, rate in ((3e-4, 3e-4), (None, 1e-3)):
        module = clis(pretrained="a checkpoint", optimisation=given, task_rate=task_rate)
        groups = module.configure_optimizers()["optimizer"].param_groups
        assert {group["lr"] for group in groups} == {rate}


def test_gates_learn_at_their_own_rate():
    module = clis(optimisation=Optimisation(learning_rate=1e-3, rates={"gates": 50}))
    rates = {
        len(g["params"]): g["lr"] for g in module.configure_optimizers()["optimizer"].param_groups
    }
    assert rates[28] == pytest.approx(0.05)
    counted = sum(len(g["params"]) for g in module.configure_optimizers()["optimizer"].param_groups)
    assert counted == len(list(module.parameters()))


def test_a_pretrained_autoencoder_learns_no_more():
    module = clis(pretrained="last.ckpt")
    assert not any(p.requires_grad for p in module.embedding.parameters())
    counted = sum(len(g["params"]) for g in module.configure_optimizers()["optimizer"].param_groups)
    assert counted == len(list(module.network.parameters()))


def test_the_kl_is_scaled_by_pixels():
    module = clis(kl_weight=1.0)
    images, labels, ones = (
        torch.rand(1, 3, 16, 24),
        torch.randint(0, 2, (1, 16, 24)),
        torch.ones(1, 16, 24),
    )
    torch.manual_seed(1)
    with_kl = module.loss(images, labels, ones)
    torch.manual_seed(1)
    kl = module.network.kl(module.network.probabilities())
    module.kl_weight = 0.0
    torch.manual_seed(1)
    assert with_kl.item() == pytest.approx(
        module.loss(images, labels, ones).item() + kl.item() / (16 * 24), rel=1e-5
    )


def test_propagation_takes_images_as_the_batch_has_them():
    image, probabilities = torch.rand(3, 10, 12), torch.rand(2, 10, 12).softmax(0)
    annotation = torch.full((10, 12), 255, dtype=torch.uint8)
    annotation[2:5, 2:5] = 1
    found = Propagation(pair_weight=0.0)(image, probabilities, annotation)
    assert (found[1, 2:5, 2:5] > 0.99).all()
    assert torch.allclose(found[:, 6:], probabilities[:, 6:], atol=1e-5)


@pytest.mark.parametrize("retrieval", ["nearest", "last", "oracle"])
def test_gates_are_retrieved_by_likeness_or_by_the_truth_or_not_at_all(retrieval):
    module, image = clis(retrieval=retrieval).eval(), torch.rand(1, 3, 16, 24)
    known = [torch.rand(83) * 0.8 + 0.1 for _ in range(4)]
    for gates in known:
        store(module, torch.rand(1, 3, 16, 24), gates)
    with torch.no_grad():
        answers = [
            module.network(image, list(g.split(module.network.counts)), 0.0)
            for g in [module.pretrained_gates, *known]
        ]
    mask = (answers[2][:, 1] > answers[2][:, 0]).byte()
    losses = [cross_entropy(logits, mask.long()).item() for logits in answers]
    mean, log_variance = module.embedding(image)
    nearest = int(module.memory.distances(mean[0], log_variance[0]).argmin())
    expected = {
        "nearest": known[nearest],
        "last": torch.cat(module.activation()),
        "oracle": [module.pretrained_gates, *known][losses.index(min(losses))],
    }[retrieval]
    with torch.no_grad():
        assert torch.allclose(torch.cat(module._find_gates(image, mask)), expected)
        if retrieval == "oracle":  # without the truth, by likeness
            assert torch.allclose(torch.cat(module._find_gates(image)), known[nearest])
    torch.manual_seed(1)
    found = module.predict({"image": image, "mask": mask}).probabilities
    torch.manual_seed(1)
    with torch.no_grad():
        assert torch.allclose(
            found, module._predict(image, list(expected.split(module.network.counts))).probabilities
        )


def test_draws_of_a_step_are_averaged():
    images, labels, ones = (
        torch.rand(1, 3, 16, 24),
        torch.randint(0, 2, (1, 16, 24)),
        torch.ones(1, 16, 24),
    )
    module = clis(draws=3)
    torch.manual_seed(1)
    together = module.loss(images, labels, ones)
    module.draws = 1
    torch.manual_seed(1)
    assert together.item() == pytest.approx(
        sum(module.loss(images, labels, ones).item() for _ in range(3)) / 3, rel=1e-5
    )
