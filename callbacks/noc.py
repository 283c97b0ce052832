"""The figures of an evaluation: NoC, failures, mIoU@k and the rest, gathered over ranks, logged and written per object."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.distributed import from_all_ranks
from interseg.evaluation.metrics import Interactions, clicks_to, counted
from interseg.evaluation.records import fingerprint, forget_others, keep, kept, record_file, reported
from interseg.evaluation.tables import write_objects
from interseg.files import write_whole


class NumberOfClicks(Callback):
    """Reads what the user loop left in a batch and writes `objects.csv` and `report.json` into the run's folder.

    The report carries a fingerprint of what it is of, by which `evaluate.py` knows a finished evaluation.

    Args:
        targets: the IoUs of NoC, each at most the loop's target.
        full_curves: every object was given every click, so that figures over the whole set hold too.
    """

    def __init__(self, targets: Sequence[float] = (0.8, 0.85, 0.9), full_curves: bool = False) -> None:
        self.targets = tuple(targets)
        self.interactions = Interactions(self.targets, full_curves)
        self.errors: list[str] = []
        self.record = Path()
        self.figures: dict[str, Any] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last evaluation."""
        self._start()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last evaluation, and begin with what a killed one had finished."""
        self._start()
        data, folder = trainer.datamodule, Path(trainer.default_root_dir)  # type: ignore[attr-defined]
        part, names = data.shard, data.names("test")
        mark = fingerprint(folder, names)
        self.record = record_file(folder, mark, f"{part[0]}of{part[1]}.{trainer.global_rank}" if part else str(trainer.global_rank))
        if trainer.is_global_zero:
            if reported(folder).get("fingerprint") != fingerprint(folder, names, report=True):
                for name in ("report.json", "objects.csv", "report.html"):  # of another evaluation
                    (folder / name).unlink(missing_ok=True)
            for batch in kept(folder, mark):
                if data.finished.issuperset(batch["id"].tolist()):  # another rank may have begun to keep new ones
                    self.interactions.update(batch)

    def _start(self) -> None:
        self.interactions.reset()
        self.errors = []

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], *_: Any) -> None:
        """Add the batch."""
        self._add(trainer, batch)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], *_: Any) -> None:
        """Add the batch, and keep it on the disk."""
        self._add(trainer, batch)
        if len(batch["id"]):
            keep(self.record, batch)

    def _add(self, trainer: Trainer, batch: dict[str, Any]) -> None:
        self.errors += batch["errors"]
        if not len(batch["id"]):
            return
        self.interactions.update(batch)
        bar = getattr(trainer.progress_bar_callback, "test_progress_bar", None) if trainer.testing else None
        if bar is not None:
            so_far = counted({key: self.interactions.rows(key) for key in ("curves", "boxes")})
            bar.set_postfix({f"NoC@{100 * q:g}": f"{clicks_to(so_far, q).double().mean():.2f}" for q in self.targets})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures."""
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures and write the files."""
        self._finish(trainer, pl_module, "test")
        if trainer.is_global_zero and self.figures["objects"] and not trainer.datamodule.shard:  # type: ignore[attr-defined]
            gathered = self.interactions.outcome
            folder, names = Path(trainer.default_root_dir), trainer.datamodule.names("test")  # type: ignore[attr-defined]
            write_objects(folder / "objects.csv", gathered, [names[id] for id in gathered["id"].tolist()], self.targets)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report last, when other callbacks have written what they make of the figures: it says that all is there."""
        if not trainer.is_global_zero or not self.figures["objects"] or trainer.datamodule.shard:  # type: ignore[attr-defined]
            return
        folder, names = Path(trainer.default_root_dir), trainer.datamodule.names("test")  # type: ignore[attr-defined]
        report = self.figures | {"fingerprint": fingerprint(folder, names, report=True)}
        write_whole(folder / "report.json", json.dumps(report, indent=1))
        forget_others(folder, fingerprint(folder, names) if trainer.limit_test_batches == 1.0 else "")

    def _finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.errors = [line for lines in from_all_ranks(self.errors) for line in lines]
        problems = trainer.datamodule.problems if stage == "test" else []  # type: ignore[attr-defined]
        self.figures = {"objects": 0, "errors": sorted({*problems, *self.errors})}
        self.figures |= self.interactions.compute()
        if not self.figures["objects"]:
            return
        if stage == "test" and trainer.limit_test_batches == 1.0 and not trainer.datamodule.shard:  # type: ignore[attr-defined]
            count = len(trainer.datamodule.objects("test"))  # type: ignore[attr-defined]
            missing = count - self.figures["objects"] - len(set(self.errors))
            if missing > 0:  # another job was still writing them when this one began
                self.figures["errors"].append(f"{missing} objects were not played; the same command plays them")
        numbers = {key: float(v) for key, v in self.figures.items() if isinstance(v, (int, float))}
        pl_module.log_dict({f"{stage}/{key}": v for key, v in numbers.items() if key != "objects"}, rank_zero_only=True)
