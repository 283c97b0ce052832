"""Resumes by command: what a run goes on with, and what its table and its checkpoints keep."""

import shutil

import torch

from configs import load, resolve
from configs.loggers import csv_logger
from configs.run import trainer
from tests.helpers.commands import CROP, called, refused, succeeded, tiny
from tests.helpers.drawing import draw_folder


def test_a_run_goes_on_with_its_own_objects_and_from_a_state_of_training(tmp_path):
    folder, more = tmp_path / "run", draw_folder(tmp_path / "data", 2)
    config = ["--config", "small.yaml", "--config", "data/folder.yaml", *tiny("small.yaml")]
    line = [*config, f"loading.augment={CROP[0]}", f"data.root={more}", f"run={folder}"]
    succeeded(called("train.py", *line, "trainer.max_epochs=1"))
    line.append("trainer.max_epochs=2")
    weights = tmp_path / "weights.ckpt"
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({key: content[key] for key in ("state_dict", "config")}, weights)
    ways = f"start from it by weights={weights}"
    other = [*line, f"run={tmp_path / 'other'}", f"checkpoint={weights}"]
    refused(called("train.py", *other), "holds weights alone", ways)
    for kind in ("images", "masks"):
        shutil.copy(more / kind / "0.png", more / kind / "00.png")
    refused(called("train.py", *line, "checkpoint=last"), "was trained on other files than there")
    for kind in ("images", "masks"):
        (more / kind / "00.png").unlink()
    succeeded(called("train.py", *line, "checkpoint=last"))


def test_a_table_of_metrics_goes_on_behind_the_steps_of_its_checkpoint(tmp_path):
    """Two batches a step: the checkpoint is of the second step, four more batches were trained."""
    rows = ["0,0,3", "0,1,2", "0,2,1", "0,3,1", "0,4,1"]
    for steps, kept in ((2, 2), (0, 4)):  # a method of its own steps is numbered by batches
        step = {"optimizer": {"step": {"total": {"completed": steps}}}}
        loop = {
            "epoch_loop.batch_progress": {"total": {"ready": 4}},
            "epoch_loop.automatic_optimization.optim_progress": step,
        }
        torch.save({"loops": {"fit_loop": loop}, "state_dict": {}}, tmp_path / "last.ckpt")
        (tmp_path / "metrics.csv").write_text("\n".join(["epoch,step,loss", *rows, ""]))
        csv_logger(tmp_path, tmp_path / "last.ckpt")
        assert (tmp_path / "metrics.csv").read_text().split()[1:] == rows[:kept]


def test_what_callbacks_keep_at_an_epochs_end_is_in_its_checkpoint(tmp_path):
    monitors = {"best": "ModelCheckpoint", "stop": "EarlyStopping"}
    more = []
    for name, target in monitors.items():
        more.append(f"callbacks.{name}._target_=pytorch_lightning.callbacks.{target}")
        more.append(f"callbacks.{name}.monitor=val/noc@85")
    config = resolve(load(["small.yaml", "data/samples.yaml"], [*more, *tiny("small.yaml")]))
    for resumed in (None, tmp_path / "last.ckpt"):
        made = trainer(config, tmp_path, [], resumed)
        kinds = [type(callback).__name__ for callback in made.callbacks]
        assert kinds[-3:] == ["ModelCheckpoint", "LastCheckpoint", "Requeue"]
        # behind a validation that is not repeated there is no figure to look at
        assert made.callbacks[kinds.index("EarlyStopping")].strict == (resumed is None)
