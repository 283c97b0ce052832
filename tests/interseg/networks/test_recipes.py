"""RITM's and SimpleClick's networks.

How clicks reach a stem and patches, what the levels are, and that all of it learns.
"""

import pytest
import timm
import torch
from torch.nn.functional import conv2d, interpolate

from interseg.errors import InputError
from interseg.networks.converted import Converted
from interseg.networks.norms import batch_norms
from interseg.networks.ritm_network import Embedding, Fuse, RITMNetwork
from interseg.networks.simpleclick_network import Pyramid, SimpleClickNetwork
from tests.helpers.clicked_photos import guidance, photo
from tests.helpers.hrnet import TINY_HRNET

WIDTHS = (16, 24, 32, 40)


def ritm(**options):
    torch.manual_seed(0)
    return RITMNetwork(TINY_HRNET, None, **{"norm": "group", **options})


def simpleclick(**options):
    torch.manual_seed(0)
    return SimpleClickNetwork("test_vit", None, widths=WIDTHS, width=16, **options)


MAKERS = {"ritm": ritm, "simpleclick": simpleclick}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


@pytest.mark.parametrize("size", [(64, 96), (61, 83), (20, 130)])
def test_any_size_goes_in_and_photos_do_not_see_each_other(make, size):
    network = make().eval()
    image, maps = photo(size), torch.rand(2, 3, *size)
    with torch.no_grad():
        both = network(image, maps)
        assert both.shape == (2, 1, *size)
        assert torch.allclose(network(image[1:], maps[1:]), both[1:], atol=1e-5)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_clicks_and_the_previous_mask_change_the_answer(make, channel):
    network = make().eval()
    without = guidance()
    without[:, channel] = 0
    with torch.no_grad():
        change = (network(photo(), guidance()) - network(photo(), without)).abs()
    assert change.amax((1, 2, 3)).min() > 1e-6


@pytest.mark.parametrize("channels", [2, 3])
def test_every_weight_learns_and_has_one_origin(make, channels):
    network = make(guidance_channels=channels)
    (network(photo(), guidance()[:, :channels]) ** 2).mean().backward()
    assert not [
        name
        for name, weights in network.named_parameters()
        if weights.grad is None or not weights.grad.any()
    ]
    parts = network.parameters_by_origin()
    assert set(parts) == {"encoder", "clicks", "decoder"}
    assert sorted(id(p) for part in parts.values() for p in part) == sorted(
        id(p) for p in network.parameters()
    )


def test_without_clicks_it_can_be_converted(make):
    network = make().eval()
    converted = Converted(network).eval()
    maps = torch.zeros(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(network(photo()), network(photo(), maps))
        at_first = converted(photo(), maps)
        assert at_first.shape == (2, 1, 64, 96)
        maps[:, :, 20:40, 20:40] = 1
        assert (converted(photo(), maps) - at_first).abs().max() > 1e-6


def test_patches_of_photo_and_guidance_are_projected_alike_and_summed():
    network = simpleclick().eval()
    image, maps = photo((32, 48), 1), torch.rand(1, 3, 32, 48)
    seen = []
    hook = network.encoder.blocks.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        network.tokens(image, maps)
        hook.remove()
        normal = (image - network.mean) / network.std
        rows = []
        for y in range(2):
            for x in range(3):  # six patches of 16 x 16, one after the other
                token = network.encoder.patch_embed.proj.bias + network.clicks.bias
                for channels, layer in (
                    (normal, network.encoder.patch_embed.proj),
                    (maps, network.clicks),
                ):
                    patch = channels[0, :, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16].flatten()
                    token = token + layer.weight.flatten(1) @ patch
                rows.append(token)
        grid = network.encoder.patch_embed.grid_size
        places = network.encoder.pos_embed[:, 1:].unflatten(1, grid).permute(0, 3, 1, 2)
        places = (
            interpolate(places, (2, 3), mode="bicubic", antialias=True)
            .flatten(2)
            .transpose(1, 2)[0]
        )
    assert network.clicks.weight.shape == network.encoder.patch_embed.proj.weight.shape
    assert torch.allclose(seen[0][0, 1:], torch.stack(rows) + places, atol=1e-4)


def test_a_click_network_without_guidance_is_the_vit_itself():
    network = simpleclick().eval()
    for weights in network.clicks.parameters():
        torch.nn.init.zeros_(weights)
    vit = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True).eval()
    vit.load_state_dict(network.encoder.state_dict())
    with torch.no_grad():
        tokens = network.tokens(photo(), guidance())
        expected = vit.forward_features((photo() - network.mean) / network.std)[:, 1:]
    assert torch.allclose(tokens.flatten(2).transpose(1, 2), expected, atol=1e-5)


