"""Evaluate a run: `python evaluate.py --checkpoint RUN --config data/NAME.yaml [key=value ...]`.

Without `--checkpoint` the network of `--config` is evaluated as it is built. With the `run=FOLDER`
of a killed evaluation it resumes, with that of a finished one it prints the figures again; another
evaluation's folder is refused unless `overwrite=true`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning import LightningModule, seed_everything
from pytorch_lightning.utilities import rank_zero_only

from callbacks.lookup import callback_of
from callbacks.noc import NumberOfClicks
from configs import as_yaml, build, load, resolve
from configs.checkpoints import (
    find_checkpoint,
    identify,
    load_weights,
    trained_config,
    without_download,
)
from configs.console import run_guarded
from configs.folders import claim, open_folder
from configs.options import parser
from configs.run import build_model, needs, tell, trainer, wait_for_slow_ranks
from configs.starting import COMMAND, forget_dashboard, refuse_another
from datamodules.base import ClickDataModule
from interseg.checkpoints import digest
from interseg.errors import InputError
from interseg.evaluation.metrics import outcome_keys
from interseg.evaluation.records import EvaluationRecord, plays_all
from interseg.evaluation.tables import print_table, select_shown, write_number
from lightning_modules.base import InteractiveModule

EXAMPLES = (
    "--checkpoint RUN",
    "--checkpoint RUN --config data/grabcut.yaml data.root=PATH",
    "--checkpoint RUN --config users/cluster.yaml refiner=f_brs_b",
    "--config classical/random_walker.yaml --config data/folder.yaml data.root=PATH",
)


def main() -> int:
    """Run the command: config -> objects -> `Trainer.test`.

    Returns:
        Exit code, 1 if the figures are not of the whole set.
    """
    arguments = parser(
        __doc__.splitlines()[0], prints=True, examples=EXAMPLES, lists=("methods", "data", "users")
    )
    arguments.add_argument(
        "--checkpoint", metavar="RUN_OR_FILE", help="a run's folder, or a checkpoint anywhere"
    )
    options = arguments.parse_intermixed_args()
    run, file = find_checkpoint(options.checkpoint) if options.checkpoint else (None, None)
    base = trained_config(file, options.trust) if file else None
    merged = identify(load(options.config, options.overrides, base, options.trust), file)
    config, written = resolve(merged), merged | COMMAND
    if file and config["model"]:
        without_download(config["model"])
    if options.print:
        print(as_yaml(config), end="")
        return 0
    needs(config, "model", "data")
    if config["weights"]:
        raise InputError(
            f"weights={config['weights']} is what train.py starts from; "
            "evaluate by --checkpoint, without weights="
        )
    shard = part_of(config)
    data = build_data(config, options.trust)
    names = data.names("test")  # wrong data raise their error before a folder is opened
    tell(data)
    parent = run / "evaluations" if run else Path("runs", config["name"])
    with claim(config["run"], parent, written) as folder:
        data.record = record = EvaluationRecord(folder, written, names, shard)
        remove_replaced = refuse_another(record, config["overwrite"])
        page = bool(config["callbacks"].get("report"))
        if not config["overwrite"] and record.is_finished(page, data.problems):
            return rank_zero_only(finish)(record) or 0
        model = build_evaluated(config, file, options.trust)
        record.keys = outcome_keys(getattr(model, "contributions", ()))
        open_folder(folder, written)
        if config["overwrite"]:
            forget_dashboard(folder)
        wait_for_slow_ranks()
        test = trainer(config, folder, options.trust)
        callback_of(test, NumberOfClicks)  # without it the evaluation would leave no figures
        remove_replaced()
    test.test(model, data, verbose=False)
    if not test.is_global_zero:
        return 0
    if shard:
        print(
            f"part {shard[0]} of {shard[1]} is played; "
            f"when all are, the same command without shard= writes the report in {folder}"
        )
        return 0
    return finish(record)


def build_data(config: dict[str, Any], trusted: list[str]) -> ClickDataModule:
    """Build and prepare the data to play; raises `InputError` for a stream."""
    data = build(config["data"], trusted, "data")
    if not isinstance(data, ClickDataModule):
        raise InputError(
            "streams are measured while they are learned: "
            "train.py writes transfer.json or dice.json into the run's folder"
        )
    data.prepare_data()
    return data


def build_evaluated(
    config: dict[str, Any], file: Path | None, trusted: list[str]
) -> LightningModule:
    """Build the method, with a checkpoint's weights or those of its config."""
    seed_everything(config["seed"], workers=True, verbose=False)
    model: LightningModule = build_model(config, trusted)
    if not getattr(model, "answers_clicks", True):
        raise InputError(
            f"{type(model).__name__} learns a stream, and answers no clicks: train.py measures it "
            "while it learns"
        )
    if file:
        content = load_weights(model, file)
        if digest(file) != config["evaluated"]:
            raise InputError(f"{file} was replaced while it was read; copy it, or evaluate again")
        tell_untrained(model, file, content)
    return model


@rank_zero_only
def tell_untrained(model: LightningModule, file: Path, content: dict[str, Any]) -> None:
    """Print what a checkpoint's training had not begun to learn, if no weights were given to it."""
    epoch, config = content.get("epoch"), OmegaConf.create(content.get("config") or {})
    if isinstance(model, InteractiveModule) and epoch is not None and not config.get("weights"):
        line = model.untrained(epoch)
        if line:
            print(f"note: {file} ended in epoch {epoch}: {line}", flush=True)


def part_of(config: dict[str, Any]) -> tuple[int, int] | None:
    """Read (k, n) of `shard: k/n`; None for no shard.

    Raises `InputError` for another text, and for parts of an evaluation of some batches alone.
    """
    limit = config["trainer"].get("limit_test_batches")
    if limit == 0:
        raise InputError("trainer.limit_test_batches=0 plays nothing; leave it out")
    if config["shard"] is None:
        return None
    if not plays_all(limit) or config["trainer"].get("fast_dev_run"):
        raise InputError(
            "shard= deals out all objects, and trainer.limit_test_batches or fast_dev_run asks for "
            "some batches; leave one out"
        )
    found = re.fullmatch(r"(\d+)/(\d+)", str(config["shard"]))
    if not found or not int(found[1]) < int(found[2]) or not config["run"]:
        raise InputError(
            f"shard={config['shard']}, run={config['run']}; "
            "give shard=K/N, K from 0 to N - 1, and one run=FOLDER for all parts"
        )
    return int(found[1]), int(found[2])


def finish(record: EvaluationRecord) -> int:
    """Print the figures, and the objects that could not be read.

    Returns:
        Exit code, 1 if objects could not be read.
    """
    figures = record.read_report()
    if not figures:
        raise InputError(f"{record.folder} holds no finished evaluation; see what stopped it")
    print_table({"": {key: write_number(figures[key]) for key in select_shown(figures)}})
    page = record.folder / "report.html"
    print(f"report: {page}" if page.is_file() else f"evaluation: {record.folder}")
    errors = figures["errors"]
    for line in errors:
        print(f"left out: {line}", file=sys.stderr)
    if not errors:
        return 0
    those = "this" if len(errors) == 1 else "these"
    print(f"the figures are without {those}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    run_guarded(main)
