import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from configs import load, resolve
from configs.run import build_model
from interseg.clicks.layout import BOUNDARY, clicks_of, pad_clicks
from interseg.clicks.users import RitmUser
from interseg.errors import InputError
from interseg.evaluation.contributions import outcome_of
from interseg.evaluation.game import Game
from interseg.evaluation.overlap import iou
from interseg.inference.session import open_sessions
from interseg.networks.crop_refinement import trimmed_box
from interseg.networks.stem import GuidedConvolution
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.views import Box, scale_box
from lightning_modules.optimisation import Optimisation
from lightning_modules.two_in_one import TwoInOne
from lightning_modules.two_in_one_targets import square
from tests.helpers.small_network import ENCODER


def network(**options):
    torch.manual_seed(0)
    return TwoInOneNetwork(
        ENCODER, None, **{"width": 16, "norm": "group", "crop_size": 16} | options
    )


def object_mask(height=64, width=96):
    mask = torch.zeros(height, width, dtype=torch.uint8)
    mask[16:44, 20:60] = 1
    return mask


def batch(*clicks, size=(64, 96), **more):
    """One object a list of clicks."""
    torch.manual_seed(1)
    masks = torch.stack([object_mask(*size)] * len(clicks))
    image = torch.rand(len(clicks), 3, *size) * 0.3 + masks[:, None] * 0.5
    rows = pad_clicks([clicks_of(c) for c in clicks])
    given = {
        "id": torch.arange(len(clicks)),
        "image": image,
        "mask": masks,
        "clicks": rows,
        "states": [{} for _ in clicks],
    }
    return given | {"to_source": torch.zeros(len(clicks), *size, 2, dtype=torch.int16)} | more


class Fitting:
    """What the module reads of a Trainer."""

    estimated_stepping_batches = 100
    barebones = False
    strategy = type("Alone", (), {"reduce": staticmethod(lambda value, reduce_op: value)})()

    def __init__(self, current_epoch):
        self.current_epoch = current_epoch


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


def test_the_networks_are_the_papers():
    wide = TwoInOneNetwork("resnet101", None)
    convolutions = [
        (m.in_channels, m.out_channels, m.kernel_size[0])
        for m in wide.refinement.modules()
        if isinstance(m, nn.Conv2d)
    ]
    assert convolutions == [
        (512, 512, 3),
        (1, 512, 3),
        (512, 256, 3),
        (256, 256, 3),
        (256, 1, 1),
    ]  # the first two are one of 513
    assert [type(m) for m in wide.refinement[0]] == [GuidedConvolution, nn.BatchNorm2d, nn.ReLU]
    assert wide.selection.head.in_channels == 512
    with torch.no_grad():
        logits, features = wide.eval()(torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96))
    assert logits.shape == (1, 1, 64, 96)
    assert features.shape == (1, 512, 8, 12)
    assert (
        TwoInOneNetwork("resnet101", None, guidance_channels=2)
        .refinement[0][0]
        .guidance.in_channels
        == 2
    )
    parts = wide.parameters_by_origin()
    assert sum(len(part) for part in parts.values()) == len(
        [p for p in wide.parameters() if p.requires_grad]
    )
    assert [tuple(p.shape) for p in parts["refinement_clicks"]] == [(512, 1, 3, 3)]


@pytest.mark.parametrize("crop", ["align", "naive"])
def test_crops_are_cut_where_the_boxes_say(crop):
    net = network(crop=crop, crop_size=8)
    ramp = torch.arange(96.0).expand(1, 1, 64, 96)
    cut = net.cut(
        torch.cat([ramp, ramp.new_tensor(range(64))[None, None, :, None].expand(1, 1, 64, 96)], 1),
        [Box(8, 16, 40, 80)],
        1,
    )
    assert torch.allclose(cut[0, 0, 0], 16 + 8 * (torch.arange(8) + 0.5) - 0.5, atol=0.5)
    assert torch.allclose(cut[0, 1, :, 0], 8 + 4 * (torch.arange(8) + 0.5) - 0.5, atol=0.5)
    features = torch.rand(2, 5, 8, 12)
    boxes = [Box(0, 0, 64, 96), Box(16, 24, 32, 72)]
    cut = net.cut(features, boxes, 8)
    assert cut.shape == (2, 5, 8, 8)
    if crop == "align":
        corners = torch.tensor([[0, 0.0, 0, 96, 64], [1, 24, 16, 72, 32]])
        assert torch.equal(cut, roi_align(features, corners, 8, 1 / 8, 2, True))


def test_a_box_finer_than_the_features_and_odd_sizes_go_through():
    for crop in ("align", "naive"):
        module = TwoInOne(network(crop=crop), padding=0).eval()
        with torch.no_grad():
            logits, features = module.network(torch.rand(1, 3, 50, 70), torch.rand(1, 1, 50, 70))
            assert logits.shape == (1, 1, 50, 70)
            assert features.shape[-2:] == (8, 12)
            refined = module.network.refine(
                features, torch.rand(1, 1, 50, 70), [Box(49, 69, 50, 70)]
            )
        assert refined.shape == (1, 1, 16, 16)
        assert refined.isfinite().all()


