"""What `train.py` and `evaluate.py` share: their arguments, a run's loggers and its trainer; its folder is in `folders.py`."""

import argparse
import csv
import ctypes
import errno
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from callbacks.requeue import in_step
from configs import FOLDER, build, check_arguments, parameters
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.files import whole, write_table
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import refiner_of

SILENCED = (
    "`srun` command is available",  # srun is for those who ask SLURM for it
    "does not have many workers",  # two cores are what there is
    "tensorboardX",
    "LeafSpec",
    "isinstance.treespec",
    "sync_dist=True",  # the figures are gathered before they are logged
    "Experiment logs directory",  # csv_logger keeps what is there
    r"module\(s\) in eval mode",  # frozen norms
    "but have no `val_dataloader`",  # streams of tasks are measured by callbacks.transfer
    "is smaller than the logging interval",  # which `ShortEpochs` lowers
    "could be decompression bomb",  # twice the limit is refused
    "your dataloader is not resumable",  # datamodules.base.EpochBatches is
)
"""Warnings of the libraries that do not hold here, or that nobody can mend."""


INSTEAD = {
    "logger": "logger=csv, wandb or null",
    "callbacks": "callbacks.NAME",
    "default_root_dir": "run=PATH",
    "enable_checkpointing": "callbacks.checkpoint=null",
    "use_distributed_sampler": "nothing: the data modules share objects out themselves",
}
"""Arguments of the Trainer that are not for configs, and what is."""


def parser(description: str, prints: bool = False, examples: str = "") -> argparse.ArgumentParser:
    """Make the parser of a command that takes configs; with `--print` if the command obeys it.

    Args:
        description: a line on the command.
        prints: whether the command obeys `--print`.
        examples: lines that help ends with, after the configs that there are.
    """
    epilog = f"{listed_configs()}\n\nexamples:\n{examples}" if examples else None
    arguments = argparse.ArgumentParser(description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--config", action="append", default=[], metavar="YAML", help="a config, merged over those before; may be repeated"
    )
    arguments.add_argument(
        "--trust", action="append", default=[], metavar="PACKAGE", help="a package of yours whose classes a config may name"
    )
    if prints:
        arguments.add_argument("--print", action="store_true", help="print the config and stop")
    arguments.add_argument("overrides", nargs="*", metavar="key=value", help="single values, e.g. trainer.max_epochs=3")
    return arguments


def listed_configs() -> str:
    """List the YAMLs of `configs/`, folder by folder: methods and what changes them, data, users."""
    folders: dict[str, list[str]] = {".": []}
    for path in sorted(FOLDER.rglob("*.yaml")):
        place = path.relative_to(FOLDER)
        folders.setdefault(str(place.parent), []).append(str(place))
    titles = {".": "methods, and what goes over any", "data": "data sets"}
    lines = []
    for folder, names in folders.items():
        title = titles.get(folder, f"over {folder}.yaml" if f"{folder}.yaml" in folders["."] else folder)
        text = f"{title}: {', '.join(names)}"
        lines.append(textwrap.fill(text, 110, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))
    return "configs (--config NAME, or a YAML of yours):\n" + "\n".join(lines)


def loggers(config: dict[str, Any], folder: Path, resumed: Path | None = None) -> tuple[list[Logger], list[Callback]]:
    """CSV always; Weights & Biases with `logger=wandb`, and the callback that fills its dashboard."""
    if config["shard"] is not None:  # the parts of an evaluation share a folder, and their figures are no one's
        return [], []
    made: list[Logger] = [csv_logger(folder, resumed)]
    if config["logger"] not in (None, "csv", "wandb"):
        raise InputError(f"logger is {config['logger']!r}; use csv or wandb")
    if config["logger"] == "wandb":
        from callbacks.dashboard import Dashboard, wandb_logger  # wandb changes how a process prints

        return [*made, wandb_logger(config, folder)], [Dashboard()]
    return made, []


