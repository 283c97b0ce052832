"""Dice of a stream of volumes (algorithm 6).

Of every round, and after some volumes of the held-out set and of the rest of the stream.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.lookup import data_of, method_of
from interseg.batches import VolumeBatch
from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.files import write_table, write_whole
from interseg.volumes.measures import count_touched, dice
from interseg.volumes.slices import Mask
from interseg.volumes.stream import VolumeMethod, VolumeStream


class VolumeDice(Callback):
    """Writer of `dice.csv` and `dice.json`.

    The table has a row a round and a volume, the other file mean, std, min and max over
    permutations. Offline training is measured after its last epoch alone; a volume that is learned
    by itself leaves nothing to measure on others, nor do held-out volumes that are learned.

    Args:
        every: Volumes learned between two evaluations; the last of a permutation is always followed
            by one.
        unseen: Whether to evaluate the volumes of the stream that are not learned yet, too.
    """

    def __init__(self, every: int = 10, unseen: bool = True) -> None:
        if every < 1:
            raise InputError(f"every={every}; give the volumes between two evaluations, 1 or more")
        self.every, self.unseen = every, unseen
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: VolumeBatch,
        batch_idx: int,
    ) -> None:
        """Measure a round, and after some volumes the others."""
        method_of(pl_module, VolumeMethod)
        data = data_of(trainer, VolumeStream)
        offline = data.protocol.kind == "offline"
        if offline and trainer.current_epoch + 1 != trainer.max_epochs:
            return
        if offline and batch["task"] == batch["round"] == 0:
            self.rows = []  # of a training that had ended before, and goes on
        place = {
            "permutation": batch["sequence"],
            "seen": batch["task"] + 1,
            "volume": int(batch["id"]),
            "round": batch["round"],
        }
        answer = outputs["probabilities"][0, 0].cpu().numpy() > 0.5
        self.rows.append(place | {"kind": "round"} | round_figures(batch, answer))
        if not batch["last_round"]:
            return
        order = data.order(batch["sequence"])
        last = batch["task"] + 1 == len(order)
        if last or (not offline and (batch["task"] + 1) % self.every == 0):
            self._measure(trainer, self._sets(data, order[: batch["task"] + 1]), place)
        if last and trainer.is_global_zero:
            self._write(Path(trainer.default_root_dir))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell of an offline training that did not end with its last epoch, the measured one."""
        offline = data_of(trainer, VolumeStream).protocol.kind == "offline"
        if offline and not self.rows and trainer.is_global_zero:
            print(
                "note: the training ended before its last epoch, which is measured: no dice.json; "
                f"run={trainer.default_root_dir} checkpoint=last "
                f"trainer.max_epochs={trainer.current_epoch + 1} trainer.max_time=null "
                "trainer.max_steps=-1 trains one more and measures",
                flush=True,
            )

    def _sets(
        self,
        data: VolumeStream,
        seen: list[int],
    ) -> dict[str, list[int]]:
        """Return the sets to measure after some volumes of a permutation, by their kind."""
        if data.protocol.kind == "static":
            return {}
        unseen = sorted({*data.streamed()} - {*seen}) if self.unseen else []
        if data.protocol.volumes == "held_out":
            return {"unseen": unseen}
        return {"held_out": data.split()[0], "unseen": unseen}

    def _measure(
        self,
        trainer: Trainer,
        sets: dict[str, list[int]],
        place: dict[str, int],
    ) -> None:
        for kind, indices in sets.items():
            rows = self._evaluate(trainer, indices, place | {"kind": kind})
            if rows:
                mean = float(np.mean([row["dice"] for row in rows]))
                trainer.lightning_module.log(f"dice/{kind}", mean)
            self.rows += rows

    def _evaluate(
        self,
        trainer: Trainer,
        indices: list[int],
        place: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Return a row for each volume, answered by the ranks in turns."""
        module, data = trainer.lightning_module, data_of(trainer, VolumeStream)
        method = method_of(module, VolumeMethod)
        rows = []
        for number in range(trainer.global_rank, len(indices), trainer.world_size):
            batch = data.one(indices[number])
            with trainer.precision_plugin.forward_context():  # Lightning enters it for steps alone
                answer = method.predict(batch)[0, 0].cpu().numpy() > 0.5
            truth = batch["mask"][0].numpy().astype(bool)
            rows.append(place | {"volume": indices[number], "dice": dice(answer, truth)})
        gathered = [row for part in from_all_ranks(rows) for row in part]
        return sorted(gathered, key=lambda row: row["volume"])

    def _write(self, folder: Path) -> None:
        columns = ["permutation", "seen", "volume", "round", "kind", "dice", "proxy"]
        columns += ["agreement", "labour", "slices", "touched"]
        write_table(folder / "dice.csv", columns, self.rows)
        write_whole(folder / "dice.json", json.dumps(self.figures(), indent=1))

    def figures(self) -> dict[str, Any]:
        """Return figures of the held-out set and of the rest, by volumes seen, and of rounds.

        `held_out` and `unseen` have mean, std, min and max of volumes, each as mean and std over
        permutations. `rounds` has the means of each round over volumes: Dice of answer and truth,
        proxy and truth, answer and proxy, and labour.
        """
        kinds = ("held_out", "unseen")
        found: dict[str, Any] = {kind: self._by_volumes_seen(kind) for kind in kinds}
        rounds = [row for row in self.rows if row["kind"] == "round"]
        numbers = sorted({row["round"] for row in rounds})
        groups = [[row for row in rounds if row["round"] == number] for number in numbers]
        names = ("dice", "proxy", "agreement", "labour")
        found["rounds"] = []
        for group in groups:
            means = {name: float(np.mean([row[name] for row in group])) for name in names}
            found["rounds"].append(means)
        return found

    def _by_volumes_seen(self, kind: str) -> dict[str, Any]:
        found = {}
        rows = [row for row in self.rows if row["kind"] == kind]
        for seen in sorted({row["seen"] for row in rows}):
            groups: dict[int, list[float]] = {}
            for row in rows:
                if row["seen"] == seen:
                    groups.setdefault(row["permutation"], []).append(row["dice"])
            values = [groups[permutation] for permutation in sorted(groups)]
            table = [[np.mean(g), np.std(g), np.min(g), np.max(g)] for g in values]
            columns = torch.tensor(table, dtype=torch.float64).T
            found[str(seen)] = {
                name: {
                    "mean": float(column.mean()),
                    "std": float(column.std()) if len(column) > 1 else 0.0,
                }
                for name, column in zip(("mean", "std", "min", "max"), columns, strict=True)
            }
        return found

    def quality(self) -> list[float]:
        """Return the mean Dice of volumes after each round."""
        return [row["dice"] for row in self.figures()["rounds"]]

    def state_dict(self) -> dict[str, Any]:
        """Return all rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.rows = state_dict["rows"]


def round_figures(batch: VolumeBatch, answer: Mask) -> dict[str, Any]:
    """Return the columns of `dice.csv` that say how well a round's answer (D, H, W) is."""
    truth = batch["mask"][0].cpu().numpy().astype(bool)
    return {
        "dice": dice(answer, truth),
        "proxy": dice(batch["proxy"], truth),
        "agreement": dice(answer, batch["proxy"]),
        "labour": batch["labour"],
        "slices": sum(len(numbers) for numbers in batch["labelled"].values()),
        "touched": sum(count_touched(truth)[axis] for axis in batch["labelled"]),
    }
