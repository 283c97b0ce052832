import pytest
import torch
from torch import nn

from configs import build, load, resolve
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions
from interseg.networks.brs_network import BRSNetwork
from lightning_modules.brs import BRS
from lightning_modules.optimisation import Optimisation
from tests.helpers.small_network import ENCODER


def shapes(encoder):
    """(layer, output's channels and reduction) of everything that the paper's table of layers
    lists, as one run has it.
    """
    with torch.device("meta"):  # sizes alone
        network = BRSNetwork(encoder, None).eval()
    seen = {}
    hooks = {f"{name}": module for name, module in network.named_modules() if name}
    for name, module in hooks.items():
        module.register_forward_hook(
            lambda m, i, o, name=name: (
                seen.__setitem__(name, o) if isinstance(o, torch.Tensor) else None
            )
        )
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 96, device="meta"), torch.rand(1, 2, 64, 96, device="meta"))
    return {
        name: (o.shape[1], 64 // o.shape[2]) for name, o in seen.items() if o.dim() == 4
    }, network


def test_the_network_is_the_tables():
    size, network = shapes("densenet121")
    assert [size[f"excitations.{i}"] for i in range(4)] == [
        (256, 4),
        (512, 8),
        (1024, 16),
        (1024, 32),
    ]
    assert [network.excitations[i].scale[1].out_channels for i in range(4)] == [16, 32, 64, 64]
    assert [size[f"coarse.skips.{i}"] for i in range(3)] == [(64, 4), (128, 8), (256, 16)]
    for i, (width, reduction) in enumerate(((512, 32), (256, 16), (128, 8), (64, 4))):
        assert [size[f"coarse.blocks.{i}.{k}"] for k in range(3)] == [(width, reduction)] * 2 + [
            (width // 2, reduction)
        ]
    assert [size[f"coarse.ups.{i}"] for i in range(3)] == [(256, 16), (128, 8), (64, 4)]
    assert size["coarse.prediction"] == (1, 4)
    assert size["coarse.enlarge"] == (1, 1)
    for k, dilation in enumerate((1, 2, 3)):
        assert [size[f"fine.branches.{k}.{i}"] for i in range(3)] == [(32, 1), (32, 1), (16, 1)]
        assert network.fine.branches[k][0][0].dilation == (dilation, dilation)
        assert network.fine.branches[k][0][0].in_channels == 6
    assert network.fine.excitation.scale[1].out_channels == 3
    assert size["fine.excitation"] == (48, 1)
    assert size["fine.head.0"] == (16, 1)
    for module in (network.coarse, network.fine):
        for block in module.modules():
            if (
                isinstance(block, nn.Sequential)
                and len(block) == 3
                and isinstance(block[1], nn.PReLU)
            ):
                assert block[0].bias is None
                assert isinstance(block[2], nn.BatchNorm2d)


@pytest.mark.parametrize("encoder", ["vgg16", ENCODER])
def test_other_encoders_give_the_same_sizes(encoder):
    size, _ = shapes(encoder)
    assert [size[f"excitations.{i}"][1] for i in range(4)] == [4, 8, 16, 32]
    assert size["fine.head"] == (1, 1)


def network(**options):
    torch.manual_seed(0)
    return BRSNetwork(ENCODER, None, **{"width": 8, "norm": "group"} | options)


def batch():
    clicks = pad_clicks([clicks_of([(3, 4, 1)]), clicks_of([(9, 9, 1), (50, 50, 0)])])
    mask = torch.zeros(2, 64, 96).byte()
    mask[:, :20, :20] = 1
    return {
        "id": torch.tensor([4, 7]),
        "image": torch.rand(2, 3, 64, 96),
        "mask": mask,
        "clicks": clicks,
    }


def test_any_size_goes_in_and_the_output_is_chosen():
    net = network().eval()
    image, maps = torch.rand(1, 3, 50, 70), torch.rand(1, 2, 50, 70)
    with torch.no_grad():
        coarse, fine = net.both(image, maps)
        assert fine.shape == coarse.shape == (1, 1, 50, 70)
        assert torch.equal(net(image, maps), fine)
        net.output = "coarse"
        assert torch.equal(net(image, maps), coarse)
    with pytest.raises(InputError, match="output='both'"):
        network(output="both")


class Epoch:
    """What the module reads of a Trainer."""

    estimated_stepping_batches = 100

    def __init__(self, current_epoch):
        self.current_epoch = current_epoch
        self.barebones = False


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_fine_decoder_waits_for_its_phase(optimizer, monkeypatch):
    module = BRS(
        network(),
        coarse_epochs=2,
        optimisation=Optimisation(optimizer, learning_rate=1e-3, weight_decay=0.1),
    )
    monkeypatch.setattr(BRS, "log", lambda *a, **k: None)
    for epoch, trains in ((0, False), (1, False), (2, True)):
        module._trainer = Epoch(epoch)
        setup = module.configure_optimizers()
        before = {k: v.clone() for k, v in module.network.state_dict().items()}
        setup["optimizer"].zero_grad()
        outputs = module.training_step(batch(), 0)
        outputs["loss"].backward()
        assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
        module.on_before_optimizer_step(setup["optimizer"])
        setup["optimizer"].step()
        changed = {
            k.split(".")[0]
            for k, v in module.network.state_dict().items()
            if not torch.equal(v, before[k])
        }
        assert ("fine" in changed) == trains
        assert {"encoder", "coarse", "excitations"} <= changed


def test_rates_are_the_papers_for_a_mean_loss():
    module = BRS(
        network(), optimisation=build(resolve(load(["brs.yaml"]))["model"]["optimisation"])
    )
    module._trainer = Epoch(25)
    rates = [g["lr"] for g in module.configure_optimizers()["optimizer"].param_groups]
    assert rates == pytest.approx([1e-9 * 360 * 360, *[1e-7 * 360 * 360] * 3], rel=0.01)


def test_training_and_refinement_see_the_same_maps():
    module = BRS(network()).eval()
    flipped = BRS(network(), inference=InferenceOptions(flip=True)).eval()
    given = batch() | {"states": [{}, {}]}
    with torch.no_grad():
        plain = module.segment(given)
        assert torch.equal(module.answer(given).logits, plain)
        assert torch.equal(module.predictor()(given).logits, plain)
        assert torch.equal(flipped.segment(given), plain)
        assert not torch.allclose(flipped.answer(given).logits, plain)


@pytest.mark.parametrize(
    ("output", "epoch", "said"), [("fine", 19, True), ("fine", 20, False), ("coarse", 3, False)]
)
def test_what_a_first_phase_has_not_learned_is_said(output, epoch, said):
    module = BRS(BRSNetwork(ENCODER, None, width=8, norm="group", output=output), coarse_epochs=20)
    assert ("fine decoder" in module.untrained(epoch)) == said
