"""Two-in-one's rounds: selection and refinement, clicks and settings that are refused."""

import pytest
import torch
from torch import nn

from configs import load, resolve
from configs.run import build_model
from interseg.clicks.layout import BOUNDARY, clicks_of
from interseg.clicks.users import RitmUser
from interseg.errors import InputError
from interseg.evaluation.contributions import outcome_of
from interseg.evaluation.game import Game
from interseg.inference.session import open_sessions
from interseg.networks.crop_refinement import trimmed_box
from interseg.views import Box, scale_box
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.two_in_one import batch, network


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


LIGHT = ["model.network.encoder=resnet18", "model.network.pretrained=null"]


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
    with pytest.raises(InputError, match="a network that reads the selection before"):
        TwoInOne(network(), cascade=1)
    for option in ("flip=true", "refiner=brs"):
        with pytest.raises(InputError, match="has no click network: leave"):
            build_model(resolve(load(["two_in_one.yaml"], [option, *LIGHT])))
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
