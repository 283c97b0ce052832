"""Starts in a folder that was used before: resumes, restarts, or an error that says why not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from configs import DEFAULT, plain, read
from configs.folders import queued_again, stamp
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.evaluation.records import WRITTEN, EvaluationRecord, played_of

COMMAND: dict[str, Any] = {"shard": None, "overwrite": False}
"""Keys that are a single command's, as they stand in the config of a run."""
MAY_DIFFER = ("run", "logger", "checkpoint", *COMMAND)
"""Keys of a config in which a run that is begun again may differ."""
LAST = Path("checkpoints", "last.ckpt")
TABLES = ("metrics.csv", "transfer.csv", "transfer.json", "dice.csv", "dice.json")
PAGES = ("tasks.html", "volumes.html")
"""What a run's callbacks and loggers write into its folder, beside the last checkpoint."""
MOST = 200
"""Characters of a difference that a message shows."""


def check_free(folder: Path, config: dict[str, Any], merged: dict[str, Any]) -> None:
    """Check that a training may begin in a folder, or goes on with what lies there.

    A run that was ended before its first checkpoint may begin again.

    Args:
        folder: Folder of the run.
        config: Config of the run, resolved.
        merged: Config that `open_folder` will write.

    Raises:
        InputError: the folder holds a trained run, or one of another config.
    """
    given, overwrite = config["checkpoint"], config["overwrite"]
    for key, file in (
        ("weights", config.get("weights")),
        ("model.pretrained", pretraining_of(config)),
    ):
        if overwrite and file and Path(file).resolve() == (folder / LAST).resolve():
            raise InputError(
                f"overwrite=true would remove {file}, which {key} starts from; "
                "give another run=PATH"
            )
    if given and overwrite:
        raise InputError(
            f"overwrite=true begins anew, checkpoint={given} goes on; give one of them"
        )
    goes_on = given and (given == "last" or Path(given).resolve().is_relative_to(folder.resolve()))
    if overwrite or goes_on or queued_again() or not (folder / "config.yaml").is_file():
        return
    changed = list_differences(folder, merged)
    other = f" of another config ({shorten(changed)})" if changed else ""
    ways = "overwrite=true begins anew, run=PATH takes another folder"
    if (folder / LAST).is_file():
        raise InputError(
            f"{folder} holds a trained run{other}; checkpoint=last goes on with it, {ways}"
        )
    if changed:
        raise InputError(f"{folder} holds a run{other}; {ways}")


def pretraining_of(config: dict[str, Any]) -> str | None:
    """Return the checkpoint of a pretraining that a config names."""
    file: str | None = (config.get("model") or {}).get("pretrained")
    return file if isinstance(file, str) else None


def list_differences(folder: Path, merged: dict[str, Any]) -> list[str]:
    """List a folder's differences from a config, but for where and how a run starts."""
    before = read(DEFAULT) | read(folder / "config.yaml")
    old, new = ({k: v for k, v in one.items() if k not in MAY_DIFFER} for one in (before, merged))
    return changes(old, new)


@rank_zero_only
def forget_dashboard(folder: Path) -> None:
    """Remove a run's id on the dashboard: what is trained from its start is another run there."""
    if not queued_again():
        (folder / "wandb.id").unlink(missing_ok=True)


@rank_zero_only
def remove_results(folder: Path) -> None:
    """Remove what a run, or an evaluation, has written into its folder, and nothing else."""
    if queued_again():
        return
    for name in (LAST, *TABLES, *PAGES, *WRITTEN):
        (folder / name).unlink(missing_ok=True)
    for record in folder.glob("objects.*.jsonl"):
        record.unlink(missing_ok=True)
    for other in sorted((folder / LAST).parent.glob("*.ckpt")):  # a callback's, or a person's own
        print(f"note: {other} of the run before stays", flush=True)


