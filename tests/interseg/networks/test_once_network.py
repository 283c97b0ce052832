"""The network that encodes once.

What is known beforehand changes nothing, and a frozen encoder is no part of what is learned or
kept.
"""

import pytest
import timm
import torch
from torch.nn.functional import adaptive_avg_pool2d, normalize, scaled_dot_product_attention

from interseg.errors import InputError
from interseg.networks.attention import TokenBlock, likeness_to_clicks, likeness_to_regions
from interseg.networks.click_decoder import shares
from interseg.networks.converted import Converted
from interseg.networks.frozen import FrozenEncoder, digest_of
from interseg.networks.once_network import OnceNetwork, with_noise
from tests.helpers.clicked_photos import guidance, photo

ENCODERS = {"ViT": ("test_vit", None), "CNN": ("tf_efficientnet_lite0", "package")}


def small(kind="ViT", **options):
    torch.manual_seed(0)
    name, pretrained = ENCODERS[kind]
    return OnceNetwork(name, pretrained, width=32, outlines=8, blocks=1, **options).eval()


@pytest.fixture(scope="module", params=ENCODERS)
def network(request):
    return small(request.param)


@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_what_is_known_of_a_photo_changes_no_answer(network, size):
    image, maps = photo(size), guidance(size)
    with torch.no_grad():
        plain = network(image, maps)
        assert plain.shape == (2, 1, *size)
        assert torch.equal(network(image, maps, network.encode(image)), plain)
        assert torch.equal(network(image, maps, features=network.features(image)), plain)
        encoded = network.encode(image)
        assert all(len(part) == 2 for part in encoded.values())
        assert torch.equal(network(torch.zeros_like(image), maps, encoded), plain), (
            "what is encoded is all that is read of a photo"
        )
        alone = network(image[1:], maps[1:], {key: part[1:] for key, part in encoded.items()})
        assert torch.allclose(alone, plain[1:], atol=1e-5), "photos do not see each other"


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_guidance_channel_is_heeded_everywhere(network, channel):
    image = photo()
    without = guidance()
    without[:, channel] = 0
    with torch.no_grad():
        change = (network(image, guidance()) - network(image, without)).abs()
    row = 0 if channel == 1 else 1
    assert (change[row] > 0).float().mean() > 0.99, "attention carries a click over the photo"


def test_two_guidance_channels_are_enough():
    with torch.no_grad():
        assert small(guidance_channels=2)(photo(), guidance()[:, :2]).shape == (2, 1, 64, 96)
    with pytest.raises(InputError, match="guidance_channels is 4"):
        small(guidance_channels=4)


def test_a_frozen_encoder_learns_nothing_and_lies_in_no_checkpoint(network):
    network.train()
    assert not network.encoder.training
    network(photo(), guidance()).mean().backward()
    assert all(p.grad is None for p in network.encoder.parameters())
    parts = network.parameters_by_origin()
    assert parts["encoder"] == []
    assert all(p.grad is not None for p in parts["decoder"]), "everything else learns"
    assert {id(p) for p in parts["decoder"]} == {
        id(p) for p in network.parameters() if p.requires_grad
    }
    network.zero_grad()
    network.eval()
    state = network.state_dict()
    assert [key for key in state if key.startswith("encoder.")] == ["encoder.digest"]
    assert {key.split(".")[0] for key in state} == {"encoder", "neck", "decoder"}


def test_a_changed_photo_is_encoded_with_a_gradient(network):
    image = photo(count=1).requires_grad_()
    network(image, guidance(count=1)).mean().backward()
    with_encoder = image.grad.clone()
    image.grad = None
    network(image, guidance(count=1), features=network.features(image.detach())).mean().backward()
    assert not torch.allclose(with_encoder, image.grad), (
        "the gradient reaches the photo through the encoder too"
    )
    network.zero_grad()


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_checkpoint_goes_back_into_a_network_on_the_same_encoder(kind, tmp_path):
    one, other = small(kind), small(kind)
    with torch.no_grad():
        for p in one.parameters_by_origin()["decoder"]:
            p.add_(torch.randn_like(p) * 0.1)
    torch.save(one.state_dict(), tmp_path / "one.pt")
    with torch.no_grad():
        wanted = one(photo(), guidance())
        assert not torch.equal(other(photo(), guidance()), wanted)
        other.load_state_dict(torch.load(tmp_path / "one.pt", weights_only=True), strict=True)
        assert torch.equal(other(photo(), guidance()), wanted)


def test_a_checkpoint_of_another_encoder_is_refused(network):
    state = network.state_dict()
    state["encoder.digest"] = state["encoder.digest"] ^ 1
    with pytest.raises(
        InputError,
        match=r"trained on an encoder of digest \w+, this .* has \w+; build it from the weights",
    ):
        network.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Missing key.*decoder"):
        network.load_state_dict(
            {key: value for key, value in network.state_dict().items() if "last" not in key}
        )


def test_a_fine_tuned_encoder_learns_and_is_kept():
    network = small(frozen=False).train()
    network(photo(), guidance()).mean().backward()
    parts = network.parameters_by_origin()
    assert parts["encoder"]
    assert any(p.grad is not None and p.grad.any() for p in parts["encoder"])
    state = network.state_dict()
    assert "encoder.model.patch_embed.proj.weight" in state
    other = small(frozen=False)
    state["encoder.model.patch_embed.proj.weight"] += 1
    other.load_state_dict(state)
    assert torch.equal(
        other.encoder.model.patch_embed.proj.weight, state["encoder.model.patch_embed.proj.weight"]
    )


def test_a_random_encoder_is_the_same_whenever_it_is_built():
    before = torch.random.get_rng_state()
    one = FrozenEncoder("test_vit", None)
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's draws change"
    torch.manual_seed(9)
    assert FrozenEncoder("test_vit", None).key == one.key
    assert FrozenEncoder("test_vit", None, [1, 5]).key != one.key
    assert FrozenEncoder("test_vit2", None).key != one.key
    before = digest_of(one.model)
    with torch.no_grad():
        next(one.model.parameters()).view(-1)[0].add_(1e-3)
    assert not torch.equal(digest_of(one.model), before)


def test_levels_follow_from_the_encoder_or_are_given():
    assert FrozenEncoder("test_vit", None).levels == [2, 5]
    lite = FrozenEncoder("tf_efficientnet_lite0", None)
    assert (lite.levels, lite.strides, lite.channels) == ([2, 3, 4], [8, 16, 32], [40, 112, 320])
    with pytest.raises(InputError, match=r"levels are \[9\]; test_vit has no such level"):
        FrozenEncoder("test_vit", None, [9])
    with pytest.raises(InputError, match=r"have strides .*; add one of more than 12"):
        OnceNetwork("tf_efficientnet_lite0", None, levels=[1, 2])


