"""Inner rounds (RITM, section 3.2): a few more clicks on objects before a training step.

They are placed by the network's own answers and cost a forward pass each, without gradient, where
the memory of clicks (`callbacks/user_loop.py`) costs none. Both may be on: the memory then says
what a step begins with, and remembers its inner clicks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from interseg.batches import ClickBatch
from interseg.clicks.layout import Clicks, clicks_of, pad_clicks, unpad_clicks
from interseg.clicks.users import User

ROUNDS, CLICKS = 2, 3
"""Seed words that keep these draws apart from the loop's, beside seed, epoch and id."""


def number_of_rounds(most: int, seed: int, step: int) -> int:
    """Draw a step's number of inner rounds, uniformly from 0 to `most`; the same on every rank."""
    return int(np.random.default_rng((seed, step, ROUNDS)).integers(most + 1))


@torch.no_grad()
def play_inner_rounds(
    module: Any,
    batch: ClickBatch,
    user: User,
    rounds: int,
    seed: tuple[int, int],
    logit_threshold: float,
) -> None:
    """Play rounds with a batch, which is changed.

    Its `clicks` grow, its `previous`, if it has one, becomes the last answer, and its `states`
    are the method's.

    Args:
        module: Method that answers by `plain_answer(batch)`. Its network is in evaluation mode
            meanwhile, as in the paper's code.
        batch: Batch of the step.
        user: User who clicks.
        rounds: Number of clicks of each object; an object without an error that can be clicked gets
            fewer.
        seed: Seed and epoch.
        logit_threshold: Logit above which a pixel is object.
    """
    ids, masks = batch["id"].tolist(), [*batch["mask"].cpu().numpy()]
    clicks = unpad_clicks(batch["clicks"])
    batch["states"] = [{} for _ in ids]
    with evaluating(module):
        for number in range(rounds):
            answered, batch["states"] = module.plain_answer(batch)
            logits = answered[:, 0]
            objects = logits > logit_threshold
            generators = [np.random.default_rng((*seed, id, CLICKS, number)) for id in ids]
            made = user.next_clicks([*objects.cpu().numpy()], masks, clicks, generators)
            clicks = [join(given, click) for given, click in zip(clicks, made, strict=True)]
            batch["clicks"] = pad_clicks(clicks).to(batch["clicks"])
            if "previous" in batch:
                batch["previous"] = (
                    logits.float().sigmoid() if getattr(module, "soft_previous", False) else objects
                )


def join(clicks: Clicks, click: Any) -> Clicks:
    """Add a click to clicks (n, 4); None adds nothing."""
    return clicks if click is None else np.concatenate([clicks, clicks_of([click])])


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Set the parts of a module to evaluation mode, and each back to its own afterwards.

    The method itself stays in training: it is shown the step's own view, not one reduced as in
    evaluation.
    """
    parts = list(module.children()) if isinstance(module, nn.Module) else []
    modes = {part: part.training for child in parts for part in child.modules()}
    for child in parts:
        child.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
