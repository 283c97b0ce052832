"""A predictor's answers with and without options, on a small network of ours."""

import numpy as np
import pytest
import torch
from torch import nn

from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.inference.refiners import BRSRefiner, FeatureRefiner, MapRefiner
from interseg.inference.scene import average_mirrored
from interseg.inference.zoom import ZoomIn
from interseg.views import OUTSIDE, Box, reduce_image
from tests.helpers.small_network import answered, batch, encode, network, same


def test_without_options_the_answer_is_the_plain_one():
    net, given = network(), batch()
    with torch.no_grad():
        assert torch.allclose(
            answered(Predictor(net, encode), given).logits, net(given["image"], encode(given))
        )


def test_flip_averaging_makes_the_answer_symmetric():
    net, given = network(), batch()
    mirrored = given | {"image": given["image"].flip(-1), "clicks": given["clicks"].clone()}
    mirrored["clicks"][..., 1] = torch.where(
        given["clicks"][..., 2] >= 0, 59 - given["clicks"][..., 1], -1
    )
    predictor = Predictor(net, encode, options=InferenceOptions(flip=True))
    with torch.no_grad():
        straight, flipped = (answered(predictor, one).logits for one in (given, mirrored))
        assert torch.allclose(straight, flipped.flip(-1), atol=1e-9)
        assert not torch.allclose(straight, net(given["image"], encode(given)))


def guide_by_previous(view):
    previous = view["previous"][:, None].to(view["image"].dtype)
    return encode(view) * (1 - previous) + 0.5 * previous


@pytest.mark.parametrize("passes", [1, 3])
def test_a_cascade_answers_first_clicks_again_with_the_answer_before(passes):
    net, given = network(), batch()
    given["clicks"][0, 1:] = -1  # the other object has three clicks
    given["previous"] = torch.zeros_like(given["previous"], dtype=torch.float32)
    options = InferenceOptions(cascade=passes)
    with torch.no_grad():
        found = answered(Predictor(net, guide_by_previous, options=options), given).logits
        for row in (0, 1):
            one = {key: given[key][row : row + 1] for key in ("image", "clicks", "previous")}
            expected = net(one["image"], guide_by_previous(one))
            for _ in range(passes if row == 0 else 0):
                one["previous"] = expected[:, 0].float().sigmoid()
                expected = net(one["image"], guide_by_previous(one))
            assert torch.allclose(found[row], expected[0])
    given["previous"][0, 3:9, 4:20] = 0.9  # the session began from a mask
    with torch.no_grad():
        found = answered(Predictor(net, guide_by_previous, options=options), given).logits
        assert torch.allclose(found, net(given["image"], guide_by_previous(given)))
    with pytest.raises(InputError, match="cascade is -1"):
        InferenceOptions(cascade=-1)


def test_zoom_may_be_true():
    assert InferenceOptions(zoom=True).zoom.min_crop == ZoomIn().min_crop
    assert InferenceOptions(zoom=False).plain
    with pytest.raises(InputError, match=r"zoom is \{'long_side': 400\}; give zoom=true"):
        InferenceOptions(zoom={"long_side": 400})


