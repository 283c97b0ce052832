"""Loggers of a run: its table of metrics, which a resumed run goes on with, and a dashboard."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.utilities import rank_zero_only

from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from interseg.files import whole, write_table


def loggers(
    config: dict[str, Any], folder: Path, resumed: Path | None = None
) -> tuple[list[Logger], list[Callback]]:
    """Make the loggers: CSV unless `logger=null`, Weights & Biases too with `logger=wandb`.

    Returns the callback that fills its dashboard with them.

    Returns two empty lists for one shard of an evaluation: shards share a folder, and their figures
    are only parts.
    """
    if (
        config["shard"] is not None
        or config["logger"] is None
        or config["trainer"].get("logger") is False
    ):
        return [], []
    if config["logger"] not in ("csv", "wandb"):
        raise InputError(f"logger is {config['logger']!r}; use csv, wandb or null")
    made: list[Logger] = [csv_logger(folder, resumed)]
    if config["logger"] == "wandb":
        from callbacks.dashboard import (
            Dashboard,
            wandb_logger,
        )  # wandb changes how a process prints

        return [*made, wandb_logger(config, folder)], [Dashboard()]
    return made, []


def csv_logger(folder: Path, resumed: Path | None) -> CSVLogger:
    """Make the logger of a run's `metrics.csv`, which keeps a resumed run's earlier rows.

    Lightning's logger would delete it.
    """
    logger, file = CSVLogger(folder, name="", version=""), folder / "metrics.csv"
    if resumed and file.exists():
        loop = read_checkpoint(resumed)["loops"]["fit_loop"]
        batches = loop["epoch_loop.batch_progress"]["total"]["ready"]
        # rows are numbered by batches, of accumulated gradients by steps
        optimiser = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
        keep_rows(logger, file, optimiser["step"]["total"]["completed"] or batches)
    return logger


@rank_zero_only
def keep_rows(logger: CSVLogger, file: Path, before: int) -> None:
    """Let a logger go on with a table of metrics, whose rows from step `before` on come again."""
    with file.open(newline="") as lines:
        table = csv.DictReader(lines)
        uncut = (row for row in table if None not in row.values())  # a full disk cuts the last one
        rows = [row for row in uncut if int(row["step"]) < before]
    columns = list(table.fieldnames or [])
    with whole(file) as part:
        write_table(part, columns, rows)
        experiment: Any = logger.experiment  # which deletes the table
        experiment.metrics_keys = columns
