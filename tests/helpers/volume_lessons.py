"""Lessons on volumes without a browser.

A tiny run, the training command's own rounds to compare with, and a person's requests.
"""

from pathlib import Path

import numpy as np
from pytorch_lightning import Callback, seed_everything

from annotate.teaching.volumes import VolumeLessons
from configs import build, load, resolve
from configs.folders import open_folder
from configs.run import build_model, trainer
from configs.teaching_volumes import open_volumes
from interseg.inference.model import Model
from tests.helpers.streams import VOLUMES
from tests.helpers.teaching import Pupil

SHAPE = (10, 14, 12)


def config_of(root: Path, *overrides: str) -> dict:
    """The training command's merged config, made tiny."""
    small = [
        "model.network.channels=[4,8,8,8]",
        f"data.root={root}",
        f"data.cache={root / 'cache'}",
        "data.size=null",
        "data.crop=none",
    ]
    small += [
        "protocol.rounds=2",
        "protocol.sequences=1",
        "trainer.max_epochs=1",
        "trainer.enable_model_summary=false",
        "callbacks.report=null",
    ]
    return load(
        ["dynamic3d.yaml", "data/volume_folder.yaml"],
        [*VOLUMES, *small, "callbacks.progress=null", *overrides],
    )


class Recorded(Callback):
    """Record of what a simulated user labelled in each round of a run, and what came of it."""

    def __init__(self):
        self.rounds = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        proxy = next(callback for callback in trainer.callbacks if hasattr(callback, "proxy")).proxy
        slices = {
            (axis, number): mask.copy()
            for axis, masks in proxy.slices.items()
            for number, mask in masks.items()
        }
        row = {
            "id": int(batch["id"]),
            "task": batch["task"],
            "round": batch["round"],
            "last": bool(batch["last_round"]),
            "slices": slices,
        }
        row |= {
            "refined": outputs["probabilities"][0, 0].clone(),
            "proxy": batch["proxy"].copy(),
            "met": batch["answer"],
        }
        self.rounds.append(row)


def fit(merged: dict, folder: Path, *callbacks: Callback) -> None:
    """Fit a config as train.py does."""
    config = resolve(merged)
    open_folder(folder, merged)
    data = build(config["data"])
    data.objects("train")
    seed_everything(config["seed"], verbose=False)
    fit = trainer(config, folder, [])
    fit.callbacks[1:1] = callbacks  # behind the loop
    fit.fit(build_model(config), data)


def lessons_of(
    run: Path, volumes: list[Path], out: Path, clicks: Model | None = None, *overrides: str
) -> VolumeLessons:
    """Lessons of a run."""
    return VolumeLessons(open_volumes(str(run), overrides, volumes, out, "cpu"), clicks)


class Labeller(Pupil):
    """A person's requests about a volume."""

    def draw(self, place, mask):
        """Label a slice by the mask to start from, or by the eraser where there is nothing on
        it.
        """
        from annotate.state import encode

        axis, number = place
        if mask.any():
            return self.act("start", axis=axis, number=number, runs={"1": encode(mask)})
        return self.act("stroke", axis=axis, number=number, points=[[0, 0]], radius=0.5, label=0)

    def guide(self):
        return self.get(f"/api/photos/{self.key}/guide")


def voxels(content: bytes, shape=SHAPE):
    """A volume as the page is given it."""
    return np.frombuffer(content, np.uint8).reshape(shape)
