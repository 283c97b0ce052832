import pytest
import torch

from configs import build, load, resolve
from interseg.clicks.guidance import DiskGuidance
from interseg.clicks.layout import clicks_of, pad_clicks
from interseg.errors import InputError
from interseg.networks.click_network import ClickNetwork
from interseg.networks.stem import GuidedConvolution
from interseg.views import reduced_size, scale_clicks
from lightning_modules.base import check_loss
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.small_network import ENCODER


def network(channels=2):
    return ClickNetwork(encoder=ENCODER, weights=None, guidance_channels=channels, options={"decoder_channels": 16})


def batch(**more):
    clicks = pad_clicks([clicks_of([(3, 4, 1)]), clicks_of([(9, 9, 0)])])
    return {"id": torch.tensor([4, 7]), "image": torch.rand(2, 3, 64, 96), "mask": torch.ones(2, 64, 96).byte(), "clicks": clicks} | more


def test_a_missing_key_is_named():
    with pytest.raises(ValueError, match="the batch has no 'clicks'"):
        ITIS(network()).segment({"image": torch.rand(1, 3, 64, 64)})
    with pytest.raises(ValueError, match="no 'previous'"):
        ITIS(network(3), previous_mask=True).segment(batch())


def test_the_mask_channel_is_read():
    torch.manual_seed(0)
    module = ITIS(network(3), previous_mask=True).eval()
    torch.nn.init.normal_(next(m for m in module.network.encoder.modules() if isinstance(m, GuidedConvolution)).guidance.weight)
    empty = torch.zeros(2, 64, 96, dtype=torch.bool)
    assert not torch.equal(
        module.segment(batch(previous=empty, image=torch.zeros(2, 3, 64, 96))),
        module.segment(batch(previous=~empty, image=torch.zeros(2, 3, 64, 96))),
    )


def test_channels_of_network_and_module_must_agree():
    with pytest.raises(ValueError, match="previous_mask=True needs 3"):
        ITIS(network(), previous_mask=True)


def test_large_images_are_reduced_for_the_network_and_answered_in_full_size():
    module = ITIS(network(), guidance=DiskGuidance(), long_side=48).eval()
    seen = []
    module.network.register_forward_pre_hook(lambda _, inputs: seen.append([tuple(i.shape[-2:]) for i in inputs]))
    assert module.segment(batch()).shape == (2, 1, 64, 96)
    assert seen == [[(32, 48), (32, 48)]]
    module.train()
    module.segment(batch())
    assert seen[1] == [(64, 96), (64, 96)]


def test_clicks_scale_to_the_pixel_that_covers_them():
    clicks = torch.tensor([[[0, 0, 1, 0], [63, 95, 0, 0], [33, 50, 1, 1], [-1, -1, -1, -1]]])
    scaled = scale_clicks(clicks, torch.Size((64, 96)), (32, 48))
    assert scaled.tolist() == [[[0, 0, 1, 0], [31, 47, 0, 0], [16, 25, 1, 1], [-1, -1, -1, -1]]]
    assert reduced_size(torch.Size((64, 96)), 96) is None
    assert reduced_size(torch.Size((500, 333)), 100) == (100, 67)


def test_encoder_clicks_and_decoder_have_their_own_learning_rates_and_the_papers_steps():
    optimisation = build(resolve(load(["itis.yaml"], ["model.optimisation.rates.clicks=1000"]))["model"]["optimisation"])
    module = ITIS(network(), optimisation=optimisation)
    module.trainer = type("T", (), {"estimated_stepping_batches": 100, "current_epoch": 0})()
    optimizer = module.configure_optimizers()["optimizer"]
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([1e-5, 1e-2, 1e-3])
    assert [p.shape[1] for p in optimizer.param_groups[1]["params"]] == [2]
    counted = sum(p.numel() for g in optimizer.param_groups for p in g["params"])
    assert counted == sum(p.numel() for p in module.parameters() if p.requires_grad)
    factors = []
    for epoch in (0, 9, 10, 14, 15, 19):
        module.trainer.current_epoch = epoch
        factors.append(optimisation.factor(module, 0))
    assert factors == [1.0, 1.0, 0.1, 0.1, 0.03, 0.03]
    cosine = Optimisation(schedule="cosine", warmup=9)
    assert cosine.factor(module, 0) == pytest.approx(0.1)
    assert cosine.factor(module, 50) == pytest.approx(0.5)
    assert cosine.factor(module, 100) == pytest.approx(0)


def test_a_schedule_begins_anew_with_a_methods_next_phase():
    module = type("M", (), {"trainer": type("T", (), {"estimated_stepping_batches": 160, "max_epochs": 16})(), "current_epoch": 0})()
    schedule = Optimisation(schedule="cosine", warmup=4, anew=[10])
    factors = {}
    for epoch, step in ((0, 0), (5, 50), (9, 99), (10, 100), (10, 104), (13, 130), (15, 159)):
        module.current_epoch = epoch
        factors[step] = schedule.factor(module, step)
    assert factors[0] == factors[100] == pytest.approx(0.2)
    assert factors[50] == factors[130] == pytest.approx(0.5)
    assert factors[99] < 0.01
    assert factors[159] < 0.01
    assert factors[104] > 0.95


def test_unknown_optimisers_schedules_and_origins_are_named():
    with pytest.raises(InputError, match="optimizer='lion'"):
        Optimisation("lion")
    with pytest.raises(InputError, match="schedule='linear'"):
        Optimisation(schedule="linear")
    with pytest.raises(InputError, match="rates has 'head'; the weights of ITIS come from encoder, clicks, decoder"):
        ITIS(network(), optimisation=Optimisation(rates={"head": 2})).configure_optimizers()


def test_a_loss_that_is_no_number_names_the_objects():
    with pytest.raises(InputError, match=r"the loss is nan on objects \[4, 7\]"):
        check_loss(torch.tensor(float("nan")), batch())
