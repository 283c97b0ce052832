"""Checks of a resume: a checkpoint's training goes on with its own network, data and optimiser."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import LightningDataModule, LightningModule

from configs import build, plain, resolve
from configs.arguments import with_defaults
from configs.starting import changes, pretraining_of, shorten
from configs.wiring import with_split_draws
from datamodules.resuming import ResumableDataModule
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError

KEPT = ("optimizer", "learning_rate", "rates", "weight_decay", "momentum", "nesterov")
"""Arguments of an optimisation that a checkpoint's optimiser keeps, whatever the config says."""
STREAMED = (
    *("values", "crop", "margin", "size", "spacing", "channel", "normalise"),
    *("series", "without", "held_out", "stream", "seed", "pretraining_images", "length"),
    *("images", "masks", "nested", "ordered", "films"),
)
"""Arguments of a stream's data on which it depends which items are learned, and how they look."""
PLAYED = ("kind", "sequence", "rounds", "labels", "volumes", "first")
"""Settings of a protocol in which a run cannot change: checkpoints count its rounds."""


def check_resumes(
    file: Path,
    model: LightningModule,
    data: LightningDataModule,
    merged: dict[str, Any],
    trusted: Sequence[str] = (),
) -> None:
    """Check that a checkpoint's training can go on with a method and data.

    Raises:
        InputError: it holds weights alone, or it is of another network, of other data or of another
            pretraining, or its optimiser had other arguments, which it would keep.
    """
    content = read_checkpoint(file)
    if not {"loops", "optimizer_states"} <= content.keys():
        raise InputError(
            f"{file} holds weights alone, no state of a training; start from it by weights={file}"
        )
    check_network(file, content["state_dict"], model)
    before = plain(OmegaConf.create(content.get("config") or "{}"))
    check_part(file, before, merged, trusted)
    check_items(file, content.get(type(data).__qualname__) or {}, data)
    check_pretraining_file(file, before, merged)
    check_optimiser(file, before.get("model") or {}, merged.get("model") or {})


def check_network(file: Path, state: dict[str, Any], model: LightningModule) -> None:
    """Raise `InputError` for the state of another network; buffers may be of other sizes."""
    own, learned = model.state_dict(), dict(model.named_parameters())
    shared = learned.keys() & state.keys()
    resized = {key for key in shared if state[key].shape != learned[key].shape}
    other = [key for key in own if key not in state or key in resized]
    other += [key for key in state if key not in own]
    if other:
        sizes = [
            tuple(one[other[0]].shape) if other[0] in one else "missing" for one in (state, own)
        ]
        raise InputError(
            f"{file} is of another network, e.g. {other[0]}: {sizes[0]} -> {sizes[1]}; "
            f"{ways_on(file)}"
        )


def check_part(
    file: Path, before: dict[str, Any], now: dict[str, Any], trusted: Sequence[str]
) -> None:
    """Raise `InputError` for another split of the data, or for another part of a stream."""
    data = with_split_draws(before.get("data") or {}, before.get("seed", 0), "numbers")
    lines = changes(data, now.get("data") or {})
    split = [line for line in lines if re.search(r"split_(seed|by): \w+ -> \w+$", line)]
    if now.get("protocol") and before.get("protocol"):
        split += changes(select_played(before, trusted), select_played(now, trusted))
    if split:
        raise InputError(f"{file} was trained on another part of the data ({split[0]}); give that")


def check_items(file: Path, state: dict[str, Any], data: LightningDataModule) -> None:
    """Raise `InputError` if training learned other items: its clicks and order are by number."""
    items = state.get("items")  # missing in checkpoints of before
    if items and isinstance(data, ResumableDataModule) and items != data.items:
        raise InputError(
            f"{file} was trained on other files than there are now (some were added, removed or "
            f"renamed, or other options choose them); restore them, or start a new run from it by "
            f"weights={file}"
        )


def check_pretraining_file(file: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise `InputError` if a stream's pretraining was replaced: sequences begin with it."""
    old, new = ((one.get("digests") or {}).get(pretraining_of(one)) for one in (before, now))
    if old and new and old != new:
        raise InputError(
            f"{file} began with {pretraining_of(before)} of SHA-256 {old[:12]}..., which is "
            f"{new[:12]}... now: its next sequences would begin with other weights; restore it, or "
            "start a new run"
        )


def select_played(config: dict[str, Any], trusted: Sequence[str]) -> dict[str, Any]:
    """Return what a stream plays: `STREAMED` arguments of its data, and its protocol."""
    resolved = resolve(config)
    node = with_defaults(resolved["data"], trusted)
    known = plain(OmegaConf.create({key: node[key] for key in STREAMED if key in node}))
    data = {key: None if value == [] else value for key, value in known.items()}
    protocol = vars(build(resolved["protocol"], (), "protocol"))
    return {"data": data, "protocol": {key: protocol[key] for key in PLAYED}}


def check_optimiser(file: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise `InputError` for arguments of a model's optimisation that its checkpoint would keep."""
    lines = changes(before, now, "model.") if before else []
    kept = [line for line in lines if re.match(rf"model\.optimisation\.({'|'.join(KEPT)})\b", line)]
    if kept:
        raise InputError(
            f"{file} was trained with another optimiser ({shorten(kept)}), which it keeps; "
            f"{ways_on(file)}"
        )


def ways_on(file: Path) -> str:
    """Say how to go on from a checkpoint that does not fit."""
    own = "go on with the config it was trained with"
    return f"{own}, or start a new run from it by weights={file}"
