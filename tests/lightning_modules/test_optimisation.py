"""Learning rates by a weight's origin, and schedules."""

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from configs import build, load, resolve
from interseg.errors import InputError
from lightning_modules.itis import ITIS
from lightning_modules.optimisation import Optimisation
from tests.helpers.small_network import click_network


def counted(steps, of_an_epoch, epoch=0):
    """Make what an optimisation reads of a Trainer."""
    progress = SimpleNamespace(is_last_batch=False)
    return SimpleNamespace(
        estimated_stepping_batches=steps,
        max_epochs=steps // of_an_epoch,
        current_epoch=epoch,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )


def test_encoder_clicks_and_decoder_have_their_own_learning_rates_and_the_papers_steps():
    optimisation = build(
        resolve(load(["itis.yaml"], ["model.optimisation.rates.clicks=1000"]))["model"][
            "optimisation"
        ]
    )
    module = ITIS(click_network(), optimisation=optimisation)
    module.trainer = counted(100, 5)
    optimizer = module.configure_optimizers()["optimizer"]
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([1e-5, 1e-2, 1e-3])
    assert [p.shape[1] for p in optimizer.param_groups[1]["params"]] == [2]
    weights = sum(p.numel() for g in optimizer.param_groups for p in g["params"])
    assert weights == sum(p.numel() for p in module.parameters() if p.requires_grad)
    factors = []
    for epoch in (0, 9, 10, 14, 15, 19):
        module.trainer = counted(100, 5, epoch)
        factors.append(optimisation.factor(module, 0))
    assert factors == [1.0, 1.0, 0.1, 0.1, 0.03, 0.03]
    cosine = Optimisation(schedule="cosine", warmup=9)
    assert cosine.factor(module, 0) == pytest.approx(0.1)
    assert cosine.factor(module, 50) == pytest.approx(0.5)
    assert cosine.factor(module, 100) == pytest.approx(0)


@pytest.mark.parametrize("steps", [60, 200])
def test_a_training_that_is_mostly_warm_up_is_told_of(steps):
    module = ITIS(click_network(), optimisation=Optimisation(schedule="cosine", warmup=50))
    module.trainer = counted(steps, 5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.configure_optimizers()
    told = [str(warning.message) for warning in caught]
    assert told == [] if steps == 200 else "60 steps, and the rate rises for 50" in told[0]


def test_a_schedule_without_an_end_is_refused():
    module = SimpleNamespace(trainer=counted(5, 5), current_epoch=0)
    module.trainer.estimated_stepping_batches = float("inf")
    with pytest.raises(InputError, match=r"give trainer.max_epochs or trainer.max_steps"):
        Optimisation(schedule="cosine").factor(module, 0)
    module.trainer.max_epochs = -1
    with pytest.raises(InputError, match=r"anew counts epochs"):
        Optimisation(schedule="cosine", anew=[3]).factor(module, 0)


def test_a_schedule_begins_anew_with_a_methods_next_phase():
    schedule, factors = Optimisation(schedule="cosine", warmup=4, anew=[10]), {}
    for step in (0, 50, 99, 100, 104, 130, 159):
        module = SimpleNamespace(trainer=counted(160, 10), current_epoch=step // 10)
        factors[step] = schedule.factor(module, step)
    assert factors[0] == factors[100] == pytest.approx(0.2)
    assert factors[50] == factors[130] == pytest.approx(0.5)
    assert factors[99] < 0.01
    assert factors[159] < 0.01
    assert factors[104] > 0.95


class Line(LightningModule):
    """A weight, and the rates of all its steps."""

    def __init__(self, optimisation):
        super().__init__()
        self.weight, self.optimisation, self.rates = torch.nn.Linear(1, 1), optimisation, []

    def training_step(self, batch, batch_idx):
        (group,) = self.optimizers().param_groups
        self.rates.append(group["lr"])
        return self.weight(batch).square().mean()

    def configure_optimizers(self):
        return self.optimisation(self, {"all": list(self.parameters())})


@pytest.mark.parametrize("accumulated", [1, 2])
def test_an_epochs_first_step_has_its_own_rate(accumulated):
    plain = Optimisation(learning_rate=1.0, milestones={1: 0.1, 3: 0.01})
    anew = Optimisation(learning_rate=1.0, schedule="cosine", anew=[2])
    found = []
    for optimisation in (plain, anew):
        module = Line(optimisation)
        loader = torch.utils.data.DataLoader(torch.rand(4, 1), batch_size=1)
        quiet = dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        )
        trainer = Trainer(
            max_epochs=4, accelerator="cpu", accumulate_grad_batches=accumulated, **quiet
        )
        trainer.fit(module, loader)
        found.append(module.rates[::accumulated])
    steps = 4 // accumulated
    assert found[0] == pytest.approx([1.0] * steps + [0.1] * 2 * steps + [0.01] * steps)
    falling = [0.5 * (1 + math.cos(math.pi * i / (2 * steps))) for i in range(2 * steps)]
    assert found[1] == pytest.approx(falling * 2)


def test_unknown_optimisers_schedules_and_origins_are_named():
    with pytest.raises(InputError, match="optimizer='lion'"):
        Optimisation("lion")
    with pytest.raises(InputError, match="schedule='linear'"):
        Optimisation(schedule="linear")
    with pytest.raises(
        InputError, match="rates has 'head'; the weights of ITIS come from encoder, clicks, decoder"
    ):
        ITIS(click_network(), optimisation=Optimisation(rates={"head": 2})).configure_optimizers()