def csv_logger(folder: Path, resumed: Path | None) -> CSVLogger:
    """`metrics.csv` in a run's folder; Lightning's logger would delete it, a resumed run keeps the rows of the steps behind it."""
    logger, file = CSVLogger(folder, name="", version=""), folder / "metrics.csv"
    if resumed and file.exists():
        batches = read_checkpoint(resumed)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        keep_rows(logger, file, batches["total"]["ready"])  # rows are numbered by batches; one may take several steps
    return logger


@rank_zero_only
def keep_rows(logger: CSVLogger, file: Path, before: int) -> None:
    """Let a logger go on with a table of metrics, whose rows from step `before` on will be logged again."""
    with file.open(newline="") as lines:
        table = csv.DictReader(lines)
        uncut = (row for row in table if None not in row.values())  # a full disk cuts the last one
        rows = [row for row in uncut if int(row["step"]) < before]
    columns = list(table.fieldnames or [])
    with whole(file) as part:
        write_table(part, columns, rows)
        experiment: Any = logger.experiment  # which deletes the table
        experiment.metrics_keys = columns


def trainer(config: dict[str, Any], folder: Path, trusted: list[str], resumed: Path | None = None) -> Trainer:
    """The Trainer of a config, in its folder; `resumed` is the checkpoint that it will go on from."""
    named = built_callbacks(config, trusted)
    size, environment = slurm_step()
    node = {key: value for key, value in config["trainer"].items() if key != "_target_"}
    for key in INSTEAD.keys() & node.keys():
        raise InputError(f"trainer.{key} is set by this program; use {INSTEAD[key]}")
    arguments = build(node | {"default_root_dir": str(folder)} | size, trusted, "trainer")
    check_arguments(Trainer, arguments, "trainer")
    made, dashboards = loggers(config, folder, resumed)  # last: they begin to write
    callbacks = [*named, *dashboards]
    bar = any(isinstance(c, ProgressBar) for c in callbacks)
    arguments |= {"plugins": [AtomicCheckpointIO(), *environment, *(arguments.get("plugins") or [])], "enable_progress_bar": bar}
    try:
        return Trainer(
            **arguments,
            callbacks=callbacks,
            logger=made,
            use_distributed_sampler=False,
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        )
    except (MisconfigurationException, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        given = ", ".join(f"{key}={value}" for key, value in node.items())
        raise InputError(f"no Trainer can be made here of trainer: {given} ({reason})") from error


def built_callbacks(config: dict[str, Any], trusted: list[str]) -> list[Callback]:
    """Build the callbacks of a config, without the progress bar where `trainer.enable_progress_bar` is false."""
    made = []
    for name, callback in build(config["callbacks"], trusted, "callbacks").items():
        if isinstance(callback, dict):
            raise InputError(f"callbacks.{name} is {callback}, which names no _target_; give one, or callbacks.{name}=null")
        hidden = isinstance(callback, ProgressBar) and config["trainer"].get("enable_progress_bar") is False
        if callback is not None and not hidden:
            made.append(callback)
    return [*made, ShortEpochs()]


class ShortEpochs(Callback):
    """Logs at the end of every epoch that has fewer steps than `log_every_n_steps`: else a small run would log nothing."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lower the Trainer's interval."""
        every, steps = trainer.log_every_n_steps, trainer.num_training_batches  # type: ignore[attr-defined]
        trainer.log_every_n_steps = int(min(every, max(1, steps)))  # type: ignore[attr-defined]


def slurm_step() -> tuple[dict[str, int], list[SLURMEnvironment]]:
    """Devices and nodes as SLURM gave them to the `srun` that started this process, and how ranks find each other; else nothing."""
    if not in_step():
        return {}, []
    if int(os.environ["SLURM_NTASKS"]) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise InputError("SLURM was asked for --ntasks; ask for --nodes and --ntasks-per-node, the processes on each node")
    size = {"devices": int(os.environ.get("SLURM_NTASKS_PER_NODE", 1)), "num_nodes": int(os.environ.get("SLURM_NNODES", 1))}
    if 0 < torch.cuda.device_count() < size["devices"]:
        seen = f"{size['devices']} processes a node, and each sees {torch.cuda.device_count()} GPU(s)"
        raise InputError(f"{seen}; ask SLURM for --gpus-per-node={size['devices']} instead of --gpus-per-task")
    return size, [SLURMEnvironment(auto_requeue=False)]  # callbacks/requeue.py does


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there: whoever looks sees the old file or the new one, whole.

    Lightning's own goes through a file in the system's temporary folder, whose move to another disk is a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except (OSError, RuntimeError) as error:  # torch tells of a failed write by a RuntimeError
            part.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:200]
            before = f"; the one before it is whole, checkpoint=last run={target.parent.parent} goes on from there" * target.exists()
            raise InputError(f"the checkpoint {target} cannot be written ({reason}){before}") from None


