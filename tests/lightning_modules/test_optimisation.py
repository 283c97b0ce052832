"""Learning rates by a weight's origin, and schedules."""

import pytest

from configs import build, load, resolve
from interseg.errors import InputError
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.small_network import click_network


def test_encoder_clicks_and_decoder_have_their_own_learning_rates_and_the_papers_steps():
    optimisation = build(
        resolve(load(["itis.yaml"], ["model.optimisation.rates.clicks=1000"]))["model"][
            "optimisation"
        ]
    )
    module = ITIS(click_network(), optimisation=optimisation)
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
    module = type(
        "M",
        (),
        {
            "trainer": type("T", (), {"estimated_stepping_batches": 160, "max_epochs": 16})(),
            "current_epoch": 0,
        },
    )()
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
    with pytest.raises(
        InputError, match="rates has 'head'; the weights of ITIS come from encoder, clicks, decoder"
    ):
        ITIS(click_network(), optimisation=Optimisation(rates={"head": 2})).configure_optimizers()
