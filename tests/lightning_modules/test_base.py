"""Draws of a training step: a place's own, whatever was drawn before."""

import torch
from pytorch_lightning import Trainer

from lightning_modules.base import InteractiveModule


def seeds(accumulated):
    """Seeds of torch at the first four batches, before any step."""
    module = InteractiveModule()
    module.trainer = Trainer(
        accelerator="cpu", accumulate_grad_batches=accumulated, logger=False, barebones=False
    )
    module._seed = 3
    found = []
    for batch in range(4):
        module.on_train_batch_start({}, batch)
        found.append(torch.initial_seed())
    return found


def test_batches_of_one_step_have_draws_of_their_own():
    assert len(set(seeds(1))) == 1, "the step decides, which these four do not change"
    first, second, *more = seeds(2)
    assert first != second
    assert more == [first, second]
