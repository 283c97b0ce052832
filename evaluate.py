"""Evaluate a run: `python evaluate.py --checkpoint RUN_OR_FILE --config data/NAME.yaml [key=value ...]`.

Without `--checkpoint` the network of `--config` is evaluated as it is built. With the `run=FOLDER` of an evaluation that was killed it
goes on, with that of a finished one it prints the figures again.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_only

from configs import build, load, merge, plain, read, resolve
from configs.folders import open_folder, own_folder
from configs.run import answer_by, guarded, needs, parser, trainer
from datamodules.base import ClickDataModule
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.evaluation.records import finished
from interseg.evaluation.tables import print_table, shown


def main() -> int:
    """Config -> objects -> `Trainer.test`; exit code 1 if the figures are not of the whole set."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--checkpoint", metavar="RUN_OR_FILE", help="a run's folder, or a checkpoint in one")
    options = arguments.parse_intermixed_args()
    run, weights = find_checkpoint(options.checkpoint) if options.checkpoint else (None, None)
    base = trained_config(weights, options.trust) if weights else None
    merged = load(options.config, options.overrides, base, options.trust) | {"weights": digest(weights) if weights else None}
    config = resolve(merged)
    needs(config, "model", "data")
    shard = part_of(config)
    parent = run / "evaluations" if run else Path("runs", config["name"])
    data = build(config["data"], options.trust)
    if not isinstance(data, ClickDataModule):
        raise InputError("streams are measured while they are learned: train.py writes transfer.json or dice.json into the run's folder")
    data.prepare_data()
    names = data.names("test")  # what is missing or does not fit shows before a folder's files become this evaluation's
    if weights:
        without_download(config["model"])
    model = build(config["model"], options.trust)
    if weights:
        load_weights(model, weights)
    answer_by(model, config, options.trust)
    folder = open_folder(Path(config["run"] or own_folder(parent, merged)), merged | {"shard": None})
    data.shard, data.record = shard, folder
    if finished(folder, names):
        return rank_zero_only(finish)(folder) or 0
    test = trainer(config, folder, options.trust)
    test.test(model, data, verbose=False)
    if shard:
        if test.is_global_zero:
            print(f"part {shard[0]} of {shard[1]} is played; when all are, the same command without shard= writes the report in {folder}")
        return 0
    return finish(folder) if test.is_global_zero else 0


def part_of(config: dict[str, Any]) -> tuple[int, int] | None:
    """(k, n) of `shard: k/n`."""
    if config["shard"] is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", str(config["shard"]))
    if not found or not int(found[1]) < int(found[2]) or not config["run"]:
        raise InputError(
            f"shard={config['shard']}, run={config['run']}; give shard=K/N, K from 0 to N - 1, and one run=FOLDER for all parts"
        )
    return int(found[1]), int(found[2])


def find_checkpoint(given: str) -> tuple[Path, Path]:
    """(run folder, checkpoint file) of a run or of a file in its `checkpoints/`."""
    path = Path(given)
    if path.is_dir():
        run, file = path, path / "checkpoints" / "last.ckpt"
    else:
        run, file = path.absolute().parent.parent, path
    for wanted in (file, run / "config.yaml"):
        if not wanted.is_file():
            raise InputError(f"{given} is no run: there is no {wanted}; give the folder that train.py printed, or a checkpoint in it")
    return run, file


def trained_config(weights: Path, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """The config that a checkpoint was trained with, over today's defaults, without what names its folder.

    A checkpoint has its own: its folder's may be of a command that failed since.
    """
    own = read_checkpoint(weights).get("config")
    found = plain(OmegaConf.create(own) if own else OmegaConf.load(weights.absolute().parent.parent / "config.yaml"))
    return merge(read("default.yaml"), found | {"run": None, "checkpoint": None}, "", trusted)


def digest(file: Path) -> str:
    """SHA-256 of a file, so that an evaluation's config says what was evaluated."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def without_download(model: dict[str, Any]) -> None:
    """The checkpoint holds every weight: do not fetch others first."""
    for key in ("weights", "encoder_weights", "selection_from"):
        if isinstance(model.get("network"), dict) and key in model["network"]:
            model["network"][key] = None


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


def read_report(run: Path) -> dict[str, Any]:
    """The figures of a finished evaluation."""
    try:
        return json.loads((run / "report.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{run} holds no finished evaluation ({error}); see what stopped it") from None


def finish(folder: Path) -> int:
    """Print the figures and what could not be read; the exit code says whether all of the set was."""
    figures = read_report(folder)
    print_table({"": {key: f"{figures[key]:.4g}" for key in shown(figures)}})
    print(f"report: {folder / 'report.html'}")
    for line in figures["errors"]:
        print(f"left out: {line}", file=sys.stderr)
    if figures["errors"]:
        print(f"the figures are without {'this' if len(figures['errors']) == 1 else 'these'}", file=sys.stderr)
    return 1 if figures["errors"] else 0


if __name__ == "__main__":
    guarded(main)