def test_features_are_normalised_channel_by_channel_within_the_crop():
    net = network().eval()
    features, maps, boxes = torch.rand(1, 16, 8, 12), torch.rand(1, 1, 64, 96), [Box(8, 8, 56, 88)]
    scale, shift = torch.rand(16) + 0.5, torch.randn(16)
    with torch.no_grad():
        plain = net.refine(features, maps, boxes)
        other = net.refine(features * scale[:, None, None] + shift[:, None, None], maps, boxes)
    assert torch.allclose(plain, other, atol=1e-3)


def test_the_first_click_selects_and_later_ones_run_the_light_network_alone():
    module = TwoInOne(network(), padding=4, threshold=0.5).eval()
    first, more = [(30, 40, 1)], [(30, 40, 1), (16, 30, 1, BOUNDARY), (43, 59, 1, BOUNDARY)]
    calls = []
    module.network.encoder.register_forward_hook(lambda *a: calls.append("encoder"))
    module.network.refinement.register_forward_hook(lambda *a: calls.append("refinement"))
    played = batch(first, first)
    with torch.no_grad():
        selected, states = module.answer(played)
        refined, after = module.answer(batch(more, more, states=states))
        at_once = module.segment(batch(more, more))
    assert calls == ["encoder", "refinement", "encoder", "refinement"]
    assert torch.equal(refined, at_once)
    assert not torch.equal(refined, selected)
    assert played["states"] == [{}, {}], "states are replaced, never changed"
    assert all(one is two for one, two in zip(states, after, strict=True)), (
        "a refinement leaves nothing behind"
    )
    for row, state in enumerate(states):
        box = state["crop"].with_clicks(clicks_of(more[1:]))
        outside = torch.ones(64, 96, dtype=torch.bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert (refined[row, 0][outside] < -10).all()
        assert state["trimmed"] == trimmed_box(selected[row, 0], 0.5)
        assert state["crop"] == state["trimmed"].grow(4, 64, 96)


def test_objects_in_different_rounds_are_answered_each_in_its_own():
    module = TwoInOne(network()).eval()
    one, two = [(30, 40, 1)], [(30, 40, 1), (16, 30, 1, BOUNDARY)]
    with torch.no_grad():
        both, alone = (
            module.segment(batch(one, two)),
            [module.segment(batch(one)), module.segment(batch(two, two))],
        )
    assert torch.allclose(both[:1], alone[0], atol=1e-4)
    assert both.shape == (2, 1, 64, 96)


def test_boundary_clicks_are_one_map_and_signed_ones_two():
    seen = []
    for channels, clicks in (
        (1, [(30, 40, 1), (16, 30, 1, BOUNDARY), (43, 59, 1, BOUNDARY)]),
        (2, [(30, 40, 1), (16, 30, 1), (43, 59, 0)]),
    ):
        module = TwoInOne(
            network(guidance_channels=channels), threshold=0.999999
        ).eval()  # no pixel is that likely: the whole image
        cut = module.network.cut
        module.network.cut = lambda maps, boxes, stride, cut=cut: (
            seen.append((maps.clone(), boxes)),
            cut(maps, boxes, stride),
        )[1]
        with torch.no_grad():
            module.segment(batch(clicks))
    (_, boxes), (one, _), _, (two, _) = seen
    assert boxes == [Box(0, 0, 64, 96)]
    assert one.shape[1] == 1
    assert two.shape[1] == 2
    assert torch.equal(one[0, 0], two[0].amax(0))
    assert one[0, 0, 16, 30] == one[0, 0, 43, 59] == one.max()
    assert one[0, 0, 62, 5] == 0


def test_a_crop_grows_to_a_click_beyond_it():
    module = TwoInOne(network(), padding=0, threshold=0.5).eval()
    seen = []
    refine = module.network.refine
    module.network.refine = lambda features, maps, boxes: (
        seen.append(boxes),
        refine(features, maps, boxes),
    )[1]
    for corner in ((0, 0), (63, 95)):
        with torch.no_grad():
            module.segment(batch([(30, 40, 1), (*corner, 1, BOUNDARY)]))
        assert seen[-1][0].holds(*corner)


@pytest.mark.parametrize(
    ("channels", "clicks", "message"),
    [
        (1, [(16, 30, 1, BOUNDARY)], "the first click selects the object"),
        (1, [(16, 30, 0)], "the first click selects the object"),
        (1, [], "the first click selects the object"),
        (
            1,
            [(30, 40, 1), (5, 6, 0)],
            r"click \(y=5, x=6\) is of kind region; .* the first are of kind boundary, "
            "on the object's boundary",
        ),
        (
            1,
            [(30, 40, 1), (5, 6, 0, BOUNDARY)],
            r"click \(y=5, x=6\) has label 0; a click on the object's boundary has label 1",
        ),
        (
            1,
            [(30, 40, 1), (70, 30, 1, BOUNDARY)],
            r"click \(y=70, x=30\) lies outside the image of 64 x 96",
        ),
        (1, [(300, 40, 1)], "lies outside the image"),
        (2, [(16, 30, 1, BOUNDARY)], "the first click selects the object"),
        (
            2,
            [(30, 40, 1), (5, 6, 1, BOUNDARY)],
            r"click \(y=5, x=6\) is of kind boundary; .* of kind region, on object or background",
        ),
        (2, [(30, 40, 1), (5, 6, 2)], r"a click has label 2; .* knows 1 and 0"),
    ],
)
def test_clicks_that_the_network_does_not_know_are_named(channels, clicks, message):
    with pytest.raises(InputError, match=message):
        TwoInOne(network(guidance_channels=channels)).eval().segment(batch(clicks))


def test_bad_settings_are_named(tmp_path):
    with pytest.raises(InputError, match="crop='roi'"):
        network(crop="roi")
    with pytest.raises(InputError, match="guidance_channels is 3"):
        network(guidance_channels=3)
    with pytest.raises(InputError, match="threshold=0, padding=20"):
        TwoInOne(network(), threshold=0)
    with pytest.raises(InputError, match=r"none.ckpt cannot be read as a checkpoint"):
        network(selection_from=str(tmp_path / "none.ckpt"))
    torch.save({"state_dict": {"network.encoder.x": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="does not fit, encoder"):
        network(selection_from=str(tmp_path / "other.ckpt"))
    for option in ("flip=true", "refiner=brs"):
        with pytest.raises(InputError, match="TwoInOne has no click network"):
            build_model(resolve(load(["two_in_one.yaml"], [option])))
    with pytest.raises(InputError, match="TwoInOne has no click network"):
        TwoInOne(network()).predictor()


def test_a_second_run_starts_from_the_selection_of_a_first_one(tmp_path):
    first = TwoInOne(network())
    for p in first.parameters():
        nn.init.normal_(p)
    torch.save({"state_dict": first.state_dict()}, tmp_path / "last.ckpt")
    second = network(selection_from=str(tmp_path / "last.ckpt"), guidance_channels=2)
    for key, value in second.state_dict().items():
        same = value.shape == first.network.state_dict()[key].shape and torch.equal(
            value, first.network.state_dict()[key]
        )
        assert same == (not key.startswith("refinement."))


def with_distance(given):
    from interseg.distance import distance_to

    return given | {
        "distance": torch.stack(
            [torch.from_numpy(distance_to(m.numpy() == 1)) for m in given["mask"]]
        )
    }


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


def test_boxes_reach_the_game_in_pixels_of_the_image():
    module = TwoInOne(network(), long_side=48, padding=2, threshold=0.5).eval()
    given = batch([(30, 40, 1)])
    with torch.no_grad():
        logits, (state,) = module.answer(given)
    assert logits.shape == (1, 1, 64, 96)
    assert state["selection"].shape == (1, 32, 48)
    view = trimmed_box(state["selection"][0], 0.5)
    assert state["trimmed"] == Box(*(2 * side for side in view))
    assert state["crop"] == Box(*(2 * side for side in view.grow(2, 32, 48)))
    (session,) = open_sessions(module, given["image"])
    game = Game(session, given["mask"][0].numpy(), RitmUser(), 3)
    boxes = [[0, 0, 64, 96], [16, 20, 44, 60], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert outcome_of(game, module.contributions)["boxes"].tolist() == boxes
    session.click(30, 40)
    boxes[2:] = [list(state["trimmed"]), list(state["crop"])]
    assert outcome_of(game, module.contributions)["boxes"].tolist() == boxes
    assert scale_box(Box(1, 1, 2, 3), (10, 10), (25, 30)) == Box(2, 3, 5, 9)


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
                one["image"], module.guidance(one["clicks"][:, :1], 64, 96)[:, :1]
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
        likely = (logits[0, 0].sigmoid() > module.threshold).nonzero()
        low, high = likely.min(0).values.tolist(), likely.max(0).values.tolist()
        box = Box(
            max(0, low[0] - 2), max(0, low[1] - 2), min(64, high[0] + 3), min(96, high[1] + 3)
        ).with_clicks(clicks)
        one_label = torch.from_numpy(clicks_of([(y, x, 1) for y, x, *_ in clicks.tolist()]))[None]
        maps = module.guidance(one_label, 64, 96)[:, :1]
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


def test_a_naive_crop_is_cut_and_pasted_by_the_same_cells():
    net, features = network(crop="naive"), torch.rand(1, 16, 8, 12)
    box = net.snap(Box(15, 15, 41, 41), features, (64, 96))
    assert box == Box(8, 8, 48, 48)
    assert net.snap(Box(60, 90, 61, 91), features, (62, 93)) == Box(56, 88, 62, 93)
    ramp = torch.arange(12.0).expand(1, 16, 8, 12) * 8 + 3.5
    cells, pixels = (
        net.cut(ramp, [box], 8),
        net.cut(torch.arange(96.0).expand(1, 1, 64, 96), [box], 1),
    )
    assert torch.allclose(cells[0, 0, 0, 4:12], pixels[0, 0, 0, 4:12], atol=1.5)
    assert TwoInOneNetwork(ENCODER, None, width=16).snap(
        Box(15, 15, 41, 41), features, (64, 96)
    ) == Box(15, 15, 41, 41)
