"""Finished evaluations, written as files."""

import csv
import json

import numpy as np
from omegaconf import OmegaConf

from interseg.evaluation.comparison import Evaluation


def evaluation(folder, curves, seed=0, names=None, **config):
    """A finished evaluation's files, as callbacks/noc.py writes them."""
    folder.mkdir()
    noc = [int(np.argmax(np.array(c) >= 0.85)) + 1 if max(c) >= 0.85 else len(c) for c in curves]
    (folder / "report.json").write_text(json.dumps({"noc@85": float(np.mean(noc)), "auc": 0.5}))
    OmegaConf.save(
        OmegaConf.create({"name": "x", "run": str(folder), "seed": seed} | config),
        folder / "config.yaml",
    )
    with (folder / "objects.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["id", "name", "noc@85", *(f"iou@{k + 1}" for k in range(len(curves[0]))), "clicks"]
        )
        for i, curve in reversed(list(enumerate(curves))):
            writer.writerow(
                [i, (names or "abcdefgh")[i], noc[i], *curve, "3:4:1 5:6:0 7:8:1:boundary"]
            )
    return Evaluation(folder)
