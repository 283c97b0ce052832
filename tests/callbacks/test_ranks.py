"""Two ranks against one process: training, resume, evaluation."""

import json
from shutil import copytree

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from callbacks.report import Report
from callbacks.user_loop import UserLoop
from interseg.inference.predictor import InferenceOptions
from interseg.inference.refiners import refiner_of
from tests.helpers.click_runs import (
    EPOCHS,
    STEPS,
    assert_same_training,
    data,
    interrupted,
    module,
    selection_and_refinement,
    trainer,
    two_phases,
)
from tests.helpers.drawing import draw, write
from tests.helpers.training import Kill, assert_equal, last, memory


class KeepMemory(Callback):
    """Leaves every rank's memory in a file."""

    def on_train_end(self, trainer, pl_module):
        loop = next(c for c in trainer.callbacks if isinstance(c, UserLoop))
        torch.save(loop.state_dict(), f"{trainer.default_root_dir}/memory{trainer.global_rank}.pt")


def trained(root, source, devices, method):
    """Three epochs in batches of four objects, in float64, shared among processes."""
    learner = method()  # before the Trainer, whose seed the ranks have in common
    fit = trainer(root, KeepMemory(), devices=devices, every=None, precision="64-true")
    fit.fit(learner, data(source, batch_size=4 // devices))
    return last(root)


@pytest.mark.parametrize(
    "method",
    [lambda: module(dropout=0.0), two_phases, selection_and_refinement],
    ids=["itis", "brs", "two_in_one"],
)
def test_two_ranks_learn_what_one_does_and_remember_the_same_clicks(photos, tmp_path, method):
    one, two = (trained(tmp_path / str(devices), photos, devices, method) for devices in (1, 2))
    assert one["global_step"] == two["global_step"] == EPOCHS * STEPS
    for name, weights in one["state_dict"].items():
        assert torch.allclose(weights, two["state_dict"][name], atol=1e-5), name
    ranks = [torch.load(tmp_path / "2" / f"memory{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert len(ranks[0]["ids"]) == 10
    assert_equal(ranks[0], ranks[1])
    assert_equal(ranks[0], memory(one))


def test_two_ranks_resume_with_equal_weights_and_clicks(photos, tmp_path):
    options = {"devices": 2, "batch_size": 2}
    trainer(tmp_path / "whole", devices=2).fit(module(), data(photos, batch_size=2))
    resumed = interrupted(tmp_path / "cut", photos, Kill(3, True), **options)
    assert_same_training(last(tmp_path / "whole"), resumed)


@pytest.mark.parametrize(("objects", "refiner"), [(7, None), (4, "f_brs_b")])
def test_two_ranks_evaluate_what_one_does(photos, tmp_path, objects, refiner):
    source = copytree(photos, tmp_path / "folder")
    for name in {7: ["3.png"], 4: ["0.png", "1.png", "2.png"]}[objects]:
        (source / "images" / name).unlink()
        (source / "masks" / name).unlink()
    if objects == 7:  # an odd number: the ranks finish at different times
        _, ids = draw(0)
        write(source / "masks" / "0.png", np.where(ids == 2, 0, ids))
    written = []
    for devices in (1, 2):
        root = tmp_path / str(devices)
        method = module(inference=InferenceOptions(refiner_of(refiner)))
        trainer(root, devices=devices, precision="64-true").test(
            method, data(source), verbose=False
        )
        written.append((root / "objects.csv").read_text())
    assert written[0] == written[1]
    assert len(written[0].splitlines()) == 1 + objects


@pytest.mark.parametrize(
    "broken", [False, True], ids=["fewer objects than ranks", "a rank without a readable one"]
)
def test_a_rank_that_has_nothing_to_tell_holds_up_no_other(tmp_path, broken):
    for i in range(1 + broken):
        image, ids = draw(i, objects=1)
        write(tmp_path / "folder" / "images" / f"{i}.png", image)
        write(tmp_path / "folder" / "masks" / f"{i}.png", ids)
    if broken:
        objects = data(tmp_path / "folder").objects("test")
        (tmp_path / "folder" / "images" / "1.png").write_bytes(
            (tmp_path / "folder" / "images" / "1.png").read_bytes()[:200]
        )
        assert len(objects) == 2
    written = []
    for devices in (1, 2):
        root = tmp_path / str(devices)
        pages = [Report()] if devices == 2 else []
        trainer(root, *pages, devices=devices, precision="64-true").test(
            module(), data(tmp_path / "folder"), verbose=False
        )
        report = json.loads((root / "report.json").read_text())
        assert (report["objects"], len(report["errors"])) == (1, int(broken))
        written.append((root / "objects.csv").read_text())
    assert written[0] == written[1]
