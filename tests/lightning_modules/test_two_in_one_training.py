"""Training steps of two-in-one: a phase's own network, and the loss of a slow step."""

import numpy as np
import pytest
import torch

from interseg.clicks.layout import clicks_of
from interseg.evaluation.overlap import iou
from interseg.views import Box
from lightning_modules.optimisation import Optimisation
from lightning_modules.two_in_one import TwoInOne
from lightning_modules.two_in_one_targets import square
from tests.helpers.two_in_one import Fitting, batch, network, with_distance


def fitting(epoch, monkeypatch, **options):
    module = TwoInOne(
        network(),
        selection_epochs=1,
        optimisation=Optimisation("adamw", 1e-3, weight_decay=0.1),
        **options,
    ).train()
    monkeypatch.setattr(TwoInOne, "log", lambda *a, **k: None)
    module._trainer, module._seed = Fitting(epoch), 3
    return module


@pytest.mark.parametrize(("epoch", "trained"), [(0, {"encoder", "selection"}), (1, {"refinement"})])
def test_each_phase_trains_its_own_network(epoch, trained, monkeypatch):
    module = fitting(epoch, monkeypatch, selected=(0.0, 1.0))
    optimizer = module.configure_optimizers()["optimizer"]
    before = {k: v.clone() for k, v in module.network.state_dict().items()}
    outputs = module.training_step(with_distance(batch([(30, 40, 1)], [(31, 41, 1)])), 0)
    outputs["loss"].backward()
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
    module.on_before_optimizer_step(optimizer)
    optimizer.step()
    assert {
        k.split(".")[0]
        for k, v in module.network.state_dict().items()
        if not torch.equal(v, before[k])
    } == trained
    assert outputs["logits"].shape == (2, 1, 64, 96)
    assert ("refinement" in module.untrained(epoch)) == (epoch == 0)


def test_a_step_without_an_object_to_refine_has_no_loss(monkeypatch):
    module = fitting(1, monkeypatch)
    given = with_distance(batch([(30, 40, 1)], [(30, 40, 1)]))
    given["clicks"][:] = -1
    given["mask"][:] = 0
    loss = module.training_step(given, 0)["loss"]
    assert loss.item() == 0
    loss.backward()


def test_the_refinements_loss_counts_in_the_crop_and_twice_round_clicks(monkeypatch):
    module = fitting(1, monkeypatch, selected=(0.0, 1.0), emphasis_side=6)
    seen = []
    loss = module.loss.forward
    module.loss.forward = lambda logits, mask, distance, weight, counts: (
        seen.append((mask, weight, counts)),
        loss(logits, mask, distance, weight, counts),
    )[1]
    given = with_distance(batch([(30, 40, 1)]))
    drawn = []
    draw = module.targets.draw_clicks
    module.targets.draw_clicks = lambda *a: drawn.append(draw(*a)) or drawn[-1]
    module.training_step(given, 0)
    ((mask, weight, counts),) = seen
    twice = torch.ones(64, 96)
    for y, x, *_ in drawn[0].tolist():
        twice[square(y, x, 6)] = 2
    assert torch.equal(weight[0], twice)
    assert counts.tolist() == [(mask == 1).sum().item(), (mask == 0).sum().item()]


def test_what_is_drawn_depends_on_seed_epoch_and_object_alone(monkeypatch):
    module = fitting(1, monkeypatch, selected=(0.0, 1.0))
    given = with_distance(batch([(30, 40, 1)], [(30, 40, 1)]))
    clicks = []
    draw = module.targets.draw_clicks
    module.targets.draw_clicks = lambda *a: clicks.append(draw(*a)) or clicks[-1]
    module.training_step(given, 0)
    module.training_step({key: value[1:] for key, value in given.items()}, 0)
    assert np.array_equal(clicks[1], clicks[2])


