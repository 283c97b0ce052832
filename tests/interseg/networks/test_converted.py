import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import nn

from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions, Predictor
from interseg.inference.refiners import BRSRefiner
from interseg.inference.zoom import ZoomIn
from interseg.networks.converted import Converted, first_layer
from tests.helpers.small_network import answered


class UNet(nn.Module):
    """A person's own, two levels."""

    def __init__(self, classes=1, first=None):
        super().__init__()
        self.down = nn.Sequential(first or nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.3))
        self.deep = nn.Sequential(
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.LeakyReLU(0.3),
            nn.Upsample(scale_factor=2),
        )
        self.up = nn.Sequential(
            nn.Conv2d(24, 8, 3, padding=1), nn.LeakyReLU(0.3), nn.Conv2d(8, classes, 1)
        )

    def forward(self, x):
        x = self.down(x)
        return self.up(torch.cat([x, self.deep(x)], 1))


NETWORKS = {
    "own": UNet,
    "smp": lambda: smp.Unet("resnet18", encoder_weights=None, classes=1),
    "timm's own padding": lambda: smp.DeepLabV3Plus(
        "tu-tf_efficientnet_lite0", encoder_weights=None, classes=3
    ),
    "torchvision": lambda: torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4
    ),
    "no bias": lambda: UNet(2, nn.Conv2d(3, 8, 5, padding=2, bias=False, padding_mode="reflect")),
}


def build(name):
    torch.manual_seed(0)
    return NETWORKS[name]()


@pytest.mark.parametrize("name", NETWORKS)
def test_without_maps_and_with_zero_maps_the_output_is_the_originals_to_the_bit(name):
    network = build(name).eval()
    converted = Converted(network).eval()
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        converted.network = None
        plain = network((image - converted.mean) / converted.std)
        converted.network = network
        plain = plain["out"] if isinstance(plain, dict) else plain
        assert torch.equal(converted(image), plain)
        assert torch.equal(converted(image, torch.zeros_like(image)), plain)
        assert not torch.allclose(converted(image, torch.rand_like(image)), plain)
    assert converted.classes == plain.shape[1]
    assert list(converted.state_dict()) == [f"network.{key}" for key in network.state_dict()]


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_go_through_the_first_convolution_with_the_photos_weights(name):
    network = build(name).eval().double()
    converted = Converted(network.float()).double().eval()
    first, _ = first_layer(network.float(), torch.zeros(1, 3, 64, 64))
    network.double()
    seen = []
    first.register_forward_hook(lambda m, i, o: seen.append(o))
    image, maps = torch.rand(1, 3, 64, 64).double(), torch.rand(1, 3, 64, 64).double()
    with torch.no_grad():
        converted(image, maps)
        network((image - converted.mean) / converted.std + maps)  # a convolution is linear
    assert torch.allclose(seen[0], seen[1])


def played(network, clicks, rounds=1):
    torch.manual_seed(1)
    predictor = Predictor(
        network,
        lambda view: torch.zeros_like(view["image"]),
        options=InferenceOptions(BRSRefiner()),
        click_maps=3,
    )
    batch = {
        "id": torch.tensor([7]),
        "image": torch.rand(1, 3, 64, 64),
        "clicks": pad_clicks([clicks_of(clicks)]),
        "states": [{}],
    }
    for _ in range(rounds):
        logits, states = answered(predictor, batch)
        batch |= {"states": states}
    return network(batch["image"]).detach(), logits, states[0]


@pytest.mark.parametrize("classes", [1, 4])
def test_clicked_pixels_get_their_class(classes):
    torch.manual_seed(0)
    network = Converted(UNet(classes)).eval()
    with torch.no_grad():
        network.network.up[2].weight.mul_(20)  # an untrained network hardly answers to its input
    before, _, _ = played(network, [[0, 0, 0]])
    labels = (before[0, 0] <= 0).long() if classes == 1 else (before[0].argmax(0) + 1) % classes
    clicks = [
        [y, x, int(labels[y, x])] for y, x in ((5, 6), (40, 50), (60, 12))
    ]  # each says that the network is wrong
    before, after, state = played(network, clicks)
    assert after.shape == (1, classes, 64, 64)
    for y, x, label in clicks:
        answers = [
            int(o[0, 0, y, x] > 0) if classes == 1 else int(o[0, :, y, x].argmax())
            for o in (before, after)
        ]
        assert answers[0] != label
        assert answers[1] == label
    assert state["counts"]["refinements"] == 1
    _, _, state = played(network, clicks, rounds=2)
    assert state["counts"]["refinements"] == 1


def test_a_click_of_a_class_that_the_network_does_not_know_is_named():
    for classes, label, known in ((1, 2, "0 to 1"), (4, 4, "0 to 3")):
        with pytest.raises(
            InputError,
            match=rf"click \(y=5, x=6\) on object 7 has class {label}; "
            f"the network knows classes {known}",
        ):
            played(Converted(UNet(classes)).eval(), [[5, 6, label]])


def test_what_cannot_be_converted_is_named():
    class Flat(UNet):
        def forward(self, x):
            return super().forward(x).mean((2, 3))

    class Half(UNet):
        def forward(self, x):
            return self.deep[0](super().forward(x))

    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.layer(x)

    with pytest.raises(InputError, match=r"Flat gives \(1, 1\) for an image of 64 x 64"):
        Converted(Flat())
    with pytest.raises(InputError, match=r"Half gives \(1, 1, 32, 32\)"):
        Converted(Half())
    with pytest.raises(InputError, match="the first layer of Sequential is BatchNorm2d"):
        Converted(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1)))
    with pytest.raises(InputError, match="Grey cannot read an image"):
        Converted(Grey())
    training = UNet()
    Converted(training)
    assert training.training


def test_any_size_goes_in_and_comes_out_and_zoom_is_for_one_object():
    network = Converted(build("timm's own padding")).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 75, 100)).shape == (1, 3, 75, 100)
        assert network(torch.rand(1, 3, 75, 100), torch.rand(1, 3, 75, 100)).shape == (
            1,
            3,
            75,
            100,
        )
    batch = {
        "id": torch.tensor([7]),
        "image": torch.rand(1, 3, 64, 64),
        "clicks": pad_clicks([clicks_of([(1, 1, 1)])]),
        "states": [{}],
    }
    batch["previous"] = torch.zeros(1, 64, 64, dtype=torch.bool)
    with pytest.raises(InputError, match="the network has 3 classes"):
        Predictor(
            network,
            lambda view: torch.zeros_like(view["image"]),
            options=InferenceOptions(zoom=ZoomIn()),
            click_maps=3,
        )(batch)


def test_the_mean_energy_of_several_classes_is_that_of_its_formula():
    from interseg.inference.refine import corrective_energy

    logits = torch.randn(3, 5, 6, dtype=torch.float64)
    labels = np.array([[0, 0, 2], [1, 2, 0], [4, 5, 0]], np.int64)
    p = logits.softmax(0)
    errors = [
        sum((float(k == c) - p[k, y, x].item()) ** 2 for k in range(3))
        for y, x, c in labels.tolist()
    ]
    assert corrective_energy(logits, labels, mean=False).item() == pytest.approx(sum(errors))
    assert corrective_energy(logits, labels, mean=True).item() == pytest.approx(
        errors[0] + (errors[1] + errors[2]) / 2
    )
