"""Networks that ship, `models/NAME.ckpt`: any command takes NAME where it takes a run.

    python -m configs.shipped RUN NAME

writes one from a run: its weights in half precision, and of its config what makes the method.
Frozen encoders are no part of it.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs import as_yaml, resolve
from configs.checkpoints import SHIPPED, find_checkpoint, trained_config
from configs.console import run_guarded
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.files import whole

PARTS = ("name", "model")
"""What a shipped network keeps of its run's config; data, training and paths are the run's own
affair."""


def write_shipped(run: str, name: str, folder: Path = SHIPPED) -> Path:
    """Write a run's network to `folder/name.ckpt`.

    Raises:
        InputError: no run, or a config that names files of this machine.
    """
    _, file = find_checkpoint(run)
    config = resolve(trained_config(file))
    kept = {key: config[key] for key in PARTS} | {"name": name}
    if paths := [value for value in strings(kept) if Path(value).is_absolute()]:
        raise InputError(
            f"the config of {run} names {paths[0]}; a network that ships depends on no file of "
            "its maker"
        )
    weights = {key: halve(value) for key, value in read_checkpoint(file)["state_dict"].items()}
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.ckpt"
    with whole(path) as part:
        torch.save({"state_dict": weights, "config": as_yaml(kept)}, part)
    return path


def halve(weights: Tensor) -> Tensor:
    """Give floating weights in half precision; raise `InputError` for values beyond it."""
    if not weights.is_floating_point():
        return weights
    half = weights.half()
    if not half.isfinite().all():
        raise InputError(
            f"a weight of {float(weights.abs().max()):g} is beyond half precision; "
            "this network cannot ship so"
        )
    return half


def strings(value: Any) -> list[str]:
    """List the strings in a config."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


def main() -> int:
    """Write a network that ships, and print its size."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("run", metavar="RUN", help="a run's folder, or a checkpoint")
    arguments.add_argument("name", metavar="NAME", help="e.g. interseg-s")
    options = arguments.parse_args()
    path = write_shipped(options.run, options.name)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    run_guarded(main)
