"""Trained runs: finding a checkpoint, its config, and the method that it was trained as; starting from another run's weights."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import LightningModule

from configs import load, merge, plain, read, resolve
from configs.run import build_model, needs
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError

DOWNLOADED = ("weights", "encoder_weights", "selection_from")
"""Arguments of networks that name weights to begin with, which a checkpoint replaces."""
SHOWN = 3
"""Weights that a message names."""


def find_checkpoint(given: str | Path) -> tuple[Path | None, Path]:
    """Find (run's folder, checkpoint file) of a run or of a file; a file outside a run's `checkpoints/` has no folder."""
    path = Path(given)
    if path.is_dir():
        file = path / "checkpoints" / "last.ckpt"
        if not file.is_file():
            raise InputError(f"{given} is no run: there is no {file}; give the folder that train.py printed, or a checkpoint")
        return path, file
    if not path.is_file():
        raise InputError(f"{given} is no run: there is no such folder or file; give the folder that train.py printed, or a checkpoint")
    run = path.absolute().parent.parent
    inside = path.absolute().parent.name == "checkpoints" and (run / "config.yaml").is_file()
    return (run if inside else None), path


def trained_config(weights: Path, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Give the config that a checkpoint was trained with, over today's defaults, without what names its folder.

    A checkpoint has its own: its folder's may be of a command that failed since. Raises `InputError` where there is none.
    """
    own, beside = read_checkpoint(weights).get("config"), weights.absolute().parent.parent / "config.yaml"
    if not own and not beside.is_file():
        raise InputError(f"{weights} holds no config, and there is no {beside}; give a checkpoint that train.py wrote")
    found = plain(OmegaConf.create(own) if own else OmegaConf.load(beside))
    own_folder = {"run": None, "checkpoint": None, "weights": None, "overwrite": False}
    return merge(read("default.yaml"), found | own_folder, "", trusted)


def digest(file: Path) -> str:
    """Compute the SHA-256 of a file, so that an evaluation's config says what was evaluated."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def without_download(model: dict[str, Any]) -> None:
    """Let a method's network begin at random: a checkpoint holds every weight, others need not be fetched first."""
    network = model.get("network")
    for key in DOWNLOADED:
        if isinstance(network, dict) and key in network:
            network[key] = None


def load_weights(model: LightningModule, file: Path) -> None:
    """Fill a module from a checkpoint; raises `InputError` for another method's, or for what is no checkpoint."""
    state = read_checkpoint(file)["state_dict"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputError(
            f"{file} does not fit {type(model).__name__}: {lines[1][:160]}; evaluate it with the model it was trained as"
        ) from None


def start_from(model: LightningModule, file: Path) -> list[str]:
    """Take what fits of another run's weights; gives a line for each kind of what did not.

    Raises:
        InputError: nothing fits, or the file is no checkpoint.
    """
    state, own = read_checkpoint(file)["state_dict"], model.state_dict()
    fits = {key: value for key, value in state.items() if key in own and value.shape == own[key].shape}
    if not fits:
        raise InputError(f"weights={file}: none of its weights fits {type(model).__name__}; give a run of a like network")
    model.load_state_dict(fits, strict=False)
    kinds = {
        "of another size": [key for key in state if key in own and key not in fits],
        "not in it": [key for key in own if key not in state],
        "of no use": [key for key in state if key not in own],
    }
    return [f"{file}: {len(keys)} weights {kind}: {listed(keys)}" for kind, keys in kinds.items() if keys]


def listed(names: Sequence[str]) -> str:
    """Write the first of some names in a line."""
    return ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)


def load_method(path: Path, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> LightningModule:
    """Build what a run or a checkpoint was trained as, in evaluation mode, with `key=value` overrides of its config."""
    _, file = find_checkpoint(path)
    config = resolve(load([], overrides, trained_config(file, trusted), trusted))
    needs(config, "model")
    without_download(config["model"])
    model: LightningModule = build_model(config, trusted)
    if not getattr(model, "answers_clicks", False):
        raise InputError(f"{path} is a run of {type(model).__name__}, which learns a stream; sessions are for methods that answer clicks")
    load_weights(model, file)
    return model.eval()
