"""What `train.py` and `evaluate.py` share: their arguments, a run's folder, its loggers and its trainer."""

import argparse
import datetime
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from configs import build
from interseg.errors import InputError


def parser(description: str) -> argparse.ArgumentParser:
    """Arguments of both commands."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument(
        "--config", action="append", default=[], metavar="YAML", help="a config, merged over those before; may be repeated"
    )
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package of yours whose classes a config may name"
    )
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="single values, e.g. trainer.max_epochs=3")
    return arguments


def stamp() -> str:
    """A name for a run's folder: the SLURM job and array id, or the time."""
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        return "-".join(filter(None, (os.environ.get("SLURM_ARRAY_JOB_ID", job), os.environ.get("SLURM_ARRAY_TASK_ID"))))
    return os.environ.setdefault("INTERSEG_STAMP", datetime.datetime.now().strftime("%Y%m%d-%H%M%S"))  # child ranks inherit it


def open_folder(path: Path, config: dict[str, Any]) -> Path:
    """Make a run's folder and put the merged config into it, interpolations kept: an evaluation may override what they refer to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(OmegaConf.create(config), path / "config.yaml")
    except OSError as error:
        raise InputError(f"the run's folder {path} cannot be written ({error.strerror}); give another one by run=PATH") from None
    return path


def loggers(config: dict[str, Any], folder: Path) -> list[Logger]:
    """CSV always; Weights & Biases with `logger=wandb`, offline unless a key is there, so that nothing ever asks."""
    made: list[Logger] = [CSVLogger(folder, name="", version="")]
    if config["logger"] not in (None, "csv", "wandb"):
        raise InputError(f"logger is {config['logger']!r}; use csv or wandb")
    if config["logger"] == "wandb":
        offline = not (os.environ.get("WANDB_API_KEY") or (Path.home() / ".netrc").exists())
        made.append(
            WandbLogger(project="interseg", name=f"{config['name']}/{folder.name}", save_dir=str(folder), offline=offline, config=config)
        )
    return made


def trainer(config: dict[str, Any], folder: Path, trusted: list[str]) -> Trainer:
    """The Trainer of a config, in its folder."""
    seed_everything(config["seed"], workers=True, verbose=False)
    callbacks = [c for c in build(config["callbacks"], trusted).values() if c is not None]
    node = config["trainer"] | {"default_root_dir": str(folder)}
    arguments = {key: build(value, trusted) for key, value in node.items() if key != "_target_"}
    return Trainer(**arguments, callbacks=callbacks, logger=loggers(config, folder), use_distributed_sampler=False)


def needs(config: dict[str, Any], *keys: str) -> None:
    """Raise `InputError` for the first part that no config has named."""
    for key in keys:
        if not config.get(key):
            example = "data/samples.yaml" if key == "data" else "itis.yaml"
            raise InputError(f"no {key} is configured; give a config that names one, e.g. --config {example}")


def guarded(main: Callable[[], int | None]) -> None:
    """Run a command; what a person can mend is printed as one line, exit code 2."""
    warnings.filterwarnings("ignore", ".*(does not have many workers|tensorboardX|LeafSpec|isinstance.treespec).*")
    torch.set_float32_matmul_precision("high")
    try:
        sys.exit(main())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
