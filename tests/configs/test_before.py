"""A checkpoint whose config names classes where they were before interseg/ had folders.

`before_the_wings.ckpt` was trained by the code of then: a convolution in `convert.yaml`, on two
images, with zoom-in, BRS and the cluster user.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from configs import Node, find, load, locate, resolve
from configs.checkpoints import trained_config
from configs.resuming import check_part
from configs.targets import MOVED
from interseg.checkpoints import read_checkpoint
from interseg.errors import InputError
from tests.helpers.commands import called
from tests.helpers.drawing import draw, draw_folder

FILE = Path(__file__).parent / "before_the_wings.ckpt"
MOVES = {
    "interseg.refiners.BRS": "interseg.inference.refiners.BRSRefiner",
    "interseg.predict.ZoomIn": "interseg.inference.zoom.ZoomIn",
    "interseg.clicks.InitialClicks": "interseg.clicks.initial.InitialClicks",
    "interseg.users.ClusterUser": "interseg.clicks.users.ClusterUser",
}
"""Old paths in the checkpoint, and what they are now."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The checkpoint's run as train.py leaves one."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(FILE, folder / "checkpoints" / "last.ckpt")
    (folder / "config.yaml").write_text(read_checkpoint(FILE)["config"])
    return folder


def targets(node: object) -> set[str]:
    """Collect the import paths in a config."""
    if isinstance(node, list):
        return {path for item in node for path in targets(item)}
    if not isinstance(node, dict):
        return set()
    found = {path for item in node.values() for path in targets(item)}
    return found | ({node["_target_"]} if "_target_" in node else set())


def test_classes_are_found_where_they_are_now(run: Path) -> None:
    named = targets(trained_config(run / "checkpoints" / "last.ckpt"))
    assert {path for path in named if path.rpartition(".")[0] in MOVED} == set(MOVES)
    for old, new in MOVES.items():
        assert find(old) is locate(new)
    assert {locate(path).__name__ for path in named} >= {"ConvertedNetwork", "FolderDataModule"}


NAMES = {
    "interseg.annotations": "StrokeUser",
    "interseg.boundary": "BoundaryUser",
    "interseg.clicks": "InitialClicks",
    "interseg.guidance": "DiskGuidance",
    "interseg.medoids": "MedoidClicks",
    "interseg.predict": "ZoomIn",
    "interseg.refine": "Refiner",
    "interseg.refiners": "FeatureRefiner",
    "interseg.superpixels": "SuperpixelUser",
    "interseg.users": "RitmUser",
    "interseg.volumes": "SliceUser",
}
"""A class of each module that has moved."""


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_every_moved_module_is_there(old: str, new: str) -> None:
    assert find(f"{old}.{NAMES[old]}") is locate(f"{new}.{NAMES[old]}")


@pytest.mark.parametrize("key", ["model.previous_mask", "callbacks.loop.previous_mask"])
def test_a_key_that_another_implies_is_read_in_checkpoints_and_refused_in_commands(
    key: str, tmp_path: Path
) -> None:
    given = load(["small.yaml", "itis/mask.yaml"])
    node, (*parts, last) = given, key.split(".")
    for part in parts:
        node = node[part]
    node[last] = True
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "config": yaml.safe_dump(given)}, file)
    assert trained_config(file) == load(["small.yaml", "itis/mask.yaml"])
    assert resolve(given) == resolve(load(["small.yaml", "itis/mask.yaml"])), "an evaluation's"
    with pytest.raises(InputError, match=rf"{key} is of an earlier version; give model\.network"):
        load(["small.yaml"], [f"{key}=true"])


@pytest.mark.parametrize(
    ("old", "new"), [("imagenet", "hub"), ("package", "package"), (None, None)]
)
def test_the_encoders_weights_are_read_by_their_old_name_and_refused_in_commands(
    old: str | None, new: str | None, tmp_path: Path
) -> None:
    given = load(["small.yaml", "itis/mask.yaml"])
    del given["model"]["network"]["pretrained"]
    given["model"]["network"]["weights"] = old
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "config": yaml.safe_dump(given)}, file)
    now = load(["small.yaml", "itis/mask.yaml"])
    now["model"]["network"]["pretrained"] = new
    assert trained_config(file) == now
    assert resolve(given) == resolve(now), "an evaluation's"
    with pytest.raises(InputError, match=r"network\.weights is of an earlier version; give model"):
        load(["small.yaml"], [f"model.network.weights={old}"])


def split_of(config: Node) -> tuple[int, str]:
    return config["data"]["split_seed"], config["data"]["split_by"]