def test_zoom_in_shows_the_box_and_pastes_the_answer():
    seen = []

    class Plain(nn.Module):
        def forward(self, image, guidance):
            seen.append(tuple(image.shape))
            return guidance[:, :1] - guidance[:, 1:]

    given = batch()
    answer, states = answered(
        Predictor(
            Plain(), encode, options=InferenceOptions(zoom=ZoomIn(long_side=48, min_crop=10))
        ),
        given,
    )
    assert answer.shape == (2, 1, 40, 60)
    boxes = [state["box"] for state in states]
    assert boxes[0] == Box(12, 22, 27, 41)  # rows 15 to 24 and columns 25 to 37, 1.4 times as large
    assert seen[0][-1] == 48
    for i, box in enumerate(boxes):
        outside = torch.ones(40, 60, dtype=torch.bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert (answer[i, 0][outside] == OUTSIDE).all()
        y, x = np.unravel_index(int(answer[i, 0].argmax()), (40, 60))
        positive = given["clicks"][i][given["clicks"][i, :, 2] == 1][:, :2]
        assert min(abs(int(a) - y) + abs(int(b) - x) for a, b in positive.tolist()) <= 1


def test_the_box_holds_what_is_object_at_the_sessions_threshold():
    given = batch()
    given["previous"] = torch.zeros(2, 40, 60)
    given["previous"][:, 5:35, 5:50] = 0.3
    options = InferenceOptions(zoom=ZoomIn(long_side=48, min_crop=4, expansion=1.0))
    predictor = Predictor(network(), encode, options=options)
    for threshold, zoomed in ((0.2, True), (0.5, False)):
        states = answered(predictor, given | {"threshold": threshold}).states
        assert all((state.get("box") is not None) == zoomed for state in states)


def test_clicks_that_the_network_is_not_shown_are_in_the_energy():
    net, given = network(), batch()
    first = given | {"clicks": given["clicks"][:, :1]}
    with torch.no_grad():
        plain = net(given["image"], encode(first))
    y, x, label, _ = given["clicks"].unbind(-1)
    rows = torch.arange(2)[:, None]
    right = ((plain[rows, 0, y, x] > 0).long() == label).all(1)
    options = InferenceOptions(MapRefiner(reach=0, shown=1))
    logits, states = answered(Predictor(net, encode, options=options), given)
    assert not right.all(), "a click that is not shown is wrong"
    for row in (0, 1):
        assert bool(states[row].get("counts")) != bool(right[row])
        assert torch.allclose(logits[row], plain[row]) == bool(right[row])


def test_variables_of_another_view_are_forgotten():
    given = batch()
    predictor = Predictor(
        network(), encode, options=InferenceOptions(MapRefiner(), ZoomIn(long_side=32, min_crop=10))
    )
    given["states"] = [
        {"variables": torch.zeros(2), "box": None},
        {"variables": torch.zeros(2), "box": Box(0, 0, 3, 3)},
    ]
    for state in answered(predictor, given).states:
        assert "variables" not in state or len(state["variables"]) > 2


def test_feature_variables_outlive_a_change_of_view():
    given = batch()
    kept = torch.full((16,), 0.01, dtype=torch.float64)
    given["states"] = [{"variables": kept, "box": Box(0, 0, 3, 3)}, {}]
    predictor = Predictor(
        network(),
        encode,
        options=InferenceOptions(FeatureRefiner("b"), ZoomIn(long_side=32, min_crop=10)),
    )
    state = answered(predictor, given).states[0]
    assert len(state["variables"]) == 16
    assert state["box"] != Box(0, 0, 3, 3)


def test_a_round_can_be_played_again_from_its_states():
    given = batch()
    predictor = Predictor(
        network(),
        encode,
        options=InferenceOptions(BRSRefiner(), ZoomIn(long_side=32, min_crop=10), flip=True),
    )
    first = answered(predictor, given)
    assert any(state.get("counts") for state in first.states)
    later = given | {"previous": first.logits[:, 0] > 0, "states": first.states}
    later["clicks"] = torch.cat(
        [given["clicks"], torch.tensor([[[16, 27, 0, 0]], [[15, 9, 0, 0]]])], 1
    )
    second, again = answered(predictor, later), answered(predictor, later)
    assert torch.equal(second.logits, again.logits)
    assert same(second.states, again.states)
    assert not same(second.states, first.states)


def test_an_image_that_was_reduced_before_is_not_reduced_again():
    net, given, seen = network(), batch(), []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    predictor = Predictor(net, encode, long_side=30)
    with torch.no_grad():
        plain = answered(predictor, given).logits
        encoded = reduce_image(given["image"], 30)
        assert torch.equal(answered(predictor, given | {"encoded": encoded}).logits, plain)
        assert not torch.equal(
            answered(predictor, given | {"encoded": {"image": 1 - encoded["image"]}}).logits, plain
        )
    assert plain.shape == (2, 1, 40, 60)
    assert {tuple(image.shape[-2:]) for image in seen} == {(20, 30)}


def test_flip_averaging_survives_half_precision():
    class Sure(nn.Module):
        def forward(self, image, guidance):
            return torch.full_like(image[:, :1], 30.0).bfloat16()

    assert (
        answered(Predictor(Sure(), encode, options=InferenceOptions(flip=True)), batch())
        .logits.isfinite()
        .all()
    )


def test_a_missing_key_and_a_click_outside_are_named():
    given = batch()
    with pytest.raises(ValueError, match="the batch has no 'states'"):
        Predictor(network(), encode)(
            {key: value for key, value in given.items() if key != "states"}
        )
    zoomed = Predictor(network(), encode, options=InferenceOptions(zoom=ZoomIn()))
    with pytest.raises(ValueError, match="the batch has no 'previous'"):
        zoomed({key: value for key, value in given.items() if key != "previous"})
    with pytest.raises(InputError, match=r"click \(y=70, x=1\) lies outside"):
        Predictor(network(), encode)(
            given | {"clicks": torch.tensor([[[70, 1, 1, 0]], [[1, 1, 1, 0]]])}
        )


@pytest.mark.parametrize("classes", [1, 3])
def test_the_mirrored_answers_probabilities_are_averaged(classes):
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(4, classes, 3, 5, generator=generator, dtype=torch.float64)
    straight, mirrored = (
        (one.sigmoid() if classes == 1 else one.softmax(1))
        for one in (logits[:2], logits[2:].flip(-1))
    )
    found = average_mirrored(logits)
    found = found.sigmoid() if classes == 1 else found.exp()
    assert torch.allclose(found, (straight + mirrored) / 2, atol=1e-12)


def test_a_sure_answer_keeps_a_gradient_beside_the_mirrored_one():
    sure = torch.full((2, 1, 1, 1), -30.0, requires_grad=True)
    average_mirrored(sure).sum().backward()
    assert sure.grad.flatten().tolist() == pytest.approx([0.5, 0.5])
