"""Refinement on a small network of ours.

Gradients, batches, what it must not touch, and where it must stop.
"""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from interseg.clicks.layout import clicks_of
from interseg.errors import InputError
from interseg.inference.refine import (
    COUNTS,
    agreement,
    corrective_energy,
    right,
    wanted_labels,
)
from interseg.inference.refiners import REFINERS, BRSRefiner, FeatureRefiner, MapRefiner, refiner_of
from interseg.inference.rerun import frozen
from interseg.inference.scene import Scene
from interseg.views import Box
from tests.helpers.small_network import Small, clicks, network, refined, same, scene

FAST = ["brs", "dist_map_brs", "rgb_brs", "f_brs_b", "f_brs_c"]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", FAST)
def test_the_gradient_of_the_energy_is_that_of_finite_differences(name, flip):
    refiner, given = REFINERS[name](), scene(network(), flip=flip)
    with frozen(given.network):
        _, size, logits_of = refiner.begin(given, [0, 1, 2, 3], [None] * 4)

        def energy(rows):
            variables = 0.1 * rows
            logits = logits_of([2, 0], variables)
            labels = [wanted_labels(given.clicks[i], 20, 24, refiner.reach) for i in (2, 0)]
            return (
                sum(
                    corrective_energy(w, y, refiner.mean)
                    for w, y in zip(logits, labels, strict=True)
                )
                + refiner.inertia(variables).sum()
            )

        start = torch.randn(
            2, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        ).requires_grad_()
        direction = torch.randn(
            2, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        (gradient,) = torch.autograd.grad(energy(start), start)
        step = 1e-6
        numeric = (energy(start + step * direction) - energy(start - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(numeric.item(), rel=1e-6)


@pytest.mark.parametrize("name", FAST)
def test_clicked_pixels_get_their_labels_and_the_network_stays_as_it_was(name):
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    given = scene(net)
    plain = given.forward()
    logits, states = refined(REFINERS[name](), given)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or "forward" in vars(m) for m in net.modules())
    for i, state in enumerate(states):
        labels = wanted_labels(given.clicks[i], 20, 24, REFINERS[name]().reach)
        if right(plain[i], labels):
            assert state == {}
            assert torch.equal(logits[i], plain[i])
        else:
            assert state["counts"]["refinements"] == 1
            energies = [
                corrective_energy(w, labels, REFINERS[name]().mean).item()
                for w in (plain[i], logits[i])
            ]
            assert energies[1] < energies[0]
    if name in ("brs", "dist_map_brs"):
        assert all(
            right(w, wanted_labels(c, 20, 24, 0)) for w, c in zip(logits, given.clicks, strict=True)
        )
    assert any(state for state in states)


@pytest.mark.parametrize("name", FAST)
def test_it_refines_in_full_precision_where_the_trainer_has_mixed(name):
    given = scene(network())
    logits, states = refined(REFINERS[name](), given)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, counts = refined(REFINERS[name](), given)
    assert [c.get("counts") for c in counts] == [s.get("counts") for s in states]
    assert all(torch.equal(one, other) for one, other in zip(mixed, logits, strict=True))


def test_the_energy_of_half_precision_has_a_gradient_where_the_network_is_sure():
    logits = torch.full((1, 4, 4), 7.0, dtype=torch.bfloat16, requires_grad=True)
    energy = corrective_energy(logits, np.array([[1, 2, 0]]), False)
    energy.backward()
    assert logits.grad is not None
    assert logits.grad[0, 1, 2] > 0


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", FAST)
def test_a_batch_is_refined_as_its_objects_one_by_one(name, flip):
    given = scene(network(), objects=6, flip=flip, sizes=((20, 24), (16, 18)))
    together, states = refined(REFINERS[name](), given)
    for i in range(6):
        part = Scene(
            given.network,
            [given.images[i]],
            [given.maps[i]],
            [given.restore[i]],
            [given.clicks[i]],
            flip,
            [i],
        )
        (alone,), (state,) = refined(REFINERS[name](), part)
        assert torch.allclose(together[i], alone, atol=1e-9)
        assert state.get("counts") == states[i].get("counts")
    if name == "brs":
        assert len({str(s.get("counts")) for s in states}) > 2  # they stopped at different times


def test_brs_lowers_the_energy_as_far_as_scipy_does():
    net = network()
    given = scene(net, objects=1)
    given.clicks[0] = clicks_of([(2, 3, 1), (2, 9, 0), (15, 20, 1), (10, 4, 0)])
    labels = wanted_labels(given.clicks[0], 20, 24, 0)

    def energy(x):
        delta = torch.from_numpy(x).view(1, 2, 20, 24).requires_grad_()
        value = (
            corrective_energy(net(given.images[0], given.maps[0] + delta)[0], labels, mean=False)
            + 1e-3 * (delta**2).sum()
        )
        value.backward()
        return value.item(), delta.grad.numpy().ravel()

    theirs = scipy.optimize.minimize(
        energy, np.zeros(960), jac=True, method="L-BFGS-B", options={"maxcor": 20, "maxiter": 300}
    )

    class ToTheEnd(BRSRefiner):
        """Goes on after the labels are right, as scipy does."""

    import interseg.inference.refine as module

    original = module.right
    try:
        calls = iter([False])
        module.right = lambda *_: next(calls, False)
        _, (state,) = refined(ToTheEnd(iterations=300), given)
    finally:
        module.right = original
    ours = energy(state["variables"].numpy())[0]
    assert ours == pytest.approx(theirs.fun, rel=1e-3)
    assert ours <= theirs.fun * 1.001


def test_what_was_found_is_carried_over_to_the_next_click():
    given = scene(network(), objects=1)
    given.clicks[0] = clicks(3, 4)
    (_,), (state,) = refined(BRSRefiner(), given)
    (again,), (after,) = refined(BRSRefiner(), given, [state])
    assert (
        after["counts"]["refinements"] == 1
    )  # nothing is wrong any more: only the forward pass, with the maps found before
    assert right(again, wanted_labels(given.clicks[0], 20, 24, 0))
    assert torch.equal(after["variables"], state["variables"])


@pytest.mark.parametrize("name", FAST)
def test_a_round_counts_on_from_its_state_and_can_be_played_again_from_it(name):
    given = scene(network(), objects=1)
    given.clicks[0] = clicks(3, 4)
    (first,), (state,) = refined(REFINERS[name](), given)
    assert state["counts"]["refinements"] == 1
    wrong = [(y, x) for y in range(20) for x in range(24) if first[0, y, x] < 0]
    later = given._replace(
        clicks=[np.concatenate([given.clicks[0], clicks_of([(*wrong[len(wrong) // 2], 1)])])]
    )
    logits, (after,) = refined(REFINERS[name](), later, [state])
    assert after["counts"]["refinements"] == 2
    assert after["counts"]["refinement_evaluations"] > state["counts"]["refinement_evaluations"]
    assert not torch.equal(after["variables"], state["variables"])
    again, (same_again,) = refined(REFINERS[name](), later, [state])
    assert torch.equal(logits[0], again[0])
    assert same([after], [same_again])


def test_squares_are_clipped_at_the_border_and_a_clicked_pixel_keeps_its_label():
    labels = wanted_labels(clicks_of([(0, 0, 1), (0, 1, 0), (19, 23, 1)]), 20, 24, 1)
    wanted = {(y, x): label for y, x, label in labels.tolist()}
    assert wanted[0, 0] == 1
    assert wanted[0, 1] == 0
    assert wanted[1, 0] == 0
    assert set(wanted) == {(y, x) for y in (0, 1) for x in (0, 1, 2)} | {
        (y, x) for y in (18, 19) for x in (22, 23)
    }
    given = scene(network(), objects=1)
    given.clicks[0] = clicks_of([(0, 0, 1), (0, 12, 0), (7, 0, 1), (19, 23, 0)])
    for name in FAST:
        (logits,), _ = refined(REFINERS[name](), given)
        assert logits.isfinite().all()


def test_an_optimisation_that_fails_keeps_the_forward_pass_and_is_counted():
    class Flat(Small):
        """The answer does not depend on the maps."""

        def forward(self, image, guidance):
            return super().forward(image, guidance * 0) * 0 - 1 + 0 * guidance[:, :1]

    given = scene(Flat().double().eval(), objects=1)
    (logits,), (state,) = refined(BRSRefiner(), given)
    assert (logits == -1).all()
    assert state["counts"] == dict(zip(COUNTS, (1, 1, 1), strict=True))
    assert "variables" not in state


def test_an_answer_that_is_no_number_names_the_object():
    given = scene(network(), objects=2)
    given.images[1][:] = torch.nan
    with pytest.raises(InputError, match="answer to object 1 is NaN or infinite"):
        refined(BRSRefiner(), given)


def test_unknown_refiners_and_points_are_named():
    with pytest.raises(InputError, match="refiner is 'f_brs'; use one of brs"):
        refiner_of("f_brs")
    assert isinstance(refiner_of("f_brs_c"), FeatureRefiner)
    assert refiner_of(None) is None
    with pytest.raises(InputError, match="Small has no refinement point 'a'; it has b, c"):
        refined(FeatureRefiner("a"), scene(network()))
    with pytest.raises(InputError, match="Conv2d has no refinement point 'b'; use brs"):
        FeatureRefiner("b").layer(nn.Conv2d(3, 3, 1))


def test_squares_that_reach_beyond_the_view_count_only_within_it():
    given = scene(network(), objects=1)
    given.clicks[0] = clicks_of([(10, 5, 1), (3, 3, 0)])
    labels = MapRefiner()._labels(given._replace(boxes=[Box(0, 0, 11, 24)]), 0, given.forward()[0])
    assert {y for y, _, label in labels.tolist() if label == 1} == {9, 10}


def test_points_whose_logits_are_no_numbers_are_never_good_enough():
    from interseg.inference.refine import _answer

    logits = torch.full((1, 4, 4), torch.inf)
    answer = _answer(0.1, torch.zeros(2), logits, np.array([[1, 1, 1]], np.int64))
    assert not answer.done
    assert np.isnan(answer.energy)


@pytest.mark.parametrize("name", ["f_brs_b", "f_brs_c"])
def test_a_round_runs_what_no_variable_changes_once_refined_or_not(name, monkeypatch):
    net = network()
    given, ran = scene(net), []
    convolve = nn.Conv2d._conv_forward
    monkeypatch.setattr(
        nn.Conv2d,
        "_conv_forward",
        lambda self, *a: (ran.append(1) if self is net.stem else None, convolve(self, *a))[1],
    )
    answers, states = refined(refiner_of(name), given)
    assert any(state.get("counts") for state in states)
    assert len(ran) == 1
    again, played = refined(refiner_of(name), given, states)  # from the variables that were found
    assert len(ran) == 2
    for before, after, state in zip(answers, again, played, strict=True):
        if state.get("counts", {}).get("refinements", 0) <= 1:
            assert torch.allclose(before, after, atol=1e-9)


@pytest.mark.parametrize("name", FAST)
def test_a_search_ends_where_the_mask_hardly_changes_with_the_best_point_so_far(name):
    given = scene(network())
    refiner = REFINERS[name]()
    _, whole = refined(refiner, given)
    refiner.settled = 0.0  # any two masks that overlap agree so far
    logits, ended = refined(refiner, given)
    plain = given.forward()
    for answer, forward, state, clicked in zip(logits, plain, ended, given.clicks, strict=True):
        if state:
            labels = wanted_labels(clicked, 20, 24, refiner.reach)
            before, after = (
                corrective_energy(one, labels, refiner.mean) for one in (forward, answer)
            )
            assert after <= before
    spent, spent_before = (
        [state["counts"]["refinement_evaluations"] for state in states if state]
        for states in (ended, whole)
    )
    assert sum(spent) < sum(spent_before)
    assert all(few <= many for few, many in zip(spent, spent_before, strict=True))
    refiner.settled = 1.0  # none do
    _, never = refined(refiner, given)
    assert [s.get("counts") for s in never] == [s.get("counts") for s in whole]


def test_masks_agree_by_their_classes():
    one, other = torch.tensor([[0, 1, 1, 2]]), torch.tensor([[0, 1, 2, 2]])
    assert agreement(one, other) == 2 / 3
    assert agreement(one > 1, other > 1) == 1 / 2
    assert agreement(one * 0, one * 0) == 1


def test_settings_out_of_range_are_named():
    for settings in ({"evaluations": 0}, {"shown": 0}, {"settled": 99}):
        ((name, value),) = settings.items()
        with pytest.raises(InputError, match=f"{name} is {value}"):
            MapRefiner(**settings)
