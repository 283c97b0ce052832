"""Evaluate a run: `python evaluate.py --checkpoint RUN_OR_FILE --config data/NAME.yaml [key=value ...]`.

Without `--checkpoint` the network of `--config` is evaluated as it is built. With the `run=FOLDER` of an evaluation that was killed it
goes on, with that of a finished one it prints the figures again; another evaluation's folder is refused unless `overwrite=true`.
"""

import re
import sys
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from configs import build, load, resolve
from configs.checkpoints import digest, find_checkpoint, load_weights, trained_config, without_download
from configs.folders import open_folder, own_folder, refuse_another
from configs.run import build_model, guarded, needs, parser, trainer
from datamodules.base import ClickDataModule
from interseg.errors import InputError
from interseg.evaluation.records import EvaluationRecord
from interseg.evaluation.tables import print_table, shown


def main() -> int:
    """Config -> objects -> `Trainer.test`; exit code 1 if the figures are not of the whole set."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--checkpoint", metavar="RUN_OR_FILE", help="a run's folder, or a checkpoint anywhere")
    options = arguments.parse_intermixed_args()
    run, weights = find_checkpoint(options.checkpoint) if options.checkpoint else (None, None)
    base = trained_config(weights, options.trust) if weights else None
    merged = load(options.config, options.overrides, base, options.trust) | {"evaluated": digest(weights) if weights else None}
    config = resolve(merged)
    needs(config, "model", "data")
    shard = part_of(config)
    data = build(config["data"], options.trust)
    if not isinstance(data, ClickDataModule):
        raise InputError("streams are measured while they are learned: train.py writes transfer.json or dice.json into the run's folder")
    data.prepare_data()
    names = data.names("test")  # what is missing or does not fit shows before a folder's files become this evaluation's
    if weights:
        without_download(config["model"])
    model = build_model(config, options.trust)
    if weights:
        load_weights(model, weights)
    parent = run / "evaluations" if run else Path("runs", config["name"])
    folder = Path(config["run"] or own_folder(parent, merged))
    played = merged | {"shard": None, "overwrite": False}
    data.record = record = EvaluationRecord(folder, played, names, shard)
    refuse_another(record, overwrite=config["overwrite"])
    open_folder(folder, played)
    if record.finished():
        return rank_zero_only(finish)(record) or 0
    test = trainer(config, folder, options.trust)
    test.test(model, data, verbose=False)
    if shard:
        if test.is_global_zero:
            print(f"part {shard[0]} of {shard[1]} is played; when all are, the same command without shard= writes the report in {folder}")
        return 0
    return finish(record) if test.is_global_zero else 0


def part_of(config: dict[str, Any]) -> tuple[int, int] | None:
    """Read (k, n) of `shard: k/n`."""
    if config["shard"] is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", str(config["shard"]))
    if not found or not int(found[1]) < int(found[2]) or not config["run"]:
        raise InputError(
            f"shard={config['shard']}, run={config['run']}; give shard=K/N, K from 0 to N - 1, and one run=FOLDER for all parts"
        )
    return int(found[1]), int(found[2])


def finish(record: EvaluationRecord) -> int:
    """Print the figures and what could not be read; the exit code says whether all of the set was."""
    figures = record.reported()
    if not figures:
        raise InputError(f"{record.folder} holds no finished evaluation; see what stopped it")
    print_table({"": {key: f"{figures[key]:.4g}" for key in shown(figures)}})
    print(f"report: {record.folder / 'report.html'}")
    for line in figures["errors"]:
        print(f"left out: {line}", file=sys.stderr)
    if figures["errors"]:
        print(f"the figures are without {'this' if len(figures['errors']) == 1 else 'these'}", file=sys.stderr)
    return 1 if figures["errors"] else 0


if __name__ == "__main__":
    guarded(main)
