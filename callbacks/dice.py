"""Dice of a stream of volumes: of every round, and after volumes of the held-out set and of the rest of the stream (algorithm 6)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from interseg.distributed import from_all_ranks
from interseg.errors import InputError
from interseg.files import write_table, write_whole
from interseg.volumes.measures import dice, touched_slices


class VolumeDice(Callback):
    """Writes `dice.csv` (a row a round and a volume) and `dice.json` (mean, std, min and max, over permutations).

    Offline training is measured after its last epoch alone; a volume that is learned by itself leaves nothing to measure on others, nor
    do held-out volumes that are learned.

    Args:
        every: volumes learned between two evaluations; the last of a permutation is always followed by one.
        unseen: also evaluate the volumes of the stream that are not learned yet.
    """

    def __init__(self, every: int = 10, unseen: bool = True) -> None:
        if every < 1:
            raise InputError(f"every={every}; give the volumes between two evaluations, 1 or more")
        self.every, self.unseen = every, unseen
        self.rows: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], batch_idx: int) -> None:
        """Measure a round, and after some volumes the others."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        offline = pl_module.start_anew == "never"
        if offline and trainer.current_epoch + 1 != trainer.max_epochs:
            return
        truth = batch["mask"][0].cpu().numpy().astype(bool)
        answer, proxy = outputs["probabilities"][0, 0].cpu().numpy() > 0.5, batch["proxy"]
        place = {"permutation": batch["sequence"], "seen": batch["task"] + 1, "volume": int(batch["id"]), "round": batch["round"]}
        values = {"dice": dice(answer, truth), "proxy": dice(proxy, truth), "agreement": dice(answer, proxy), "labour": batch["labour"]}
        values["slices"] = sum(len(numbers) for numbers in batch["labelled"].values())
        values["touched"] = sum(touched_slices(truth)[axis] for axis in batch["labelled"])
        self.rows.append(place | {"kind": "round"} | values)
        if not batch["last_round"]:
            return
        order = data.order(batch["sequence"])
        last = batch["task"] + 1 == len(order)
        if last or (not offline and (batch["task"] + 1) % self.every == 0):
            unseen = sorted({*data.streamed()} - {*order[: batch["task"] + 1]})
            sets = {"held_out": data.split()[0], "unseen": unseen if self.unseen else []}
            if pl_module.start_anew == "volume":
                sets = {}
            elif data.learn_from == "held_out":
                sets.pop("held_out")
            for kind, indices in sets.items():
                rows = self._evaluate(trainer, pl_module, data, indices, place | {"kind": kind})
                if rows:
                    pl_module.log(f"dice/{kind}", float(np.mean([row["dice"] for row in rows])))
                self.rows += rows
        if last and trainer.is_global_zero:
            self._write(Path(trainer.default_root_dir))

    def _evaluate(self, trainer: Trainer, module: Any, data: Any, indices: list[int], place: dict[str, Any]) -> list[dict[str, Any]]:
        """A row for each volume, answered by the ranks in turns."""
        rows = []
        for number in range(trainer.global_rank, len(indices), trainer.world_size):
            batch = data.one(indices[number])
            with trainer.precision_plugin.forward_context():  # Lightning enters it for steps, not for hooks
                answer = module.predict(batch["volume"].to(module.device))[0, 0].cpu().numpy() > 0.5
            rows.append(place | {"volume": indices[number], "dice": dice(answer, batch["mask"][0].numpy().astype(bool))})
        return sorted((row for part in from_all_ranks(rows) for row in part), key=lambda row: row["volume"])

    def _write(self, folder: Path) -> None:
        columns = ["permutation", "seen", "volume", "round", "kind", "dice", "proxy", "agreement", "labour", "slices", "touched"]
        write_table(folder / "dice.csv", columns, self.rows)
        write_whole(folder / "dice.json", json.dumps(self.figures(), indent=1))

    def figures(self) -> dict[str, Any]:
        """Of the held-out set and the rest, by volumes seen: mean, std, min and max of volumes, each as mean and std over permutations.

        `rounds` has the means of each round over volumes: Dice of answer and truth, proxy and truth, answer and proxy, and labour.
        """
        found: dict[str, Any] = {}
        for kind in ("held_out", "unseen"):
            rows = [row for row in self.rows if row["kind"] == kind]
            found[kind] = {}
            for seen in sorted({row["seen"] for row in rows}):
                now = [row for row in rows if row["seen"] == seen]
                groups = [[row["dice"] for row in now if row["permutation"] == p] for p in sorted({row["permutation"] for row in now})]
                table = torch.tensor([[np.mean(g), np.std(g), np.min(g), np.max(g)] for g in groups], dtype=torch.float64)
                found[kind][str(seen)] = {
                    name: {"mean": float(column.mean()), "std": float(column.std()) if len(column) > 1 else 0.0}
                    for name, column in zip(("mean", "std", "min", "max"), table.T, strict=True)
                }
        rounds = [row for row in self.rows if row["kind"] == "round"]
        numbers = sorted({row["round"] for row in rounds})
        names = ("dice", "proxy", "agreement", "labour")
        found["rounds"] = [{name: float(np.mean([row[name] for row in rounds if row["round"] == n])) for name in names} for n in numbers]
        return found

    def state_dict(self) -> dict[str, Any]:
        """All rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self.rows = state_dict["rows"]
