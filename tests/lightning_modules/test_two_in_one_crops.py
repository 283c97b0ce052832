"""Two-in-one's network and the crops that it refines."""

import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from interseg.clicks.layout import BOUNDARY
from interseg.networks.stem import GuidedConvolution
from interseg.networks.two_in_one_network import TwoInOneNetwork
from interseg.views import Box
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.small_network import ENCODER
from tests.helpers.two_in_one import batch, network


def test_the_networks_are_the_papers():
    with torch.device("meta"):  # sizes alone
        wide = TwoInOneNetwork("resnet101", None).eval()
        two = TwoInOneNetwork("resnet101", None, guidance_channels=2)
        with torch.no_grad():
            logits, features = wide(torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96))
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
    assert logits.shape == (1, 1, 64, 96)
    assert features.shape == (1, 512, 8, 12)
    assert two.refinement[0][0].guidance.in_channels == 2
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
