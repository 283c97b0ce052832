"""Parts that `train.py` and `evaluate.py` share: a run's trainer and method."""

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ProgressBar
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from callbacks.checkpoint import LastCheckpoint
from callbacks.requeue import Requeue, in_step
from configs import build, check_arguments
from configs.arguments import parameters
from configs.folders import PATIENCE
from configs.loggers import loggers
from configs.plugins import AtomicCheckpointIO, SyncNorms, resume_by_epochs
from datamodules.base import ClickDataModule
from interseg.errors import InputError
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import refiner_of

MISPLACED = {
    "callbacks": "callbacks.NAME._target_=CLASS adds one",
    "enable_checkpointing": "callbacks.checkpoint=null leaves checkpoints out",
    "use_distributed_sampler": "the data modules part their objects among processes themselves",
    "default_root_dir": "run=PATH names the folder",
}
"""Arguments of the Trainer that the commands give, and what to write instead."""


def trainer(
    config: dict[str, Any], folder: Path, trusted: list[str], resumed: Path | None = None
) -> Trainer:
    """Make the Trainer of a config, in its folder.

    Args:
        config: The run's, resolved.
        folder: Folder of the run.
        trusted: Packages beside ours whose classes may be named.
        resumed: Checkpoint that it will go on from.

    Raises:
        InputError: an argument that the Trainer does not take, or that this machine cannot serve.
    """
    named = build(config["callbacks"], trusted, "callbacks")
    size, environment = slurm_step(config["trainer"].get("accelerator"))
    given = {
        key: value for key, value in config["trainer"].items() if key not in ("_target_", "logger")
    }
    check_trainer(config["trainer"])
    if isinstance(given.get("devices"), list):  # one GPU by its number, of lessons
        size.pop("devices", None)
    arguments = build(given | {"default_root_dir": str(folder)} | size, trusted, "trainer")
    if arguments.get("accelerator") == "auto":  # as sessions choose: no MPS, which has no float64
        arguments["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    arguments["max_time"] = duration(arguments.get("max_time"))
    layers = [SyncNorms()] if arguments.get("sync_batchnorm") else []
    check_arguments(Trainer, arguments, "trainer")
    for name, callback in named.items():
        if isinstance(callback, dict):
            raise InputError(
                f"callbacks.{name} is {callback}, which names no _target_; give one, or "
                f"callbacks.{name}=null"
            )
    tables, dashboards = loggers(config, folder, resumed)  # last, because loggers create files
    callbacks = [*(c for c in named.values() if c is not None), *dashboards]
    shown = arguments.get("enable_progress_bar") is not False and any(
        isinstance(c, ProgressBar) for c in callbacks
    )
    arguments["enable_progress_bar"] = shown
    callbacks = [
        c for c in callbacks if shown or not isinstance(c, ProgressBar)
    ]  # either key alone turns the bar off
    # what they kept at an epoch's end is in the checkpoint that is written behind them
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint | Requeue))
    for callback in callbacks:
        if resumed and isinstance(callback, EarlyStopping):
            callback.strict = False  # a run that was ended in a validation goes on behind it
    own = [AtomicCheckpointIO(), *environment, *layers]
    try:
        made = Trainer(
            **arguments | {"plugins": [*own, *(arguments.get("plugins") or [])]},
            callbacks=callbacks,
            logger=tables,
            use_distributed_sampler=False,
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise unfit(given | size, error) from error
    resume_by_epochs(made)
    return made


def wait_for_slow_ranks() -> None:
    """Let the ranks of the next Trainer wait `PATIENCE` for each other, instead of half an hour.

    An evaluation's ranks meet after all of their objects, whose times differ by more than that.
    """
    StrategyRegistry.register(
        "ddp", DDPStrategy, override=True, start_method="popen", timeout=PATIENCE
    )


def check_trainer(node: dict[str, Any]) -> None:
    """Raise `InputError` for a misplaced argument, or a count that Lightning does not check."""
    for key in MISPLACED.keys() & node.keys():
        raise InputError(f"trainer.{key} is {node[key]!r}; leave it out: {MISPLACED[key]}")
    if node.get("logger", False) is not False:
        raise InputError(
            f"trainer.logger is {node['logger']!r}; use logger=csv, logger=wandb, or "
            "trainer.logger=false for none"
        )
    for key in ("max_epochs", "max_steps", "limit_train_batches"):
        if node.get(key) == 0:
            raise InputError(f"trainer.{key} is {node[key]}, which trains nothing; give more")
    for key in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        if isinstance(node.get(key), int) and node[key] < 1:
            raise InputError(f"trainer.{key} is {node[key]}; give 1 or more")
    if isinstance(node.get("gradient_clip_val"), int | float) and node["gradient_clip_val"] < 0:
        raise InputError(
            f"trainer.gradient_clip_val is {node['gradient_clip_val']}; give 0 or more, or null "
            "for none"
        )


def unfit(given: dict[str, Any], error: Exception) -> InputError:
    """Make the error for a Trainer that cannot be made, naming the arguments that it concerns."""
    reason = " ".join(str(error).split())
    if given.get("accelerator") in ("gpu", "cuda") and not torch.cuda.is_available():
        return InputError(
            f"trainer.accelerator is {given['accelerator']}, and torch sees no GPU; leave gpu.yaml "
            "out on this machine, or give trainer.accelerator=auto for a run that has it"
        )
    about = ("accelerator", "devices") if "ccelerator" in reason else ()
    named = [
        f"trainer.{key}={value}" for key, value in given.items() if key in about or key in reason
    ]
    return InputError(
        f"the trainer cannot be made{' with ' * bool(named)}{' '.join(named)}: {reason}"
    )


def duration(given: Any) -> Any:
    """Read a `trainer.max_time` such as 10m, 1h30m or 2d; other values are not changed.

    Raises `InputError` for a text that is no duration, and for a number: YAML reads 1:00:00:00 as
    one, in base 60.
    """
    if isinstance(given, int | float):
        raise InputError(
            f"trainer.max_time is the number {given}; write 10m, 1h30m or 2d (YAML reads some "
            "DD:HH:MM:SS as numbers)"
        )
    if not isinstance(given, str) or re.fullmatch(r"\d+:\d\d:\d\d:\d\d", given.strip()):
        return given
    found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", given.strip())
    if not found or not any(found.groups()):
        raise InputError(f"trainer.max_time is {given!r}; write 10m, 1h30m, 2d or DD:HH:MM:SS")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def log_small_epochs(fit: Trainer, data: LightningDataModule) -> None:
    """Lower `log_every_n_steps` to the steps of an epoch, so that small trainings are logged.

    Prints a note where `max_steps` is less than an epoch.

    Raises `InputError` where the objects do not fill a batch of every process, before anything is
    written.
    """
    try:
        batches = len(data.train_dataloader()) // fit.world_size
    except TypeError:  # a loader of a stream without end, or several of them
        return
    if not batches and isinstance(data, ClickDataModule):
        raise InputError(
            f"the training objects do not fill a batch on each of {fit.world_size} processes; "
            "lower loading.batch_size"
        )
    limit = fit.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    every = fit.val_check_interval
    by_epoch = fit.limit_val_batches and fit.check_val_every_n_epoch
    if by_epoch and isinstance(every, int) and every > batches:
        raise InputError(
            f"trainer.val_check_interval is {every}, and an epoch has {batches} batches; lower it, "
            "or give trainer.check_val_every_n_epoch=null to count over epochs"
        )
    steps = -(-batches // fit.accumulate_grad_batches)
    settings: Any = fit  # which does not declare it
    settings.log_every_n_steps = min(settings.log_every_n_steps, max(1, steps))
    if 0 < fit.max_steps < steps and fit.is_global_zero:
        print(
            f"note: trainer.max_steps={fit.max_steps} ends in the first epoch, of {steps} steps: "
            "give more for all objects to be seen",
            flush=True,
        )


@rank_zero_only
def tell(data: LightningDataModule) -> None:
    """Print what was decided about the data's files, and what is none of them, a line a kind."""
    for kind, name in (("note", "notes"), ("left out", "left_out")):
        for line in getattr(data, name, []):
            print(f"{kind}: {line}", flush=True)


def slurm_step(accelerator: Any = None) -> tuple[dict[str, int], list[SLURMEnvironment]]:
    """Return SLURM's devices and nodes for the `srun` of this process; else nothing.

    Nothing below torchrun either. An environment by which ranks find each other comes with them.
    """
    if not in_step() or "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun's processes are its own
        return {}, []
    if int(os.environ["SLURM_NTASKS"]) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise InputError(
            "SLURM was asked for --ntasks; ask for --nodes and --ntasks-per-node, the processes "
            "on each node"
        )
    size = {
        "devices": int(os.environ.get("SLURM_NTASKS_PER_NODE", 1)),
        "num_nodes": int(os.environ.get("SLURM_NNODES", 1)),
    }
    if accelerator != "cpu" and 0 < torch.cuda.device_count() < size["devices"]:
        seen = (
            f"{size['devices']} processes a node, and each sees {torch.cuda.device_count()} GPU(s)"
        )
        raise InputError(
            f"{seen}; ask SLURM for --gpus-per-node={size['devices']} instead of --gpus-per-task"
        )
    return size, [SLURMEnvironment(auto_requeue=False)]  # callbacks/requeue.py does


def build_model(config: dict[str, Any], trusted: Sequence[str] = ()) -> Any:
    """Build the method of a config with the test-time options of its top level.

    Raises `InputError` for options of a method without a click network.
    """
    refiner = refiner_of(build(config["refiner"], trusted, "refiner"))
    zoom = build(config["zoom"], trusted, "zoom")
    options = InferenceOptions(refiner, zoom, config["flip"])
    if options.plain:
        return build(config["model"], trusted, "model")
    target = config["model"]["_target_"]
    if "inference" not in (parameters(target, trusted) or {"inference"}):
        name = target.rpartition(".")[2]
        raise InputError(f"{name} has no click network: leave refiner, zoom and flip out")
    return build(config["model"] | {"inference": options}, trusted, "model")


def needs(config: dict[str, Any], *keys: str) -> None:
    """Raise `InputError` for the first part that no config has named."""
    for key in keys:
        if not config.get(key):
            example = "data/samples.yaml" if key == "data" else "itis.yaml"
            raise InputError(
                f"no {key} is configured; give a config that names one, e.g. --config {example}"
            )
        if "_target_" not in config[key]:
            raise InputError(
                f"{key} has {', '.join(config[key])}, and no _target_: the configs change a {key} "
                "that none of them names; give the one that they are for before them"
            )
