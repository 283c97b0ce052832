import math
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Categorical
from torch.nn.functional import cross_entropy

from interseg.continual.consolidation import FREE, PackNet
from interseg.continual.embedding import ImageEmbedding, gaussian_kl
from interseg.continual.uncertainty import entropy
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.clis import CLIS
from lightning_modules.continual_baselines import ContinualBaseline
from lightning_modules.optimisation import Optimisation
from lightning_modules.task_learner import Propagation, weighted_cross_entropy


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def clis(spare=0, gates="expected", **options):
    return CLIS(
        CLISNetwork(2, 5, 6, gates=gates, spare=spare),
        ImageEmbedding((16, 24), 4, 4),
        samples=4,
        **options,
    )


def shown(images, label=0):
    """What `prepare` asks of a data module."""
    count = len(images)

    def batch(size, start=0):
        rows = images[[(start + i) % count for i in range(min(size, count))]]
        return {
            "image": rows,
            "mask": torch.full((len(rows), *images.shape[2:]), label, dtype=torch.uint8),
        }

    return SimpleNamespace(pretraining_images=count, pretraining_batch=batch)


def play(module, images, round, new, last_round=0):
    """A round of the second task, as the loop plays it.

    The answer that was met, and the refined one.
    """
    batch = {
        "id": torch.arange(len(images)),
        "image": images,
        "mask": torch.zeros(len(images), 16, 24, dtype=torch.uint8),
    }
    batch |= {"sequence": 0, "task": 1, "round": round, "last_round": last_round}
    met = module.begin_round(batch)
    batch |= met._asdict() | {
        "annotation": torch.full((len(images), 16, 24), 255, dtype=torch.uint8),
        "new": torch.tensor([new]),
    }
    return met, module.training_step(batch, round)


def begin_at(module, probabilities):
    for gates, part in zip(
        module.network.gates, probabilities.split(module.network.counts), strict=True
    ):
        gates.begin_at(part)


def store(module, image, probabilities):
    with torch.no_grad():
        mean, log_variance = (part[0] for part in module.embedding(image))
    module.memory.store(mean, log_variance, list(probabilities.split(module.network.counts)))


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
    module, seen = clis(threshold=5.0).eval(), []
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


def test_after_a_task_the_posterior_is_the_prior_and_its_pair_is_kept():
    module = clis()
    before = module.network.kl(module.network.probabilities(sample=False))
    module.finish(task(torch.rand(1, 3, 16, 24), annotated=False))
    after = module.network.kl(module.network.probabilities(sample=False))
    assert before > 1
    assert after.item() == pytest.approx(0, abs=1e-2)
    assert len(module.memory) == 1
    module.prepare(shown(torch.rand(3, 3, 16, 24)))
    assert len(module.memory) == 0


def begun(module, image):
    module._seed = 0
    module.begin({"image": image, "mask": torch.zeros(1, 16, 24, dtype=torch.uint8)})
    return [
        chosen.nonzero()[:, 0].tolist() for chosen in module.opened.split(module.network.counts)
    ]


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


def test_a_task_begins_with_the_gates_that_are_found_whenever_its_user_annotates(monkeypatch):
    module, image, seen = clis(), torch.rand(1, 3, 16, 24), []
    module._seed = 0
    learned = torch.rand(sum(module.network.counts)) * 0.8 + 0.1

    def learn(self, *_):
        seen.append(torch.cat(self.activation()))
        begin_at(self, learned)

    monkeypatch.setattr("lightning_modules.task_learner.TaskLearner.take_steps", learn)
    previous, stored = (torch.rand(sum(module.network.counts)) * 0.8 + 0.1 for _ in range(2))
    store(module, image, stored)
    for rounds in ((0, 0), (0, 16), (16, 0), (16, 16)):
        begin_at(module, previous)
        seen.clear()
        module.memory.pairs = module.memory.pairs[:1]
        for round, new in enumerate(rounds):
            met, refined = play(module, image, round, new, last_round=round)
            assert new or torch.equal(met.probabilities, refined["probabilities"])
        assert len(seen) == sum(new > 0 for new in rounds)
        assert all(
            torch.allclose(gates, expected, atol=1e-3)
            for gates, expected in zip(seen, (stored, learned), strict=False)
        )
        kept = module.memory.pairs[-1, -len(stored) :]
        assert torch.allclose(kept, learned if any(rounds) else stored, atol=1e-3), rounds


def test_where_a_task_begins_elsewhere_there_is_its_gates_prior():
    module, image = clis(), torch.rand(1, 3, 16, 24)
    module.prepare(shown(torch.rand(3, 3, 16, 24)))
    store(module, image, torch.full((83,), 0.3))
    begun(module, image)
    assert torch.allclose(torch.cat(module.activation()), torch.tensor(0.3), atol=1e-3)
    terms = [
        term.item()
        for gates, p in zip(module.network.gates, module.network.probabilities(), strict=True)
        for term in gates.kl(p)
    ]
    assert terms == pytest.approx([0] * 28, abs=1e-4)


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
                module._bound(images, labels, torch.ones_like(labels), math.inf, 1.0).item()
                for _ in range(5)
            )
        )
    assert bounds[1] < 0.95 * bounds[0]


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


