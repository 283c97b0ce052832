"""A run's folder: what it is called, whose it is, and what is left of one that did not start."""

import contextlib
import datetime
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from callbacks.requeue import slurm_job
from interseg.errors import InputError
from interseg.files import whole

PATIENCE = datetime.timedelta(hours=6)
"""Time that ranks wait for the first one, which may be downloading, or for the slowest one."""


def own_folder(parent: Path, config: dict[str, Any]) -> Path:
    """Return the folder in `parent` of a run that was given none.

    It is named by its stamp (SLURM job, sweep or `INTERSEG_STAMP`), else by the time. A second
    config under one stamp gets the suffix -2, an equal config the same folder. A step that was
    queued again is a single command: it has the folder that it had, and `resume_point` refuses
    another config.
    """
    name = stamp()
    if name is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        name = agree(
            lambda: next(path.name for path in number_paths(parent / now) if make_folder(path))
        )
        os.environ["INTERSEG_STAMP"] = name
    opened = list(
        itertools.takewhile(
            lambda path: (path / "config.yaml").exists(), number_paths(parent / name)
        )
    )
    for path in opened:
        if OmegaConf.load(path / "config.yaml") == OmegaConf.create(config):
            return path
    if opened and queued_again() and "SLURM_STEP_ID" in os.environ:
        return opened[-1]
    return next(itertools.islice(number_paths(parent / name), len(opened), None))


def stamp() -> str | None:
    """Name a run's folder.

    The name is of the SLURM job, array and further step, of the run that a wandb sweep gave, or
    made by the first rank.
    """
    job, step = slurm_job(), os.environ.get("SLURM_STEP_ID", "0")
    swept = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
    if job or swept:
        names = (
            job and job.replace("_", "-"),
            job and step != "0" and step,
            swept,
        )  # an agent may play several runs in one job
        return "-".join(name for name in names if name)
    return os.environ.get("INTERSEG_STAMP")


def number_paths(path: Path) -> Iterator[Path]:
    """Return a folder's path, then the same with 2, 3, ..."""
    yield path
    for number in itertools.count(2):
        yield Path(f"{path}-{number}")


def make_folder(path: Path) -> bool:
    """Make a folder; False where another command has made it."""
    try:
        path.mkdir(parents=True)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> InputError:
    """Make the error for a run's folder that takes nothing."""
    return InputError(
        f"the run's folder {path} cannot be written ({error.strerror}); "
        "give another one by run=PATH"
    )


def agree(make: Callable[[], str]) -> str:
    """Share the first rank's result with all ranks.

    Those that torchrun started hear of it through its store, others inherit it.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True):
        return make()
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = torch.distributed.TCPStore(address, port, is_master=False, timeout=PATIENCE)
    key = f"interseg {os.environ['TORCHELASTIC_RESTART_COUNT']}"
    if os.environ["RANK"] == "0":
        store.set(key, make())
    return store.get(key).decode()


def open_folder(path: Path, config: dict[str, Any]) -> Path:
    """Make a run's folder with the merged config; interpolations stay for later overrides.

    The first rank alone writes: another rank's file could come after the first rank has removed
    what it wrote for a run that did not start.
    """
    write_config(path, config)
    return path


@rank_zero_only
def write_config(path: Path, config: dict[str, Any]) -> None:
    """Write `config.yaml`; raises `InputError` for a folder that takes nothing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with whole(path / "config.yaml") as part:
            OmegaConf.save(OmegaConf.create(config), part)
    except OSError as error:
        raise unwritable(path, error) from None


@contextlib.contextmanager
def claim(given: str | None, parent: Path, config: dict[str, Any]) -> Iterator[Path]:
    """Find a run's folder and leave it as it was if the run does not come to its start.

    Args:
        given: Folder of `run=`; None for one of its own in `parent`.
        parent: See `own_folder`.
        config: Merged config, which `open_folder` will write.
    """
    first = Path(given) if given else parent
    missing = [path for path in (first, *first.parents) if not path.exists()]
    folder = Path(given) if given else own_folder(parent, config)
    opened = folder / "config.yaml"
    before = opened.read_bytes() if opened.is_file() else None
    try:
        yield folder
    except BaseException:
        leave(folder, before, missing if given else [folder, *missing])
        raise


@rank_zero_only
def leave(folder: Path, config: bytes | None, made: list[Path]) -> None:
    """Restore a folder's `config.yaml`, or remove it and the new folders that are empty."""
    opened = folder / "config.yaml"
    with contextlib.suppress(OSError):
        if config is not None:
            if opened.read_bytes() != config:
                with whole(opened) as part:
                    part.write_bytes(config)
            return
        opened.unlink(missing_ok=True)
        for path in made:
            path.rmdir()


def queued_again() -> bool:
    """Check whether this SLURM job was ended before and put back into the queue."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0