def test_the_pyramid_has_levels_at_four_two_one_and_half_times_the_grid():
    levels = Pyramid(64, WIDTHS)(torch.rand(2, 64, 4, 6))
    assert [tuple(level.shape) for level in levels] == [
        (2, 16, 16, 24),
        (2, 24, 8, 12),
        (2, 32, 4, 6),
        (2, 40, 2, 3),
    ]


def test_a_level_of_the_pyramid_sees_its_own_tokens_alone():
    pyramid = Pyramid(64, WIDTHS)
    for level in pyramid.levels:
        for layer in level:
            if isinstance(layer, torch.nn.GroupNorm):
                layer.forward = lambda x: x  # norms look at the whole grid
    tokens = torch.rand(1, 64, 4, 6)
    other = tokens.clone()
    other[:, :, 2, 4] += 1
    for level, (y, x, side) in zip(
        pyramid.levels, [(8, 16, 4), (4, 8, 2), (2, 4, 1), (1, 2, 1)], strict=True
    ):
        changed = (level(other) - level(tokens)).abs().amax((0, 1)) > 0
        expected = torch.zeros_like(changed)
        expected[y : y + side, x : x + side] = True
        assert torch.equal(changed, expected)


def test_guidance_is_embedded_at_the_stem_of_hrnet():
    network = ritm().eval()
    encoder, maps = network.encoder, guidance((32, 32), 1)
    seen = []
    hook = encoder.model.conv2.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    with torch.no_grad():
        encoder(torch.cat([photo((32, 32), 1), maps], 1))
        hook.remove()
        embedding, model = encoder.embedding, encoder.model
        mixed = (
            torch.einsum("oc,bchw->bohw", embedding.mix.weight[:, :, 0, 0], maps)
            + embedding.mix.bias[:, None, None]
        )
        mixed = torch.where(mixed > 0, mixed, 0.2 * mixed)
        embedded = 0.05 * conv2d(
            mixed, embedding.shrink.weight, embedding.shrink.bias, stride=2, padding=1
        )
        stem = torch.relu(model.bn1(model.conv1(photo((32, 32), 1))))
    assert torch.allclose(seen[0], stem + embedded, atol=1e-5)


def test_the_embedding_starts_small_and_has_the_stems_size():
    torch.manual_seed(0)
    embedded = Embedding(3, 16)(torch.ones(1, 3, 64, 32))
    assert embedded.shape == (1, 16, 32, 16)
    assert embedded.abs().max() < 0.1


def test_resolutions_are_joined_at_the_finest():
    levels = [torch.rand(1, 2, 8, 12), torch.rand(1, 3, 4, 6), torch.full((1, 1, 2, 3), 5.0)]
    joined = Fuse()(levels)
    assert joined.shape == (1, 6, 8, 12)
    assert torch.equal(joined[:, :2], levels[0])
    assert torch.equal(joined[:, 5], torch.full((1, 8, 12), 5.0))


def test_norms_are_frozen_replaced_or_live(monkeypatch):
    assert not list(batch_norms(ritm()))
    assert all(norm.training for norm in batch_norms(ritm(norm="batch").train()))
    monkeypatch.setattr(
        "interseg.networks.frozen.download",
        lambda *_: timm.create_model(TINY_HRNET, num_classes=0),
    )
    frozen = RITMNetwork(TINY_HRNET, "hub", norm="frozen").train()
    assert list(batch_norms(frozen))
    assert not any(norm.training or norm.weight.requires_grad for norm in batch_norms(frozen))
    again = RITMNetwork(TINY_HRNET, None, norm="frozen")  # as a checkpoint is read
    again.load_state_dict(frozen.state_dict())
    assert list(batch_norms(again))


def test_random_weights_are_the_seeds(make):
    torch.manual_seed(1)
    network = make()
    torch.manual_seed(2)
    cls = type(network)
    options = {"norm": "group"} if cls is RITMNetwork else {"widths": WIDTHS, "width": 16}
    name = TINY_HRNET if cls is RITMNetwork else "test_vit"
    other = cls(name, None, **options)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(network.encoder.parameters(), other.encoder.parameters(), strict=True)
        if a.dim() > 3
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RITMNetwork("resnet18", None), "encoder is 'resnet18'; use an HRNet: hrnet_w18"),
        (lambda: RITMNetwork(TINY_HRNET, "package"), "no package carries weights"),
        (lambda: RITMNetwork(TINY_HRNET, None, norm="layer"), "norm is 'layer'"),
        (lambda: SimpleClickNetwork("test_resnet", None), "which is not a plain ViT"),
        (
            lambda: SimpleClickNetwork("test_vit", None, widths=(8, 8)),
            r"widths are \[8, 8\]; give four",
        ),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
