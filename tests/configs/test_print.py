"""`--print`: the config that a command would build, and nothing done."""

from pathlib import Path

import pytest
import torch
import yaml

import train
from configs import Node, as_yaml, build, load, read, resolve
from configs.checkpoints import without_download
from configs.weights import start_model
from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder

FILES = ("--config", "small.yaml", "--config", "data/folder.yaml")
GIVEN = ("seed=7", "data.root=nowhere", "run=there", "loading.batch_size=3")


def printed(name: str, *words: str | Path, cwd: Path) -> Node:
    """Read what a command prints; it makes no file."""
    before = set(cwd.rglob("*"))
    result = called(name, *words, "--print", cwd=cwd)
    assert result.returncode == 0, result.stderr
    assert set(cwd.rglob("*")) == before
    return yaml.safe_load(result.stdout)


@pytest.mark.parametrize("name", ["train.py", "evaluate.py"])
def test_the_printed_config_is_resolved_and_gives_itself(name: str, tmp_path: Path) -> None:
    config = printed(name, *FILES, *GIVEN, cwd=tmp_path)
    assert "${" not in str(config)
    assert config["callbacks"]["loop"]["seed"] == config["data"]["loading"]["seed"] == 7
    assert config["data"]["loading"]["batch_size"] == 3
    file = tmp_path / "printed.yaml"
    file.write_text(yaml.safe_dump(config))
    assert printed(name, "--config", file, cwd=tmp_path) == config


def test_training_uses_the_printed_config(tmp_path: Path) -> None:
    tiny_run = (*GIVEN, f"data.root={draw_folder(tmp_path / 'data', 2)}", *tiny("small.yaml"))
    given = (*tiny_run, "trainer.max_epochs=1", f"loading.augment={CROP[0]}")
    config = printed("train.py", *FILES, *given, cwd=tmp_path)
    result = called("train.py", *FILES, *given, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert resolve(read(tmp_path / "there" / "config.yaml")) == config


def test_a_checkpoint_is_evaluated_without_fetching_the_weights_it_holds(tmp_path: Path) -> None:
    config = load(["small.yaml", "data/folder.yaml"])
    (tmp_path / "checkpoints").mkdir()
    content = {"state_dict": {}, "config": as_yaml(config)}
    torch.save(content, tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "config.yaml").write_text(as_yaml(config))
    shown = printed("evaluate.py", "--checkpoint", tmp_path, "max_clicks=2", cwd=tmp_path)
    assert config["model"]["network"]["pretrained"] == "package"
    assert shown["model"]["network"]["pretrained"] is None
    assert shown["callbacks"]["loop"]["max_clicks"] == 2
    assert len(shown["evaluated"]) == 64


def test_a_config_without_data_is_printed_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    assert printed("train.py", "--config", "small.yaml", cwd=tmp_path)["data"] is None
    assert printed("evaluate.py", cwd=tmp_path)["model"] is None
    result = called("train.py", *FILES, "max_clicks=many", "--print", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "max_clicks is 'many'" in result.stderr


@pytest.mark.parametrize("example", train.EXAMPLES)
def test_what_the_examples_of_training_name_can_be_built(example: str, tmp_path: Path) -> None:
    """Examples name RUN: a run of that name is made, of a network without layers."""
    (tmp_path / "RUN" / "checkpoints").mkdir(parents=True)
    content = {"state_dict": {}, "config": as_yaml(load(["small.yaml", "data/coco.yaml"]))}
    torch.save(content, tmp_path / "RUN" / "checkpoints" / "last.ckpt")
    config = printed("train.py", *example.split(), cwd=tmp_path)
    without_download(config["model"])
    if "weights=RUN" in example:
        config["weights"] = None
    model, _ = start_model(config, [])
    assert model.outputs == 1
    callbacks = build(config["callbacks"], [], "callbacks")
    assert not [name for name, made in callbacks.items() if isinstance(made, dict)]
