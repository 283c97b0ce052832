"""Results of a run on Weights & Biases (`logger=wandb`), as they are in its folder.

Keys are the same for every method.

- `train/loss`, `test/noc@85`, `test/miou@5`, `test/auc`, `transfer/backward`, `dice/held_out`,
  `test/nof10@90`, `test/boundary_iou@5`, `test/regress`, ...: figures, as the callbacks log them;
  tables of evaluate.py say what each is.
- `quality/first`, `quality/last`, `quality/curve`: mean IoU, or Dice of volumes, after one
  interaction, two, ..., of every method.
- `tables/objects`, `tables/transfer`, `tables/dice`: rows of the CSV files of those names: objects,
  answers of a stream, volumes.
- `tables/matrix`: R[t, i], mean IoU over sequences: a row a task learned, a column an image.
- `pictures/clicks`: objects click by click, with mask, clicks and true outline.
- `pictures/rounds`: rounds of a stream: answer, uncertainty or residual map, annotations or proxy
  mask, refined answer.
"""

import base64
import configparser
import contextlib
import csv
import io
import netrc
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from callbacks.lookup import callbacks_of
from callbacks.offers import OffersImages, OffersQuality, OffersTables

FILES = ("objects", "transfer", "dice")
"""CSV files of a run's folder that are shown as tables."""


class Dashboard(Callback):
    """Log of what callbacks offer at the end of an evaluation or of a training.

    Each one that offers quality, images or tables (callbacks/offers.py) is asked, your own too.
    Nothing is logged without a `WandbLogger`.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log an evaluation."""
        self._log(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log a training, what a stream left included."""
        self._log(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End the run here; at the end of the process an unreachable server would go unreported."""
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and trainer.is_global_zero:
                logger.experiment.finish()

    def _log(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            return
        content: dict[str, Any] = {}
        for callback in callbacks_of(trainer):
            content |= offered(callback)
        files = {name: Path(trainer.default_root_dir, f"{name}.csv") for name in FILES}
        content |= {f"tables/{name}": table(f) for name, f in files.items() if f.exists()}
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.log(content)


def offered(callback: Callback) -> dict[str, Any]:
    """Return what a callback offers, by its key, as Weights & Biases takes it."""
    content: dict[str, Any] = {}
    if isinstance(callback, OffersQuality) and (values := callback.quality()):
        content |= {"quality/first": values[0], "quality/last": values[-1]}
        content["quality/curve"] = curve(values)
    if isinstance(callback, OffersImages):
        for name, pictures in callback.images().items():
            if pictures:  # not in a table, which would keep them outside the run's folder
                shown = [wandb.Image(read_picture(p.image), caption=p.caption) for p in pictures]
                content[f"pictures/{name}"] = shown
    if isinstance(callback, OffersTables):
        for name, (columns, rows) in callback.tables().items():
            content[f"tables/{name}"] = wandb.Table([*columns], rows)
    return content


def wandb_logger(config: dict[str, Any], folder: Path) -> WandbLogger:
    """Return a run of Weights & Biases for which nothing waits.

    It is offline unless there is a key and the server answers, and so is its end.

    A server that vanishes later leaves the records in the folder, for `wandb sync`, and is waited
    for at the end for at most 5 minutes (WANDB_FINISH_TIMEOUT, in seconds). The run's id lies in
    its folder, so that a run that goes on is one run there too. Offline, each part of it is a
    folder of its own under that id; upload them in their order.
    """
    start, end = (
        float(os.environ.get(f"WANDB_{name}_TIMEOUT", most))
        for name, most in (("INIT", 60), ("FINISH", 300))
    )
    settings = wandb.Settings(init_timeout=start, finish_timeout=end, silent=True)
    options: dict[str, Any] = {
        "project": "interseg",
        "name": f"{config['name']}/{folder.name}",
        "group": config["name"],
        "save_dir": str(folder),
        "id": rank_zero_only(run_id)(folder),
        "resume": "allow",
        "config": config,
        "settings": settings,
    }
    logger = WandbLogger(**options, offline=not logged_in())
    try:
        _ = logger.experiment  # on rank 0, where the server is asked
        return logger
    except wandb.errors.Error as error:
        reason = str(error).splitlines()[0]
        print(
            f"Weights & Biases cannot be reached ({reason}); the run is kept in {folder}/wandb, "
            "`wandb sync` uploads it",
            file=sys.stderr,
        )
        wandb.teardown()  # which still holds the run's id
        return WandbLogger(**options, offline=True)


def run_id(folder: Path) -> str:
    """Return the text that the first process writes into `wandb.id`.

    It is for all other processes, and for every time that the run resumes.

    That is a new id, or the one that a sweep's agent has given.
    """
    given, own = os.environ.get("WANDB_RUN_ID"), secrets.token_hex(6)
    file, part = folder / "wandb.id", folder / f".wandb.{own}"
    part.write_text(given or own)
    if given:
        part.replace(file)
    else:
        try:
            os.link(part, file)
        except FileExistsError:
            pass
        except OSError:  # a file system without links: whoever creates the file writes it
            with contextlib.suppress(FileExistsError), file.open("x") as new:
                new.write(own)
        part.unlink()
    for _ in range(500):  # without links, another process may still be writing it
        if found := file.read_text():
            return found
        time.sleep(0.01)
    file.write_text(own)  # it was killed
    return own


def server() -> str:
    """Return the server's address: the environment's, `wandb login --host`'s, or the public one."""
    kept = configparser.ConfigParser()
    kept.read(
        Path(os.environ.get("WANDB_CONFIG_DIR", Path.home() / ".config" / "wandb"), "settings")
    )
    return os.environ.get("WANDB_BASE_URL") or str(
        kept.get("default", "base_url", fallback="https://api.wandb.ai")
    )


def logged_in() -> bool:
    """Look for a key for the server.

    It is in the environment, or under the host's name in the netrc file, as `wandb login`
    writes it.
    """
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(server()).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def curve(values: list[float]) -> Any:
    """Draw a line over interactions."""
    table = wandb.Table(
        ["interactions", "quality"], [[k + 1, value] for k, value in enumerate(values)]
    )
    return wandb.plot.line(
        table, "interactions", "quality", title="IoU or Dice against interactions"
    )


def read_picture(picture: str) -> Image.Image:
    """Read a picture from base64."""
    return Image.open(io.BytesIO(base64.b64decode(picture)))


def table(file: Path) -> wandb.Table:
    """Read the rows of a CSV file; what reads as a number is one, what is empty is missing."""
    with file.open(newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    return wandb.Table([*header], [[value(cell) for cell in row] for row in rows])


def value(cell: str) -> float | str | None:
    """Return a cell's number, its text, or None."""
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell
