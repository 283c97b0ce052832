import pytest
import skimage.data
import timm
import torch
from skimage.transform import resize

from configs.plugins import SyncNorms
from interseg.errors import InputError
from interseg.networks.click_network import ClickNetwork
from interseg.networks.norms import batch_norms
from interseg.networks.pretrained import load_encoder_weights, packaged_state_dict
from interseg.networks.stem import GuidedConvolution, widen_first_convolution
from tests.helpers.small_network import ENCODER

LITE = "tu-tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def network():
    return ClickNetwork(encoder=LITE, pretrained="package", options={"decoder_channels": 32})


@pytest.mark.parametrize(("photo", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967})])
def test_the_packaged_weights_know_a_cat_and_an_espresso(photo, classes):
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(packaged_state_dict(LITE), strict=True)
    image = getattr(skimage.data, photo)()
    edge = min(image.shape[:2])
    left = (image.shape[1] - edge) // 2
    x = (
        torch.from_numpy(resize(image[:edge, left : left + edge], (224, 224), anti_aliasing=True))
        .float()
        .permute(2, 0, 1)
    )
    best = model.eval()((x[None] - 0.5) / 0.5).argmax().item()
    assert best in classes


def test_new_channels_start_from_zero_so_that_clicks_change_nothing_yet(network):
    network.eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(
            network(image, torch.zeros(1, 2, 64, 64)), network(image, torch.rand(1, 2, 64, 64))
        )
    stem = next(m for m in network.encoder.modules() if isinstance(m, GuidedConvolution))
    assert torch.equal(stem.photo.weight, packaged_state_dict(LITE)["conv_stem.weight"])
    assert not stem.guidance.weight.any()


def test_the_guided_convolution_is_one_convolution_over_all_channels():
    photo = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    widened = GuidedConvolution(photo, 2, "mean")
    assert torch.allclose(widened.guidance.weight[:, 1], photo.weight.mean(1))
    torch.nn.init.normal_(widened.guidance.weight)
    x = torch.rand(2, 5, 9, 11)
    weight = torch.cat([photo.weight, widened.guidance.weight], 1)
    assert torch.allclose(
        widened(x), torch.nn.functional.conv2d(x, weight, photo.bias, 2, 1), atol=1e-6
    )


def test_parameters_are_told_apart_by_where_they_start_from(network):
    parts = {
        name: {id(p) for p in parameters}
        for name, parameters in network.parameters_by_origin().items()
    }
    stem = next(m for m in network.encoder.modules() if isinstance(m, GuidedConvolution))
    assert id(stem.photo.weight) in parts["encoder"]
    assert parts["clicks"] == {id(stem.guidance.weight)}
    assert id(network.network.segmentation_head[0].weight) in parts["decoder"]
    assert (
        sum(map(len, parts.values()))
        == len(set.union(*parts.values()))
        == sum(p.requires_grad for p in network.parameters())
    )


def test_a_network_that_reads_no_photo_is_refused():
    with pytest.raises(InputError, match="no convolution with 3 input channels"):
        widen_first_convolution(torch.nn.Conv2d(4, 3, 1), 2)


def test_the_encoders_norm_is_frozen_and_the_decoders_is_group_norm(network):
    assert not any(
        n.training for n in batch_norms(ClickNetwork(encoder=LITE, pretrained=None).encoder)
    )
    network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    network(torch.rand(2, 3, 64, 64), torch.rand(2, 2, 64, 64)).mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(
        not n.training and not any(p.requires_grad for p in n.parameters())
        for n in batch_norms(network.encoder)
    )
    assert not list(batch_norms(network.network.decoder))


def test_frozen_norms_stay_so_when_they_are_synchronised():
    network = ClickNetwork(encoder=LITE, pretrained=None).eval()
    given = torch.rand(1, 3, 64, 64), torch.rand(1, 2, 64, 64)
    before = network(*given)
    SyncNorms().apply(network)  # `trainer.sync_batchnorm`
    assert torch.equal(network(*given), before), "timm's norms keep their activations"
    network.train()
    kept = [m for m in network.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert kept
    assert not any(n.training or n.weight.requires_grad for n in kept)


@pytest.mark.parametrize("size", [(33, 70), (64, 64), (17, 100)])
def test_any_size_goes_in_and_comes_out(network, size):
    assert network(torch.rand(1, 3, *size), torch.zeros(1, 2, *size)).shape == (1, 1, *size)


def test_channels_last_changes_the_layout_only():
    torch.manual_seed(0)
    plain = ClickNetwork(
        encoder=LITE, pretrained="package", options={"decoder_channels": 32}
    ).eval()
    last = ClickNetwork(
        encoder=LITE, pretrained="package", channels_last=True, options={"decoder_channels": 32}
    ).eval()
    last.load_state_dict(plain.state_dict())
    image, guidance = torch.rand(1, 3, 64, 96), torch.rand(1, 2, 64, 96)
    with torch.no_grad():
        assert torch.allclose(plain(image, guidance), last(image, guidance), atol=1e-5)


def test_compiling_changes_neither_the_output_nor_the_checkpoint():
    torch.manual_seed(0)
    plain = ClickNetwork(encoder=ENCODER, pretrained=None, options={"decoder_channels": 16}).eval()
    compiled = ClickNetwork(
        encoder=ENCODER,
        pretrained=None,
        compile={"backend": "eager"},
        options={"decoder_channels": 16},
    ).eval()
    compiled.load_state_dict(plain.state_dict())
    image, guidance = torch.rand(1, 3, 64, 64), torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        assert torch.allclose(plain(image, guidance), compiled(image, guidance), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "DeepLabV4"}, "architecture is 'DeepLabV4'"),
        (
            {"encoder": "tu-resnet18", "pretrained": "package"},
            "no package carries weights of the encoder 'tu-resnet18'",
        ),
        ({"encoder": LITE, "pretrained": "coco"}, "pretrained is 'coco'"),
        ({"encoder": LITE, "pretrained": None, "new_channels": "one"}, "new_channels='one'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ClickNetwork(**arguments)


def test_weights_that_cannot_be_downloaded_name_the_way_without_a_network(monkeypatch):
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: (_ for _ in ()).throw(OSError("no route to host"))
    )
    with pytest.raises(InputError, match=r"no route to host.*pretrained=package"):
        load_encoder_weights(torch.nn.Identity(), "tu-xception65", "hub")