def test_a_task_of_two_images_is_answered_with_the_gates_that_it_learns(monkeypatch):
    module, images, seen = clis(), torch.stack([torch.zeros(3, 16, 24), torch.ones(3, 16, 24)]), []
    module._seed = 0
    stored = [torch.rand(sum(module.network.counts)) * 0.8 + 0.1 for _ in images]
    learned = torch.rand(sum(module.network.counts)) * 0.8 + 0.1
    for image, gates in zip(images, stored, strict=True):  # the first task's two
        store(module, image[None], gates)
    monkeypatch.setattr(
        "lightning_modules.task_learner.TaskLearner.take_steps",
        lambda self, *_: begin_at(self, learned),
    )
    forward = module.network.forward
    module.network.forward = lambda image, gates=None, sample=True: (
        seen.append(torch.cat(gates)),
        forward(image, gates, sample),
    )[1]
    for round in range(2):
        play(module, 0.1 + 0.8 * images, round, 16, last_round=round)
    assert torch.allclose(seen[0], torch.stack(stored).mean(0), atol=1e-3)
    assert len(seen) == 3 * 4  # two images share the draws of an answer
    assert all(torch.allclose(gates, learned, atol=1e-3) for gates in seen[4:])
    assert len(module.memory) == 4
    seen.clear()
    module.predict({"image": images}, 0)
    assert torch.equal(seen[0], stored[0])
    assert torch.equal(seen[4], stored[1])


def test_a_round_begins_with_the_answer_that_the_one_before_ended_with(monkeypatch):
    module, image, passes = clis(), torch.rand(1, 3, 16, 24), []
    module._seed = 0
    monkeypatch.setattr(
        "lightning_modules.task_learner.TaskLearner.take_steps",
        lambda self, *_: begin_at(self, torch.full((83,), 0.5)),
    )
    module.network.register_forward_hook(lambda *_: passes.append(1))
    _, refined = play(module, image, 0, 16)
    assert len(passes) == 2 * 4
    met, _ = play(module, image, 1, 0)
    assert len(passes) == 3 * 4
    module.setup("fit")  # as a resumed run does
    again, _ = play(module, image, 1, 0)
    assert len(passes) == 5 * 4
    assert torch.equal(met.probabilities, refined["probabilities"])
    assert torch.equal(again.probabilities, met.probabilities)


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
    void = clis(pretraining="variational")
    before = void.network.convolutions[0].weight.log_variance.detach().clone() + 8
    void.network.convolutions[0].weight.log_variance.data += 8
    void.prepare(shown(images, 255))
    assert torch.allclose(
        void.network.convolutions[0].weight.log_variance, torch.minimum(before, torch.zeros(()))
    )


def task(images, annotated=True):
    """A task that ends, on which the user has annotated a pixel or nothing."""
    annotation = torch.full((len(images), 16, 24), 255, dtype=torch.uint8)
    annotation[:, 3, 4] = 1 if annotated else 255
    return {"image": images, "annotation": annotation}


@pytest.mark.parametrize("weight", [0.0, 100.0])
@pytest.mark.parametrize("count", [1, 2])
def test_a_tasks_information_makes_the_next_tasks_prior_sharper(count, weight, monkeypatch):
    monkeypatch.setattr("lightning_modules.clis.INFORMATION_DRAWS", 1)
    module, images = clis(information=weight), torch.rand(count, 3, 16, 24)
    module.network.hand_over()
    weights = module.network.convolutions[0].weight
    before = weights.prior_log_variance.clone()
    assert torch.equal(before, weights.log_variance)
    information = torch.zeros_like(weights.mean)
    torch.manual_seed(1)
    for image in images:
        labels = Categorical(logits=module.network(image[None], sample=0.0)[0].movedim(0, -1))
        drawn = torch.multinomial(labels.probs.flatten(0, 1), 1).view(16, 24)
        square = torch.autograd.grad(labels.log_prob(drawn).sum(), weights.mean)[0] ** 2
        information += weight / count * square
    torch.manual_seed(1)
    module.finish(task(images))
    expected = -torch.log(torch.exp(-before) + information)
    assert torch.allclose(weights.prior_log_variance, expected, atol=1e-4)
    assert torch.equal(weights.log_variance, weights.prior_log_variance)
    assert bool((expected < before).any()) == bool(weight)


@pytest.mark.parametrize("options", [{}, {"steps": 0}])
def test_a_task_in_which_nothing_is_learned_sharpens_nothing(options):
    module = clis(**options)
    before = module.network.convolutions[0].weight.log_variance.clone()
    module.finish(task(torch.rand(1, 3, 16, 24), annotated=bool(options)))
    assert torch.equal(module.network.convolutions[0].weight.prior_log_variance, before)


def test_packnets_tasks_are_counted_where_nothing_was_annotated_in_one():
    module, image = (
        ContinualBaseline(CLISNetwork(2, 5, 6, variational=False), PackNet()),
        torch.rand(1, 3, 16, 24),
    )
    module.consolidation.end(module.network, image)  # the pretraining
    nothing, something = torch.full((1, 16, 24), 255), torch.zeros(1, 16, 24)
    before = module.predict({"image": image}).probabilities
    module.finish({"image": image, "annotation": nothing})
    with torch.no_grad():
        for name, value in module.network.named_parameters():
            value += 0.1 * (module.consolidation.owner(name) == FREE)
    module.take_steps = lambda batch, steps: None
    module.finish({"image": image, "annotation": something})
    assert torch.equal(module.predict({"image": image}, 0).probabilities, before)
    assert torch.equal(
        module.predict({"image": image}, 1).probabilities,
        module.predict_current(image).probabilities,
    )
    assert not torch.allclose(module.predict({"image": image}, 1).probabilities, before, atol=1e-3)
