"""Replay of evaluations: the method that answered, and its answers to the recorded clicks."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, seed_everything

from configs import DEFAULT, read, resolve
from configs.checkpoints import SHIPPED, load_weights, without_download
from configs.run import build_model
from interseg.checkpoints import digest
from interseg.clicks.layout import Click, Clicks, Mask
from interseg.errors import InputError
from interseg.inference.rounds import answer_together
from interseg.inference.segmenter import Plain
from interseg.inference.session import open_sessions

NEAR = (".", "..", "../..")
"""Where an evaluation's run may lie, seen from the evaluation's folder."""


def evaluated_file(folder: Path, wanted: str) -> Path:
    """Find the checkpoint that was evaluated, by its SHA-256.

    It is in the run that the evaluation's folder lies in, or a network that ships.

    Raises:
        InputError: none of them is it.
    """
    places = [*(folder / near / "checkpoints" for near in NEAR), SHIPPED]
    for file in dict.fromkeys(
        path.resolve() for place in places for path in sorted(place.glob("*.ckpt"))
    ):
        if digest(file) == wanted:
            return file
    raise InputError(
        f"the checkpoint of {folder} is not beside it, in the folder of its run; answers are drawn "
        "where it is"
    )


def digest_evaluated(config: dict[str, Any]) -> str | None:
    """Read the SHA-256 of the checkpoint that was evaluated; None where weights were random.

    Evaluations of earlier versions have it under `weights`.
    """
    for given in (config.get("evaluated"), config.get("weights")):
        if re.fullmatch("[0-9a-f]{64}", str(given)):
            return str(given)
    return None


def evaluated_method(folder: Path, config: dict[str, Any], trusted: list[str]) -> LightningModule:
    """Build the method of an evaluation, on the CPU and in evaluation mode.

    It has the evaluation's checkpoint, or begins as its seed starts it.

    Args:
        folder: Folder of the evaluation.
        config: Config of the evaluation.
        trusted: Packages, see `configs.build`.

    Raises:
        InputError: The evaluation is of a person's masks, which no method gives again.
    """
    if not config.get("model"):
        raise InputError(f"{folder} holds what a person drew, which no method answers again")
    resolved, wanted = resolve(read(DEFAULT) | config), digest_evaluated(config)
    if not wanted:
        seed_everything(resolved["seed"], workers=True, verbose=False)
        model: LightningModule = build_model(resolved, trusted)
        return model.eval()
    file = evaluated_file(folder, wanted)
    without_download(resolved["model"])
    model = build_model(resolved, trusted)
    load_weights(model, file)
    return model.eval()


def answer_again(
    method: Any,
    image: NDArray[np.uint8],
    clicks: Clicks,
    id: int = 0,
    start: Mask | None = None,
    threshold: float = 0.5,
) -> Mask:
    """Give the mask (H, W) after all of some clicks, played one by one as the evaluation did.

    Args:
        method: Method that answers.
        image: (H, W, 3) RGB.
        clicks: (n, 4).
        id: Number of the object.
        start: (H, W) the mask that the evaluation started from; None for none.
        threshold: Threshold on the probability.
    """
    segmenter = method if hasattr(method, "answer") else Plain(method)
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255
    (session,) = open_sessions(
        segmenter, pixels, [id], None if start is None else [start], threshold, undoable=False
    )
    for row in clicks.tolist():
        answer_together([session], [Click(*row)])
    return session.mask