def slow_refinement_step(module, given):
    """Loss of a refinement step, object by object and pixel by pixel of the loop's own
    definitions.
    """
    from interseg.losses import balanced_cross_entropy, boundary_weight
    from interseg.views import restore

    network = module.network
    kept, parts = [], []
    for row in range(len(given["id"])):
        one = {
            key: value[row : row + 1]
            for key, value in given.items()
            if isinstance(value, torch.Tensor)
        }
        with torch.no_grad():
            logits, features = network(
                one["image"], module.answers.guidance(one["clicks"][:, :1], 64, 96)[:, :1]
            )
        prediction, mask = (logits[0, 0] > 0).numpy(), one["mask"][0].numpy()
        if not module.targets.selected[0] <= iou(prediction, mask) <= module.targets.selected[1]:
            continue
        clicks = module.targets.draw_clicks(
            prediction,
            mask,
            np.random.default_rng((3, 1, int(one["id"]))),
            np.zeros((64, 96), bool),
        )
        likely = (logits[0, 0].sigmoid() > module.answers.threshold).nonzero()
        low, high = likely.min(0).values.tolist(), likely.max(0).values.tolist()
        box = Box(
            max(0, low[0] - 2), max(0, low[1] - 2), min(64, high[0] + 3), min(96, high[1] + 3)
        ).with_clicks(clicks)
        one_label = torch.from_numpy(clicks_of([(y, x, 1) for y, x, *_ in clicks.tolist()]))[None]
        maps = module.answers.guidance(one_label, 64, 96)[:, :1]
        answer = restore(network.refine(features, maps, [box]), box, (64, 96))
        target = torch.full((1, 64, 96), 255, dtype=torch.uint8)
        target[:, box.top : box.bottom, box.left : box.right] = one["mask"][
            :, box.top : box.bottom, box.left : box.right
        ]
        weight = 1 + boundary_weight(one["distance"])
        twice = torch.ones_like(weight)
        for y, x, *_ in clicks.tolist():
            twice[0, max(0, y - 3) : y + 3, max(0, x - 3) : x + 3] = 2
        kept.append(row)
        parts.append((answer, target, weight * twice))
    joined = [torch.cat(column) for column in zip(*parts, strict=True)]
    return kept, balanced_cross_entropy(*joined)


def test_a_refinement_step_is_the_slow_one_on_different_objects(monkeypatch):
    module = fitting(1, monkeypatch, padding=2, emphasis_side=6, threshold=0.5)
    masks = torch.zeros(3, 64, 96, dtype=torch.uint8)
    masks[0, 8:30, 10:50] = 1
    masks[1, 30:60, 40:90] = 1
    masks[2, 20:50, 5:35] = 1
    given = with_distance(
        batch([(20, 30, 1)], [(45, 60, 1)], [(35, 20, 1)])
        | {"mask": masks, "id": torch.tensor([7, 8, 9])}
    )
    shown = torch.stack(
        [torch.roll(m, s, 1) for m, s in zip(masks, (14, 0, 8), strict=True)]
    )  # the second is selected rightly
    monkeypatch.setattr(
        type(module.network), "forward", lambda self, image, maps: selected_by(image, shown, given)
    )
    kept, expected = slow_refinement_step(module, given)
    assert kept == [0, 2]
    outputs = module.training_step(given, 0)
    assert outputs["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert not torch.equal(outputs["logits"][0], outputs["logits"][1])


def selected_by(image, shown, given):
    """Selections that are the shown masks, and features that tell the objects apart."""
    rows = [int((given["image"] == one).flatten(1).all(1).nonzero()[0]) for one in image]
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(3, 16, 8, 12, generator=generator)
    return torch.where(shown[rows] == 1, 4.0, -4.0)[:, None], features[rows]


def test_the_selections_norms_stand_still_while_the_refinement_learns(monkeypatch):
    monkeypatch.setattr(TwoInOne, "log", lambda *a, **k: None)
    module = TwoInOne(network(norm="batch"), selection_epochs=1, selected=(0.0, 1.0)).train()
    module._trainer, module._seed = Fitting(1), 3
    before = {k: v.clone() for k, v in module.network.state_dict().items()}
    module.training_step(with_distance(batch([(30, 40, 1)], [(31, 41, 1)])), 0)
    after = module.network.state_dict()
    moved = {
        k.split(".")[0] for k in before if "running" in k and not torch.equal(before[k], after[k])
    }
    assert moved == {"refinement"}


def test_a_step_with_nothing_to_refine_moves_nothing(monkeypatch):
    module = fitting(1, monkeypatch, selected=(0.999, 1.0))
    optimizer = module.configure_optimizers()["optimizer"]
    before = {k: v.clone() for k, v in module.network.state_dict().items()}
    module.training_step(with_distance(batch([(30, 40, 1)])), 0)["loss"].backward()
    module.on_before_optimizer_step(optimizer)
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in module.network.state_dict().items())
