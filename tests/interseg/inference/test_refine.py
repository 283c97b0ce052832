"""Refinement on a small network of ours: gradients, batches, what it must not touch, and where it must stop."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from interseg.errors import InputError
from interseg.inference.predictor import Predictor
from interseg.inference.refine import COUNTS, Scene, corrective_energy, right, wanted_labels
from interseg.inference.refiners import BRS, REFINERS, FeatureRefiner, MapRefiner, refiner_of
from interseg.inference.rerun import Rerun, changed, frozen
from interseg.inference.zoom import ZoomIn
from interseg.networks.click_network import ClickNetwork
from interseg.views import OUTSIDE, Box


class Small(nn.Module):
    """Two branches that meet, one activation used twice and one in place: what a rerun has to see through."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(5, 6, 3, padding=1)
        self.deep = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8))
        self.skip = nn.Conv2d(6, 4, 1)
        self.act = nn.Tanh()
        self.inplace = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Conv2d(12, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 1, 1))

    def refinement_points(self):
        return {"b": self.deep, "c": self.head[0]}

    def forward(self, image, guidance):
        x = self.act(self.stem(torch.cat([image, guidance], 1)))
        skip = self.inplace(self.skip(x))
        deep = nn.functional.interpolate(self.act(self.deep(x)), x.shape[-2:], mode="bilinear")
        return 4 * self.head(torch.cat([deep, skip], 1))


def network(seed=0):
    torch.manual_seed(seed)
    return Small().double().eval()


