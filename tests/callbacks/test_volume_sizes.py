"""Volumes of any size: answers have it, whatever the network is made for, and memory is bounded."""

import os

import pytest
import torch

from configs import build, load, resolve
from interseg.volumes.measures import (
    step_confidence,
)
from tests.helpers.volume_streams import data, method, rows, trainer
from tests.helpers.volumes import draw_volumes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"))


def test_the_answer_has_the_volumes_size_whatever_the_networks_stride():
    module = method()
    assert module.predict({"volume": torch.rand(1, 1, 5, 9, 11)}).shape == (1, 1, 5, 9, 11)
    with pytest.raises(ValueError, match="no 'volume'"):
        module.segment({})


def test_a_volume_thinner_than_the_strides_of_the_configured_network_is_answered():
    config = resolve(load(["dynamic3d.yaml"]))
    assert build(config["model"]).predict({"volume": torch.rand(1, 1, 5, 7, 8)}).shape == (
        1,
        1,
        5,
        7,
        8,
    )


def test_a_network_of_another_size_answers_at_the_volumes_resolution(folder, tmp_path):
    learner = method(size=(4, 8, 8))
    trainer(tmp_path, epochs=1).fit(learner, data(folder, sequences=1))
    assert {tuple(part.shape) for sample in learner.replay.samples for part in sample} == {
        (1, 1, 4, 8, 8)
    }
    assert learner.predict({"volume": torch.rand(1, 1, 8, 16, 14)}).shape == (1, 1, 8, 16, 14)
    assert len(rows(tmp_path)) > 6


def test_a_smaller_network_loses_no_labelled_slice():
    learner = method(size=(4, 20, 5))  # smaller by 2.5, as large, larger
    for number in range(10):
        weights = torch.from_numpy(step_confidence((10, 20, 3), {0: [number]})).float()[None, None]
        shown = learner._show(weights)
        assert shown.shape == (1, 1, 4, 20, 5)
        assert shown.amax() > 2
    assert torch.allclose(learner._show(torch.full((1, 1, 10, 20, 3), 7.0)), torch.tensor(7.0))


NATIVE = """
import re, sys
from pathlib import Path
import numpy as np, SimpleITK, torch
from configs import build, load, resolve
from tests.helpers.volume_streams import trainer

torch.set_num_threads(1)
root = Path(sys.argv[1])
grid = np.indices((155, 240, 240), dtype=np.float32)
for i in range(2):
    parts = zip(grid, (70 + 9 * i, 110, 130), (30, 40, 50), strict=True)
    target = sum(((g - c) / r) ** 2 for g, c, r in parts) < 1
    image = np.random.default_rng(i).normal(size=target.shape).astype(np.float32) + 3 * target
    for name, pixels in (("images", image), ("labels", target.astype(np.uint8))):
        (root / name).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(root / name / f"{i}.nii"))
given = ["data.size=null", "data.crop=none", "model.size=[32,48,48]", "data.held_out=1"]
given += ["protocol.rounds=1", "protocol.sequences=1"]
given += ["model.steps=2"]  # more take no more memory
given += ["callbacks.loop.registration=copy"]  # of one slice after the other, whatever it is
given += [f"data.root={root}", f"data.cache={root}/cache"]
config = resolve(load(["dynamic3d.yaml", "data/volume_folder.yaml"], given))
loop, report = (build(config["callbacks"][name]) for name in ("loop", "report"))
source = build(config["data"])
trainer(root, report, epochs=1, loop=loop).fit(build(config["model"]), source)
assert source.one(0)["mask"].shape == (1, 155, 240, 240)
# ru_maxrss would hold the memory of the process that started this one
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print((root / "dice.csv").read_text(), peak)
"""


def test_a_brain_at_its_own_resolution_takes_less_than_three_gigabytes(forks, tmp_path):
    script = tmp_path / "native.py"
    script.write_text(NATIVE)
    done = forks.run(script, [tmp_path], os.environ)
    assert done.returncode == 0, done.stderr
    _, *table, peak = done.stdout.split()
    assert sum(",round," in row for row in table) == 1
    assert sum(",held_out," in row for row in table) == 1
    assert int(peak) < 3e6, "kilobytes"
