"""A rerun against a plain run, on a small network of ours and on the click networks."""

import pytest
import torch

from interseg.inference.rerun import Rerun, change_output, frozen
from interseg.networks.click_network import ClickNetwork
from tests.helpers.small_network import ENCODER, network


@pytest.mark.parametrize("point", ["b", "c"])
def test_a_rerun_computes_only_what_follows_the_layer(point):
    net = network()
    images, maps = torch.rand(3, 3, 12, 16).double(), torch.rand(3, 2, 12, 16).double()
    layer, rows = net.refinement_points()[point], torch.tensor([2, 0])
    run = []
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: run.append(name))
    with frozen(net):
        again = Rerun(net, layer, lambda: net(images, maps))
        before = len(run)
        change = lambda features: features * 1.5 + 0.1  # noqa: E731
        quick = again(lambda: net(images[rows], maps[rows]), change, rows)
        kept = set(again.outputs)
        with change_output(layer, change):
            slow = net(images[rows], maps[rows])
    assert torch.allclose(quick, slow)
    assert net.stem in kept
    assert net.skip not in kept  # its output is changed in place
    assert net.deep in kept
    assert (net.head[0] in kept) == (point == "c")
    assert before > 0
    assert torch.equal(net(images, maps), network()(images, maps))


def test_reruns_of_other_rows_take_turns():
    net = network()
    images, maps = torch.rand(3, 3, 12, 16).double(), torch.rand(3, 2, 12, 16).double()
    layer = net.refinement_points()["b"]
    with frozen(net):
        again = Rerun(net, layer, lambda: net(images, maps))
        for given in ([2, 0], [2, 0], [1], [0, 1, 2], [2, 0]):
            rows, factor = torch.tensor(given), torch.rand(()).double()
            change = lambda features, factor=factor: features * factor  # noqa: E731
            run = lambda rows=rows: net(images[rows], maps[rows])  # noqa: E731
            with change_output(layer, change):
                slow = run()
            assert torch.allclose(again(run, change, rows), slow)


@pytest.mark.parametrize(
    ("architecture", "points"), [("DeepLabV3Plus", "abc"), ("Unet", "abc"), ("FPN", "ac")]
)
def test_every_click_network_names_its_points_and_is_rerun_exactly(architecture, points):
    torch.manual_seed(0)
    net = ClickNetwork(architecture, ENCODER, None, new_channels="mean").eval()
    images, maps, rows = torch.rand(3, 3, 64, 64), torch.rand(3, 2, 64, 64), torch.tensor([1, 2])
    assert "".join(net.refinement_points()) == points
    counts = []
    with frozen(net), torch.no_grad():
        for layer in net.refinement_points().values():
            again = Rerun(net, layer, lambda: net(images, maps))
            change = lambda features: features * 1.1 - 0.05  # noqa: E731
            with change_output(layer, change):
                slow = net(images[rows], maps[rows])
            assert torch.allclose(
                again(lambda: net(images[rows], maps[rows]), change, rows), slow, atol=1e-4
            )
            kept = {id(m) for module in again.outputs for m in module.modules()}
            counts.append(len(kept))
    assert counts == sorted(counts)
    assert counts[0] >= sum(1 for _ in net.encoder.modules())
