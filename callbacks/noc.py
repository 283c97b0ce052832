"""Figures of an evaluation: NoC, failures, mIoU@k and the rest.

They are gathered over ranks, logged and written per object.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import data_of
from callbacks.user_loop import UserLoop
from interseg.batches import ClickBatch
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.evaluation.contributions import Contribution
from interseg.evaluation.data import EvaluationData
from interseg.evaluation.metrics import Interactions, clicks_to
from interseg.evaluation.records import EvaluationRecord, plays_all
from interseg.evaluation.tables import write_objects
from interseg.files import write_whole


class NumberOfClicks(Callback):
    """Writer of `objects.csv` and `report.json` from the outcomes of the user loop.

    The report carries a fingerprint of what it is of, by which `evaluate.py` knows a finished
    evaluation.

    Args:
        targets: IoUs of NoC, each at most the loop's target.
        full_curves: Whether every object was given every click, so that figures over the whole set
            hold too.
    """

    def __init__(
        self, targets: Sequence[float] = (0.8, 0.85, 0.9), full_curves: bool = False
    ) -> None:
        self.targets = tuple(targets)
        self.full_curves = full_curves
        self.interactions = Interactions(self.targets, full_curves)
        self.errors: list[str] = []
        self.record: EvaluationRecord | None = None
        self.figures: dict[str, Any] = {}
        self._told: set[str] = set()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Learn which figures the method contributes; raise `InputError` for games too short."""
        for loop in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(loop, UserLoop):
                self._check_games(loop.target)
        own: Sequence[Contribution] = getattr(pl_module, "contributions", ())
        self.interactions = Interactions(self.targets, self.full_curves, own)

    def _check_games(self, end: float | None) -> None:
        """Raise `InputError` for figures of games that end once they reach an IoU."""
        if end is not None and self.full_curves:
            raise InputError(
                f"callbacks.noc.full_curves is true, and the user ends at an IoU of {end}; "
                "give full_curves=true, which both read"
            )
        if end is not None and max(self.targets) > end:
            raise InputError(
                f"callbacks.noc.targets has {max(self.targets)}, and the user ends at an IoU of "
                f"{end}; give targets=[...], which both read"
            )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the figures of the last evaluation."""
        self._start()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the figures, and begin with those that a killed evaluation had finished."""
        self._start()
        self.record = record_of(trainer)
        if trainer.is_global_zero:
            self.record.forget_report()
            finished = data_of(
                trainer, EvaluationData
            ).finished  # another rank may have begun to keep new ones
            for outcome in self.record.read_batches():
                if finished.issuperset(outcome["id"].tolist()):
                    self.interactions.update(outcome)

    def _start(self) -> None:
        self.interactions.reset()
        self.errors = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ClickBatch, *_: Any
    ) -> None:
        """Add the batch."""
        self._add(trainer, batch)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: ClickBatch, *_: Any
    ) -> None:
        """Add the batch, and keep it on the disk."""
        self._add(trainer, batch)
        if len(batch["id"]) and self.record:
            self.record.keep(trainer.global_rank, batch["outcome"], self.interactions.keys)

    def _add(self, trainer: Trainer, batch: ClickBatch) -> None:
        self.errors += batch["errors"]
        check_played(batch)
        if not len(batch["id"]):
            return
        self.interactions.update(batch["outcome"])
        bar = (
            getattr(trainer.progress_bar_callback, "test_progress_bar", None)
            if trainer.testing
            else None
        )
        if bar is not None:
            so_far = self.interactions.own_curves()
            bar.set_postfix(
                {
                    f"NoC@{100 * q:g}": f"{clicks_to(so_far, q).double().mean():.2f}"
                    for q in self.targets
                }
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures."""
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures and write the files."""
        self._finish(trainer, pl_module, "test")
        record = self.record
        if record and trainer.is_global_zero and self.figures["objects"] and not record.shard:
            gathered, own = self.interactions.outcome, self.interactions.contributions
            names = [record.names[id] for id in gathered["id"].tolist()]
            write_objects(record.folder / "objects.csv", gathered, names, self.targets, own)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report last: it says that all results are there.

        Other callbacks have then written their results.
        """
        record = self.record
        if (
            record is None
            or not trainer.is_global_zero
            or not self.figures["objects"]
            or record.shard
        ):
            return
        report = self.figures | {
            "fingerprint": record.report_mark,
            "fingerprint_played": record.mark,
        }
        write_whole(record.folder / "report.json", json.dumps(report, indent=1))
        record.forget_others(own=not plays_all(trainer.limit_test_batches))

    def quality(self) -> list[float]:
        """Return the mean IoU after one click, two, ...; empty before an evaluation."""
        if not self.figures.get("objects"):
            return []
        return [self.figures[f"miou@{k}"] for k in range(1, self.figures["max_clicks"] + 1)]

    def _is_part(self) -> bool:
        """Tell whether this process plays a part of an evaluation, which others finish."""
        return bool(self.record and self.record.shard)

    def _tell(self, stage: str) -> None:
        """Print the objects that were left out, each once."""
        for line in self.figures["errors"]:
            if line not in self._told:
                print(f"left out of {stage}: {line}", file=sys.stderr, flush=True)
        self._told |= set(self.figures["errors"])

    def _finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.errors = [line for lines in from_all_ranks(self.errors) for line in lines]
        problems = data_of(trainer, EvaluationData).problems if stage == "test" else []
        self.figures = {"objects": 0, "errors": sorted({*problems, *self.errors})}
        self.figures |= self.interactions.compute()
        finishes = stage == "test" and self.figures["objects"] and not self._is_part()
        # of an evaluation that is whole now evaluate.py tells, at its end
        if trainer.is_global_zero and not finishes:
            self._tell(stage)
        if not self.figures["objects"]:
            return
        whole = stage == "test" and plays_all(trainer.limit_test_batches)
        if whole and self.record and not self._is_part():
            missing = len(self.record.names) - self.figures["objects"] - len(set(self.errors))
            if missing > 0:  # another job was still writing them when this one began
                self.figures["errors"].append(
                    f"{missing} objects were not played; the same command plays them"
                )
        numbers = {key: float(v) for key, v in self.figures.items() if isinstance(v, (int, float))}
        pl_module.log_dict(
            {f"{stage}/{key}": v for key, v in numbers.items() if key != "objects"},
            rank_zero_only=True,
        )


def record_of(trainer: Trainer) -> EvaluationRecord:
    """Give the record of an evaluation; a test without evaluate.py is told by its objects alone."""
    data = data_of(trainer, EvaluationData)
    return data.record or EvaluationRecord(Path(trainer.default_root_dir), {}, data.names("test"))


def check_played(batch: ClickBatch) -> None:
    """Raise `InputError` for a batch whose objects nobody has played."""
    if len(batch["id"]) and "outcome" not in batch:
        raise InputError(
            "no callback plays the clicks, and there is nothing to count; "
            "leave callbacks.loop as it is"
        )