def clicks(seed, count=5, height=20, width=24):
    rng = np.random.default_rng(seed)
    pixels = rng.choice(height * width, count, replace=False)
    labels = np.r_[1, rng.integers(0, 2, count - 1)]
    return np.column_stack([pixels // width, pixels % width, labels]).astype(np.int64)


def scene(net, objects=4, flip=False, sizes=((20, 24),)):
    generator = torch.Generator().manual_seed(1)
    shapes = [sizes[i % len(sizes)] for i in range(objects)]
    return Scene(
        net,
        [torch.rand(1, 3, *s, generator=generator, dtype=torch.float64) for s in shapes],
        [torch.rand(1, 2, *s, generator=generator, dtype=torch.float64) for s in shapes],
        [lambda logits: logits] * objects,
        [clicks(i, 3 + i, *s) for i, s in enumerate(shapes)],
        flip,
        list(range(objects)),
    )


def refined(refiner, given):
    states = [{} for _ in given.clicks]
    return refiner(given, states), states


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
                sum(corrective_energy(w, y, refiner.mean) for w, y in zip(logits, labels, strict=True)) + refiner.inertia(variables).sum()
            )

        start = torch.randn(2, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
        direction = torch.randn(2, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
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
            energies = [corrective_energy(w, labels, REFINERS[name]().mean).item() for w in (plain[i], logits[i])]
            assert energies[1] < energies[0]
    if name in ("brs", "dist_map_brs"):
        assert all(right(w, wanted_labels(c, 20, 24, 0)) for w, c in zip(logits, given.clicks, strict=True))
    assert any(state for state in states)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", FAST)
def test_a_batch_is_refined_as_its_objects_one_by_one(name, flip):
    given = scene(network(), objects=6, flip=flip, sizes=((20, 24), (16, 18)))
    together, states = refined(REFINERS[name](), given)
    for i in range(6):
        part = Scene(given.network, [given.images[i]], [given.maps[i]], [given.restore[i]], [given.clicks[i]], flip, [i])
        (alone,), (state,) = refined(REFINERS[name](), part)
        assert torch.allclose(together[i], alone, atol=1e-9)
        assert state.get("counts") == states[i].get("counts")
    if name == "brs":
        assert len({str(s.get("counts")) for s in states}) > 2  # they stopped at different times


def test_brs_lowers_the_energy_as_far_as_scipy_does():
    net = network()
    given = scene(net, objects=1)
    given.clicks[0] = np.array([[2, 3, 1], [2, 9, 0], [15, 20, 1], [10, 4, 0]], np.int64)
    labels = wanted_labels(given.clicks[0], 20, 24, 0)

    def energy(x):
        delta = torch.from_numpy(x).view(1, 2, 20, 24).requires_grad_()
        value = corrective_energy(net(given.images[0], given.maps[0] + delta)[0], labels, mean=False) + 1e-3 * (delta**2).sum()
        value.backward()
        return value.item(), delta.grad.numpy().ravel()

    theirs = scipy.optimize.minimize(energy, np.zeros(960), jac=True, method="L-BFGS-B", options={"maxcor": 20, "maxiter": 300})

    class ToTheEnd(BRS):
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
    state = {}
    BRS()(given, [state])
    found = state["variables"].clone()
    again = BRS()(given, [state])
    assert state["counts"]["refinements"] == 1  # nothing is wrong any more: only the forward pass, with the maps found before
    assert right(again[0], wanted_labels(given.clicks[0], 20, 24, 0))
    assert torch.equal(state["variables"], found)


def test_squares_are_clipped_at_the_border_and_a_clicked_pixel_keeps_its_label():
    labels = wanted_labels(np.array([[0, 0, 1], [0, 1, 0], [19, 23, 1]], np.int64), 20, 24, 1)
    wanted = {(y, x): label for y, x, label in labels.tolist()}
    assert wanted[0, 0] == 1
    assert wanted[0, 1] == 0
    assert wanted[1, 0] == 0
    assert set(wanted) == {(y, x) for y in (0, 1) for x in (0, 1, 2)} | {(y, x) for y in (18, 19) for x in (22, 23)}
    given = scene(network(), objects=1)
    given.clicks[0] = np.array([[0, 0, 1], [0, 12, 0], [7, 0, 1], [19, 23, 0]], np.int64)
    for name in FAST:
        (logits,), _ = refined(REFINERS[name](), given)
        assert logits.isfinite().all()


def test_an_optimisation_that_fails_keeps_the_forward_pass_and_is_counted():
    class Flat(Small):
        """The answer does not depend on the maps."""

        def forward(self, image, guidance):
            return super().forward(image, guidance * 0) * 0 - 1 + 0 * guidance[:, :1]

    given = scene(Flat().double().eval(), objects=1)
    (logits,), (state,) = refined(BRS(), given)
    assert (logits == -1).all()
    assert state["counts"] == dict(zip(COUNTS, (1, 1, 1), strict=True))
    assert "variables" not in state


def test_an_answer_that_is_no_number_names_the_object():
    given = scene(network(), objects=2)
    given.images[1][:] = torch.nan
    with pytest.raises(InputError, match="answer to object 1 is no number"):
        refined(BRS(), given)


def test_unknown_refiners_and_points_are_named():
    with pytest.raises(InputError, match="refiner is 'f_brs'; use one of brs"):
        refiner_of("f_brs")
    assert isinstance(refiner_of("f_brs_c"), FeatureRefiner)
    assert refiner_of(None) is None
    with pytest.raises(InputError, match="Small has no refinement point 'a'; it has b, c"):
        refined(FeatureRefiner("a"), scene(network()))
    with pytest.raises(InputError, match="Conv2d has no refinement point 'b'; use brs"):
        FeatureRefiner("b").layer(nn.Conv2d(3, 3, 1))


@pytest.mark.parametrize("point", ["b", "c"])
def test_a_rerun_computes_only_what_follows_the_layer(point):
    net = network()
    images, maps = torch.rand(3, 3, 12, 16).double(), torch.rand(3, 2, 12, 16).double()
    layer, rows = net.refinement_points()[point], torch.tensor([2, 0])
    run = []
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: run.append(name))
    with frozen(net):
        again = Rerun(net, layer, lambda: net(images, maps))
        before = len(run)
        change = lambda features: features * 1.5 + 0.1  # noqa: E731
        quick = again(lambda: net(images[rows], maps[rows]), change, rows)
        kept = set(again.outputs)
        with changed(layer, change):
            slow = net(images[rows], maps[rows])
    assert torch.allclose(quick, slow)
    assert net.stem in kept
    assert net.skip not in kept  # its output is changed in place
    assert net.deep in kept
    assert (net.head[0] in kept) == (point == "c")
    assert before > 0
    assert torch.equal(net(images, maps), network()(images, maps))


@pytest.mark.parametrize(("architecture", "points"), [("DeepLabV3Plus", "abc"), ("Unet", "abc"), ("FPN", "ac")])
def test_every_click_network_names_its_points_and_is_rerun_exactly(architecture, points):
    torch.manual_seed(0)
    net = ClickNetwork(architecture, "tu-tf_efficientnet_lite0", "package", new_channels="mean").eval()
    images, maps, rows = torch.rand(3, 3, 64, 64), torch.rand(3, 2, 64, 64), torch.tensor([1, 2])
    assert "".join(net.refinement_points()) == points
    counts = []
    with frozen(net), torch.no_grad():
        for layer in net.refinement_points().values():
            again = Rerun(net, layer, lambda: net(images, maps))
            change = lambda features: features * 1.1 - 0.05  # noqa: E731
            with changed(layer, change):
                slow = net(images[rows], maps[rows])
            assert torch.allclose(again(lambda: net(images[rows], maps[rows]), change, rows), slow, atol=1e-4)
            kept = {id(m) for module in again.outputs for m in module.modules()}
            counts.append(len(kept))
    assert counts == sorted(counts)
    assert counts[0] >= sum(1 for _ in net.encoder.modules())


def batch(size=(40, 60)):
    generator = torch.Generator().manual_seed(2)
    rows = [[[20, 30, 1], [5, 5, 0], [-1, -1, -1]], [[18, 12, 1], [30, 50, 0], [22, 16, 1]]]
    previous = torch.zeros(2, *size, dtype=torch.bool)
    previous[0, 15:25, 25:38] = previous[1, 14:24, 8:20] = True
    return {
        "id": torch.tensor([4, 9]),
        "image": torch.rand(2, 3, *size, generator=generator).double(),
        "clicks": torch.tensor(rows),
        "previous": previous,
        "carried": [{}, {}],
    }


def encode(view):
    maps = torch.zeros(len(view["image"]), 2, *view["image"].shape[-2:], dtype=torch.float64)
    for i, rows in enumerate(view["clicks"].tolist()):
        for y, x, label in rows:
            if label >= 0:
                maps[i, 1 - label, y, x] = 5
    return maps


def test_without_options_the_answer_is_the_plain_one():
    net, given = network(), batch()
    with torch.no_grad():
        assert torch.allclose(Predictor(net, encode)(given), net(given["image"], encode(given)))


def test_flip_averaging_makes_the_answer_symmetric():
    net, given = network(), batch()
    mirrored = given | {"image": given["image"].flip(-1), "clicks": given["clicks"].clone(), "carried": [{}, {}]}
    mirrored["clicks"][..., 1] = torch.where(given["clicks"][..., 2] >= 0, 59 - given["clicks"][..., 1], -1)
    answer = Predictor(net, encode, flip=True)
    with torch.no_grad():
        assert torch.allclose(answer(given), answer(mirrored).flip(-1), atol=1e-9)
        assert not torch.allclose(answer(given), net(given["image"], encode(given)))


def test_zoom_in_shows_the_box_and_pastes_the_answer():
    seen = []

    class Plain(nn.Module):
        def forward(self, image, guidance):
            seen.append(tuple(image.shape))
            return guidance[:, :1] - guidance[:, 1:]

    given = batch()
    answer = Predictor(Plain(), encode, zoom=ZoomIn(long_side=48, min_crop=10))(given)
    assert answer.shape == (2, 1, 40, 60)
    boxes = [state["box"] for state in given["carried"]]
    assert boxes[0] == Box(12, 22, 27, 41)  # rows 15 to 24 and columns 25 to 37, 1.4 times as large
    assert seen[0][-1] == 48
    for i, box in enumerate(boxes):
        outside = torch.ones(40, 60, dtype=torch.bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert (answer[i, 0][outside] == OUTSIDE).all()
        y, x = np.unravel_index(int(answer[i, 0].argmax()), (40, 60))
        positive = given["clicks"][i][given["clicks"][i, :, 2] == 1][:, :2]
        assert min(abs(int(a) - y) + abs(int(b) - x) for a, b in positive.tolist()) <= 1


def test_the_box_is_kept_until_it_no_longer_fits():
    zoom, mask = ZoomIn(min_crop=4), np.zeros((100, 100), bool)
    mask[20:40, 20:40] = True
    one, two = np.array([[30, 30, 1]], np.int64), np.array([[30, 30, 1], [90, 90, 0]], np.int64)
    assert zoom.box(mask, one, None) is None  # the first click is answered from the whole image
    assert zoom.box(mask & False, two, None) is None
    box = zoom.box(mask, two, None)
    assert box == Box(16, 16, 45, 45)  # centre 29.5, half of 28 rows, and the last row itself
    grown = mask.copy()
    grown[20:44, 20:44] = True
    assert zoom.box(grown, two, box) == box
    grown[20:80, 20:80] = True
    assert zoom.box(grown, two, box) == zoom.box_round(grown, two) != box
    far = np.array([[30, 30, 1], [70, 30, 1]], np.int64)
    assert zoom.box(mask, far, box).holds(70, 30)
    assert ZoomIn().box(mask, two, None) == Box(0, 0, 100, 100)


def test_variables_of_another_view_are_forgotten():
    given = batch()
    predictor = Predictor(network(), encode, refiner=MapRefiner(), zoom=ZoomIn(long_side=32, min_crop=10))
    given["carried"] = [{"variables": torch.zeros(2), "box": None}, {"variables": torch.zeros(2), "box": Box(0, 0, 3, 3)}]
    predictor(given)
    for state in given["carried"]:
        assert "variables" not in state or len(state["variables"]) > 2


def test_feature_variables_outlive_a_change_of_view():
    given = batch()
    kept = torch.full((16,), 0.01, dtype=torch.float64)
    given["carried"] = [{"variables": kept, "box": Box(0, 0, 3, 3)}, {}]
    Predictor(network(), encode, refiner=FeatureRefiner("b"), zoom=ZoomIn(long_side=32, min_crop=10))(given)
    assert len(given["carried"][0]["variables"]) == 16


def test_squares_that_reach_beyond_the_view_count_only_within_it():
    given = scene(network(), objects=1)
    given.clicks[0] = np.array([[10, 5, 1], [3, 3, 0]], np.int64)
    labels = MapRefiner()._labels(given._replace(boxes=[Box(0, 0, 11, 24)]), 0, given.forward()[0])
    assert {y for y, _, label in labels.tolist() if label == 1} == {9, 10}


def test_points_whose_logits_are_no_numbers_are_never_good_enough():
    from interseg.inference.refine import _answer

    logits = torch.full((1, 4, 4), torch.inf)
    answer = _answer(0.1, torch.zeros(2), logits, np.array([[1, 1, 1]], np.int64))
    assert not answer.done
    assert np.isnan(answer.energy)


def test_flip_averaging_survives_half_precision():
    class Sure(nn.Module):
        def forward(self, image, guidance):
            return torch.full_like(image[:, :1], 30.0).bfloat16()

    assert Predictor(Sure(), encode, flip=True)(batch()).isfinite().all()


def test_a_missing_key_and_a_click_outside_are_named():
    given = batch()
    with pytest.raises(ValueError, match="the batch has no 'carried'"):
        Predictor(network(), encode)({key: value for key, value in given.items() if key != "carried"})
    with pytest.raises(InputError, match=r"click \(y=70, x=1\) lies outside"):
        Predictor(network(), encode)(given | {"clicks": torch.tensor([[[70, 1, 1]], [[1, 1, 1]]])})
    with pytest.raises(InputError, match=r"expansion=0\.5"):
        ZoomIn(expansion=0.5)
    with pytest.raises(InputError, match="evaluations is 0"):
        MapRefiner(evaluations=0)


@pytest.mark.parametrize("name", ["f_brs_b", "f_brs_c"])
def test_a_round_runs_what_no_variable_changes_once_refined_or_not(name, monkeypatch):
    net = network()
    given, ran = scene(net), []
    convolve = nn.Conv2d._conv_forward
    monkeypatch.setattr(nn.Conv2d, "_conv_forward", lambda self, *a: (ran.append(1) if self is net.stem else None, convolve(self, *a))[1])
    answers, states = refined(refiner_of(name), given)
    assert any(state.get("counts") for state in states)
    assert len(ran) == 1
    again = refiner_of(name)(given, states)  # from the variables that were found
    assert len(ran) == 2
    for before, after, state in zip(answers, again, states, strict=True):
        if state.get("counts", {}).get("refinements", 0) <= 1:
            assert torch.allclose(before, after, atol=1e-9)