def test_data_whose_split_was_drawn_by_the_runs_seed_keep_it(tmp_path: Path) -> None:
    given = load(["small.yaml", "data/folder.yaml"], ["seed=3", "data.split=[0.8,0.2]"])
    file = tmp_path / "run" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "config": yaml.safe_dump(given)}, file)
    assert split_of(trained_config(file)) == (0, "names"), "of today"
    del given["data"]["split_seed"], given["data"]["split_by"]
    torch.save({"state_dict": {}, "config": yaml.safe_dump(given)}, file)
    assert split_of(trained_config(file)) == (3, "numbers")
    again = load(["small.yaml", "data/folder.yaml"], ["seed=3", "data.split=[0.8,0.2]"])
    with pytest.raises(InputError, match=r"another part of the data \(split_seed: 3 -> 0\)"):
        check_part(file, yaml.safe_load(yaml.safe_dump(given)), again, ())


def test_parts_of_joined_data_have_their_own_split_seeds() -> None:
    part = "{_target_: datamodules.folder.FolderDataModule, root: x, split: [0.8, 0.2]}"
    data = load(["small.yaml", "data/joined.yaml"], [f"data.parts={{a: {part}}}"])["data"]
    assert data["parts"]["a"]["split_seed"] == 0


def test_it_is_evaluated_on_other_data(run: Path, tmp_path: Path) -> None:
    data = draw_folder(tmp_path / "data", 2)
    played = tmp_path / "played"
    line = ("--checkpoint", run, f"data.root={data}", "max_clicks=3", f"run={played}")
    result = called("evaluate.py", *line)
    assert result.returncode == 0, result.stderr
    report = json.loads((played / "report.json").read_text())
    assert report["objects"] == 4
    assert report["refinements"] > 0, "BRS of the old path"
    config = yaml.safe_load((played / "config.yaml").read_text())
    assert config["data"]["root"] == str(data)
    assert config["callbacks"]["loop"]["user"]["_target_"] == "interseg.users.ClusterUser"


@pytest.mark.parametrize("everywhere", [False, True])
def test_its_own_weights_are_evaluated(everywhere: bool, run: Path, tmp_path: Path) -> None:
    """With a bias that makes all of an image object, IoU is the object's share of the image."""
    data, file = draw_folder(tmp_path / "data", 2), run / "checkpoints" / "last.ckpt"
    if everywhere:
        content = torch.load(file, weights_only=True)
        content["state_dict"]["network.network.bias"].fill_(99)
        torch.save(content, file)
    plain = ("zoom=null", "refiner=null", "flip=false", "full_curves=true", "max_clicks=1")
    plain += ("callbacks.report=null",)
    line = ("--checkpoint", run, f"data.root={data}", f"run={tmp_path / 'played'}", *plain)
    assert called("evaluate.py", *line).returncode == 0
    iou = json.loads((tmp_path / "played" / "report.json").read_text())["miou@1"]
    shares = [(draw(image)[1] == number).mean() for image in (0, 1) for number in (1, 2)]
    assert (abs(iou - np.mean(shares)) < 1e-5) == everywhere


def merged(override: Node, tmp_path: Path) -> Node:
    """Merge a YAML over the checkpoint's config."""
    file = tmp_path / "over.yaml"
    file.write_text(yaml.safe_dump(override))
    return resolve(load([file], [], trained_config(FILE)))


@pytest.mark.parametrize(
    ("place", "target", "key", "value"),
    [
        ("zoom", "interseg.inference.zoom.ZoomIn", "long_side", 300),
        ("refiner", "interseg.inference.refiners.BRSRefiner", "weight", 2.0),
        ("loading.initial", "interseg.clicks.initial.InitialClicks", "margin", 9),
    ],
)
def test_a_key_over_a_moved_node_is_merged(
    place: str,
    target: str,
    key: str,
    value: float,
    tmp_path: Path,
) -> None:
    override: Node = {"_target_": target, key: value}
    before = trained_config(FILE)
    for part in reversed(place.split(".")):
        override = {part: override}
    after = merged(override, tmp_path)
    for part in place.split("."):
        before, after = before[part], after[part]
    assert before["_target_"] in MOVES
    assert len(before) > 1
    assert after == before | {"_target_": target, key: value}


def test_another_class_over_a_moved_node_replaces_it(tmp_path: Path) -> None:
    other = {"_target_": "interseg.inference.refiners.FeatureRefiner", "point": "a"}
    assert merged({"refiner": other}, tmp_path)["refiner"] == other
