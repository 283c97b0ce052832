"""ITIS on a click network: guidance, sizes, and inputs that are missing or refused."""

import pytest
import torch

from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.networks.stem import GuidedConvolution
from interseg.views import reduce_size, scale_clicks
from lightning_modules.base import check_loss
from lightning_modules.itis import ITIS
from tests.helpers.small_network import click_network


def batch(**more):
    clicks = pad_clicks([clicks_of([(3, 4, 1)]), clicks_of([(9, 9, 0)])])
    return {
        "id": torch.tensor([4, 7]),
        "image": torch.rand(2, 3, 64, 96),
        "mask": torch.ones(2, 64, 96).byte(),
        "clicks": clicks,
    } | more


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="the batch has no 'clicks'"):
        ITIS(click_network()).segment({"image": torch.rand(1, 3, 64, 64)})
    with pytest.raises(ValueError, match="no 'previous'"):
        ITIS(click_network(3)).segment(batch())


def test_the_mask_channel_is_read():
    torch.manual_seed(0)
    module = ITIS(click_network(3)).eval()
    torch.nn.init.normal_(
        next(
            m for m in module.network.encoder.modules() if isinstance(m, GuidedConvolution)
        ).guidance.weight
    )
    empty = torch.zeros(2, 64, 96, dtype=torch.bool)
    assert not torch.equal(
        module.segment(batch(previous=empty, image=torch.zeros(2, 3, 64, 96))),
        module.segment(batch(previous=~empty, image=torch.zeros(2, 3, 64, 96))),
    )


@pytest.mark.parametrize("channels", [2, 3])
def test_a_third_channel_is_the_mask_before(channels):
    module = ITIS(click_network(channels), mask_map="probabilities")
    assert module.uses_previous_mask == module.soft_previous == (channels == 3)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(InputError, match=r"4 guidance channels; give it 2 for clicks, or 3"):
        ITIS(click_network(4))


def test_large_images_are_reduced_for_the_network_and_answered_in_full_size():
    module = ITIS(click_network(), guidance=DiskGuidance(), long_side=48).eval()
    seen = []
    module.network.register_forward_pre_hook(
        lambda _, inputs: seen.append([tuple(i.shape[-2:]) for i in inputs])
    )
    assert module.segment(batch()).shape == (2, 1, 64, 96)
    assert seen == [[(32, 48), (32, 48)]]
    module.train()
    module.segment(batch())
    assert seen[1] == [(64, 96), (64, 96)]


def test_clicks_scale_to_the_pixel_that_covers_them():
    clicks = torch.tensor([[[0, 0, 1, 0], [63, 95, 0, 0], [33, 50, 1, 1], [-1, -1, -1, -1]]])
    scaled = scale_clicks(clicks, torch.Size((64, 96)), (32, 48))
    assert scaled.tolist() == [[[0, 0, 1, 0], [31, 47, 0, 0], [16, 25, 1, 1], [-1, -1, -1, -1]]]
    assert reduce_size(torch.Size((64, 96)), 96) is None
    assert reduce_size(torch.Size((500, 333)), 100) == (100, 67)
    assert reduce_size(torch.Size((500, 333)), [64, 80]) == (64, 80)
    assert reduce_size(torch.Size((64, 80)), [64, 80]) is None
    for side in (0, [64], [64, 0]):
        with pytest.raises(InputError, match=r"long_side is .*; give a number of pixels"):
            ITIS(click_network(), long_side=side)


def test_a_loss_that_is_no_number_names_the_objects():
    with pytest.raises(InputError, match=r"the loss is nan on objects \[4, 7\]"):
        check_loss(torch.tensor(float("nan")), batch())


def test_unknown_maps_of_the_mask_are_named():
    with pytest.raises(InputError, match="mask_map is 'area'"):
        ITIS(click_network(3), mask_map="area")
