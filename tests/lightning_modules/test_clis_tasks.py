"""Tasks of CLIS: the gates that they begin with, their rounds, and what they leave to the next."""

import pytest
import torch
from torch.distributions import Categorical

from interseg.continual.consolidation import FREE, PackNet
from interseg.networks.clis_network import CLISNetwork
from lightning_modules.continual_baselines import ContinualBaseline
from tests.helpers.clis import begin_at, begun, clis, shown, store


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


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