def build_model(config: dict[str, Any], trusted: Sequence[str] = ()) -> Any:
    """Build the method of a config with the test-time options of its top level.

    Raises `InputError` for options of a method without a click network.
    """
    refiner = refiner_of(build(config["refiner"], trusted, "refiner"))
    options = InferenceOptions(refiner, build(config["zoom"], trusted, "zoom"), config["flip"])
    if options.plain:
        return build(config["model"], trusted, "model")
    target = config["model"]["_target_"]
    if "inference" not in (parameters(target, trusted) or {"inference"}):
        name = target.rpartition(".")[2]
        raise InputError(f"{name} has no click network: refiner, zoom and flip must stay null")
    return build(config["model"] | {"inference": options}, trusted, "model")


def needs(config: dict[str, Any], *keys: str) -> None:
    """Raise `InputError` for the first part that no config has named."""
    for key in keys:
        if not config.get(key):
            example = "data/samples.yaml" if key == "data" else "itis.yaml"
            raise InputError(f"no {key} is configured; give a config that names one, e.g. --config {example}")


def reuse_freed_memory() -> None:
    """Keep the memory of freed tensors in the process, where the C library is glibc.

    By default it returns large blocks to the system and asks for fresh, zeroed pages in the next layer (benchmarks/speed.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        no_mmap, trim_threshold = -4, -1
        mallopt(no_mmap, 0)
        mallopt(trim_threshold, 2**31 - 1)


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""What a disk says that takes nothing."""


def is_no_advertisement(record: logging.LogRecord) -> bool:
    """Tell Lightning's messages from its advertisements of other products."""
    return "Tip: " not in record.getMessage()


@rank_zero_only
def tell(data: Any) -> None:
    """Print what was decided about a data set's files, and which are left out."""
    for line in getattr(data, "notes", []):
        print(f"note: {line}", flush=True)
    for line in getattr(data, "left_out", []):
        print(f"not used: {line}", flush=True)


def own_message(error: InputError) -> str:
    """Give an error's message; of one from a loader's process, whose traceback torch puts before it, the last line."""
    text = str(error).strip()
    if not text.startswith("Caught "):
        return text
    return text.splitlines()[-1].split("InputError: ", 1)[-1]


def guarded(main: Callable[[], int | None]) -> None:
    """Run a command; what a person can mend is printed as one line, exit code 2."""
    for message in SILENCED:
        warnings.filterwarnings("ignore", f".*{message}.*")
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(is_no_advertisement)
    torch.set_float32_matmul_precision("high")
    reuse_freed_memory()
    try:
        sys.exit(main())
    except InputError as error:
        print(f"error: {own_message(error)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(
            f"error: {error.filename or 'a file of the run'} cannot be written: {error.strerror}; make room, or give run=PATH",
            file=sys.stderr,
        )
        sys.exit(2)
