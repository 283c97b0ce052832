"""A run's folder: what it is called, whose it is, and what training in it goes on from."""

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
from configs import plain
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.evaluation.records import ELSEWHERE, EvaluationRecord
from interseg.files import whole

LEFT = ("wandb.id", "metrics.csv", "transfer.csv", "transfer.json", "dice.csv", "dice.json", "tasks.html", "volumes.html")
"""What a run leaves in its folder beside its config and its checkpoints."""


def own_folder(parent: Path, config: dict[str, Any]) -> Path:
    """The folder in `parent` of a run that was given none: its stamp's, or a new one named by the time.

    Several commands of one stamp have numbers, the same config the same one. A step that was queued again is a single command: it has
    the folder that it had, and `resume_point` refuses another config.
    """
    name = stamp()
    if name is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        name = agreed(lambda: next(path.name for path in numbered(parent / now) if made(path)))
        os.environ["INTERSEG_STAMP"] = name
    opened = list(itertools.takewhile(lambda path: (path / "config.yaml").exists(), numbered(parent / name)))
    for path in opened:
        if OmegaConf.load(path / "config.yaml") == OmegaConf.create(config):
            return path
    if opened and queued_again() and "SLURM_STEP_ID" in os.environ:
        return opened[-1]
    return next(itertools.islice(numbered(parent / name), len(opened), None))


def stamp() -> str | None:
    """A name for a run's folder: the SLURM job, array and further step, the run that a wandb sweep gave, or what the first rank made."""
    job, step = slurm_job(), os.environ.get("SLURM_STEP_ID", "0")
    swept = os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None
    if job or swept:
        names = (job and job.replace("_", "-"), job and step != "0" and step, swept)  # an agent may play several runs in one job
        return "-".join(name for name in names if name)
    return os.environ.get("INTERSEG_STAMP")


def numbered(path: Path) -> Iterator[Path]:
    """A folder's path, then the same with 2, 3, ..."""
    yield path
    for number in itertools.count(2):
        yield Path(f"{path}-{number}")


def made(path: Path) -> bool:
    """Make a folder; False where another command has made it."""
    try:
        path.mkdir(parents=True)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a run's folder that takes nothing."""
    return InputError(f"the run's folder {path} cannot be written ({error.strerror}); give another one by run=PATH")


def agreed(make: Callable[[], str]) -> str:
    """What the first rank makes; ranks that torchrun started hear of it through its store, others inherit it."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True):
        return make()
    store = torch.distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    key = f"interseg {os.environ['TORCHELASTIC_RESTART_COUNT']}"
    if os.environ["RANK"] == "0":
        store.set(key, make())
    return store.get(key).decode()


def open_folder(path: Path, config: dict[str, Any]) -> Path:
    """Make a run's folder and put the merged config into it, interpolations kept: an evaluation may override what they refer to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with whole(path / "config.yaml") as part:
            OmegaConf.save(OmegaConf.create(config), part)
    except OSError as error:
        raise unwritable(path, error) from None
    return path


def check_free(folder: Path, merged: dict[str, Any], overwrite: bool) -> None:
    """Raise `InputError` for a folder that holds another run, or what this one has trained, unless it is to be overwritten.

    A run that was ended before its first checkpoint may begin again.
    """
    opened = folder / "config.yaml"
    if overwrite or queued_again() or not opened.is_file():
        return
    if (folder / "checkpoints" / "last.ckpt").is_file():
        goes_on = "checkpoint=last goes on with it, overwrite=true begins it again"
        raise InputError(f"{folder} holds a run that has trained; {goes_on}, run=PATH takes another folder")
    changed = changes(plain(OmegaConf.load(opened)), merged)
    if changed:
        raise InputError(f"{folder} is of another run ({'; '.join(changed[:3])}); give run=PATH for another folder, or overwrite=true")


@rank_zero_only
def begin_again(folder: Path) -> None:
    """Remove what a run has left: what is trained from its start is another run, on the dashboard too."""
    if queued_again():
        return
    for name in LEFT:
        (folder / name).unlink(missing_ok=True)
    for file in (folder / "checkpoints").glob("*.ckpt"):
        file.unlink(missing_ok=True)


@rank_zero_only
def refuse_another(record: EvaluationRecord, overwrite: bool) -> None:
    """Raise `InputError` for a folder that holds another evaluation's results, or remove them where they are to be overwritten."""
    if not record.held_by_another():
        return
    if overwrite:
        record.forget_others()
        return
    before = record.folder / "config.yaml"
    found = changes(plain(OmegaConf.load(before)), record.config) if before.is_file() else []
    found = [line for line in found if line.split(".")[0].split(":")[0] not in ELSEWHERE or line.startswith("callbacks.loop")]
    reason = "; ".join(found[:3]) or "a file that the config names, or the list of objects, has changed"
    raise InputError(f"{record.folder} holds another evaluation ({reason}); give run=PATH for another folder, or overwrite=true")


def queued_again() -> bool:
    """Whether this is a SLURM job that was ended before and put back into the queue."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def resume_point(config: dict[str, Any], folder: Path, merged: dict[str, Any]) -> Path | None:
    """The checkpoint that training goes on from; `checkpoint=last` in a run that was killed before its first one starts it anew.

    A SLURM job that was queued again goes on from its last one by itself.

    Args:
        config: the run's, resolved.
        folder: of the run, before `open_folder` writes into it.
        merged: the config that it will write.

    Raises:
        InputError: no such checkpoint; a job that was queued again with another config than it had.
    """
    last, opened = folder / "checkpoints" / "last.ckpt", folder / "config.yaml"
    again = queued_again() and last.is_file()
    if again and opened.is_file() and config["checkpoint"] != "last":
        changed = changes(plain(OmegaConf.load(opened)), merged)
        if changed:
            what = f"{folder} was begun with another config ({'; '.join(changed[:3])}), and its job would start anew"
            raise InputError(f"{what}; put the config back, go on under this one with checkpoint=last, or give another run=PATH")
    again = again and read_checkpoint(last).get("config") == OmegaConf.to_yaml(OmegaConf.create(merged))  # not another run's
    if config["checkpoint"] is None and not again:
        return None
    path = last if again or config["checkpoint"] == "last" else Path(config["checkpoint"])
    if path.is_file():
        return path
    if config["checkpoint"] != "last":
        raise InputError(f"there is no checkpoint {path}; give a file, or checkpoint=last with run=FOLDER")
    print(f"{folder} has no checkpoint yet: training starts anew", flush=True)
    return None


def changes(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """The leaves in which two configs differ, as `model.width: 3 -> 4`."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += changes(before, after, f"{path}{key}.")
        elif before != after:
            found.append(f"{path}{key}: {before} -> {after}")
    return found