def refuse_another(record: EvaluationRecord, overwrite: bool) -> Callable[[], None]:
    """Refuse a folder that holds another evaluation, unless that is to be overwritten.

    What this evaluation has played without a report is kept: it was interrupted, and goes on.

    Returns:
        Function that removes the results that are overwritten, this evaluation's own too; to be
        called once the evaluation is sure to begin.

    Raises:
        InputError: another evaluation's are not to be, the folder is of a training, or parts would
            replace their own evaluation one by one.
    """
    folder, opened = record.folder, record.folder / "config.yaml"
    if (folder / LAST).is_file():
        raise InputError(
            f"{folder} holds a trained run; give run=PATH for another folder, or leave run= out"
        )
    if overwrite and record.is_reported():
        if record.shard:
            raise InputError(
                f"{folder} holds this evaluation, which its parts cannot replace one by one; "
                "give run=PATH for another folder, or overwrite=true without shard="
            )
        return rank_zero_only(record.forget)
    if not record.has_others():
        return lambda: None
    if overwrite:
        return rank_zero_only(record.replace_others)
    old = read(DEFAULT) | read(opened) if opened.is_file() else {}
    changed = changes(played_of(old), played_of(record.config)) if old else []
    reason = shorten(changed) or "of other objects, or of an earlier version"
    ways = "give run=PATH for another folder, or overwrite=true to replace it"
    raise InputError(f"{folder} holds another evaluation ({reason}); {ways}")


def resume_point(config: dict[str, Any], folder: Path, merged: dict[str, Any]) -> Path | None:
    """Find the checkpoint from which training resumes.

    With `checkpoint=last`, a run that was killed before its first one starts from its
    beginning.

    A SLURM job that was queued again goes on from its last one by itself.

    Args:
        config: Config of the run, resolved.
        folder: Folder of the run, before `open_folder` writes into it.
        merged: Config that it will write.

    Raises:
        InputError: no such checkpoint; a job that was queued again with another config than it had.
    """
    last, opened = folder / LAST, folder / "config.yaml"
    again = queued_again() and last.is_file()
    if again and opened.is_file() and config["checkpoint"] != "last":
        changed = changes(plain(OmegaConf.load(opened)), merged)
        if changed:
            what = (
                f"{folder} was begun with another config ({shorten(changed)}), and its job would "
                "start anew"
            )
            raise InputError(
                f"{what}; restore the earlier config, go on under this one with "
                "checkpoint=last, or give another run=PATH"
            )
    again = again and read_checkpoint(last).get("config") == OmegaConf.to_yaml(
        OmegaConf.create(merged)
    )  # not another run's
    if config["checkpoint"] is None and not again:
        return None
    path = last if again or config["checkpoint"] == "last" else Path(config["checkpoint"])
    if path.is_file():
        return path
    if config["checkpoint"] != "last":
        raise InputError(
            f"there is no checkpoint {path}; give a file, or checkpoint=last with run=FOLDER"
        )
    print(f"{folder} has no checkpoint yet: training starts anew", flush=True)
    return None


def check_named(config: dict[str, Any]) -> None:
    """Raise `InputError` for `checkpoint=last` where no folder is named, by the run or by its job.

    Its message names the newest run of the config's name.
    """
    if config["checkpoint"] != "last" or config["run"] or stamp():
        return
    runs = Path("runs", config["name"]).glob("*/checkpoints/last.ckpt")
    newest = sorted(runs, key=lambda path: path.stat().st_mtime)[-1:]
    example = f"run={newest[0].parent.parent} is the newest" if newest else "run=FOLDER"
    raise InputError(f"checkpoint=last goes on with a run that has to be named: {example}")


def changes(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Find the leaves in which two configs differ, as `model.width: 3 -> 4`."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += changes(before, after, f"{path}{key}.")
        elif before != after:
            found.append(f"{path}{key}: {before} -> {after}")
    return found


def shorten(changed: list[str]) -> str:
    """Join the first three lines, cut to a message's length, digests to their first digits."""
    changed = [re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", line) for line in changed]
    lines = [line if len(line) <= MOST else f"{line[:MOST]}..." for line in changed[:3]]
    return "; ".join([*lines, *(["..."] if len(changed) > 3 else [])])