def test_unknown_encoders_and_weights_are_named(monkeypatch):
    with pytest.raises(InputError, match="encoder is 'vit_smal', which timm does not have"):
        FrozenEncoder("vit_smal", None)
    with pytest.raises(InputError, match="pretrained is 'imagenet'; use package"):
        FrozenEncoder("test_vit", "imagenet")
    with pytest.raises(
        InputError,
        match="'test_vit'; pretrained=package works with: vit_small_patch14_dinov2, tf_eff",
    ):
        FrozenEncoder("test_vit", "package")

    def unreachable(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(
        InputError,
        match=r"could not be downloaded \(no route to host\); .*model.network.pretrained=package",
    ):
        FrozenEncoder("test_vit", "hub")


def test_noise_is_drawn_in_training_alone_and_the_encoder_does_not_see_it(monkeypatch):
    network = small().train()
    image, maps = photo(), guidance()
    features, seen = network.features(image), []
    monkeypatch.setattr(network.encoder, "forward", lambda shown: seen.append(shown) or features)
    torch.manual_seed(1)
    first = network(image, maps)
    assert not torch.equal(network(image, maps), first)
    torch.manual_seed(1)
    assert torch.equal(network(image, maps), first), "by torch's generator, which a step seeds"
    assert all(torch.equal(shown, image) for shown in seen)
    network.eval()
    assert torch.equal(network(image, maps), network(image, maps))
    noisy = with_noise(image, 0.3)
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    assert not torch.equal(noisy[0] - image[0], noisy[1] - image[1])
    assert torch.allclose(with_noise(image, 0.0), image, atol=1e-6)


def test_a_compiled_decoder_answers_the_same():
    eager, compiled = small(), small(compile={"backend": "eager"})
    assert compiled.state_dict().keys() == eager.state_dict().keys()
    with torch.no_grad():
        assert torch.allclose(compiled(photo(), guidance()), eager(photo(), guidance()), atol=1e-5)


def test_a_network_that_is_given_no_clicks_is_made_interactive_by_conversion(network):
    image = photo(count=1)
    with torch.no_grad():
        assert torch.equal(network(image), network(image, torch.zeros(1, 3, 64, 96)))
    converted = Converted(network)
    maps = torch.zeros(1, 3, 64, 96, requires_grad=True)
    with torch.enable_grad():
        answer = converted((image * 0.2 + 0.4), maps)
        answer.mean().backward()
    assert maps.grad.abs().sum() > 0, "interaction maps reach the encoder's first layer"


def test_likeness_is_the_largest_cosine_to_a_clicked_token():
    generator = torch.Generator().manual_seed(0)
    tokens = normalize(torch.randn(3, 2, 20, 5, generator=generator), dim=3)
    share = torch.zeros(3, 2, 20)
    share[0, 0, [3, 7]] = torch.tensor([0.5, 0.1])
    share[0, 1, [5, 9, 11]] = torch.tensor([0.1, 0.019, 0.02])  # 0.019 is too small to count
    # smaller than counts: the best covered one counts all the same
    share[1, 0, 4], share[1, 0, 9] = 0.011, 0.01
    found = likeness_to_clicks(tokens, share)
    assert found.shape == (3, 2, 2, 20)
    for row, sign, clicked in ((0, 0, [3, 7]), (0, 1, [5, 11]), (1, 0, [4])):
        for kind in range(2):
            for token in range(20):
                wanted = max(
                    float(tokens[row, kind, token] @ tokens[row, kind, other]) for other in clicked
                )
                assert float(found[row, kind, sign, token]) == pytest.approx(wanted, abs=1e-5)
    assert (found[1, :, 1] == -1).all(), "a sign without a click has nothing alike"
    assert (found[2] == -1).all(), "without a click nothing is alike"


def test_likeness_to_a_mask_is_that_to_its_mean_and_to_the_rests():
    tokens = normalize(torch.randn(1, 2, 20, 5, generator=torch.Generator().manual_seed(0)), dim=3)
    share = torch.zeros(1, 20)
    share[0, :6] = 1
    found = likeness_to_regions(tokens, share)
    assert found.shape == (1, 4, 20)
    for kind in range(2):
        for region, rows in ((0, slice(0, 6)), (1, slice(6, 20))):
            mean = tokens[0, kind, rows].mean(0)
            wanted = tokens[0, kind] @ (mean / mean.norm())
            assert torch.allclose(found[0, 2 * kind + region], wanted, atol=1e-5)
    assert not likeness_to_regions(tokens, torch.zeros(1, 20))[0, ::2].any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("grid", [(4, 3), (3, 5)])
def test_shares_are_means_of_cells(layout, grid):
    maps = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    found = shares(maps.contiguous(memory_format=layout), torch.Size(grid))
    assert torch.allclose(found, adaptive_avg_pool2d(maps, grid), atol=1e-6)


def test_a_block_without_pooling_is_plain_attention():
    torch.manual_seed(0)
    block = TokenBlock(16, heads=2, pool=1).eval()
    x = torch.randn(2, 16, 4, 5)
    tokens = x.flatten(2).transpose(1, 2)
    normed = block.before(tokens)
    query, (key, value) = block.query(normed), block.key_value(normed).chunk(2, 2)
    heads = [
        scaled_dot_product_attention(q, k, v)
        for q, k, v in zip(query.chunk(2, 2), key.chunk(2, 2), value.chunk(2, 2), strict=True)
    ]
    after = tokens + block.out(torch.cat(heads, 2))
    wide = block.wide(block.between(after)).transpose(1, 2).unflatten(2, (4, 5))
    wide = torch.nn.functional.gelu(wide + block.near(wide))
    wanted = after + block.narrow(wide.flatten(2).transpose(1, 2))
    assert torch.allclose(block(x), wanted.transpose(1, 2).unflatten(2, (4, 5)), atol=1e-5)
