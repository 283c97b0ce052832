"""Every YAML of the task streams is pretrained and learned by the command itself, on tiny data."""

import csv
import json
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb

import train
from interseg.errors import InputError
from tests.helpers.drawing import draw_classes
from tests.helpers.streams import TASKS
from tests.helpers.wandb_records import records

ROOT = Path(__file__).parent.parent.parent
METHODS = {"clis": [], "naive": ["clis/naive.yaml"], "none": ["clis/naive.yaml", "clis/none.yaml"]}
METHODS |= {name: [f"clis/{name}.yaml"] for name in ("lwf", "ewc", "packnet")}
METHODS["lwf"].append("clis/small.yaml")
METHODS |= {name: ["clis/naive.yaml", f"clis/{name}.yaml"] for name in ("clicks", "scribbles")}
METHODS |= {name: [f"clis/{name}.yaml"] for name in ("variational", "isolated")}
OWN = ("naive", "variational")
"""Methods whose own pretraining is played; the others begin with CLIS'."""
SHOWN = ("clis", "scribbles")
"""Methods whose page is written: with gates, and without."""
BASELINES = {f"clis/{name}.yaml" for name in ("naive", "lwf", "ewc", "packnet")}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_classes(tmp_path_factory.mktemp("classes"))


def fit(files, root, folder, *overrides):
    line = [
        part
        for file in ("clis.yaml", *files, "data/class_folder.yaml")
        for part in ("--config", file)
    ]
    steps = [*TASKS, f"data.root={root}", f"run={folder}", "loading.augment=[]", *overrides]
    if "model.steps=0" not in overrides and "clis/none.yaml" not in files:
        steps.append("model.steps=2")
    if not BASELINES & {*files}:
        steps.append("model.samples=2")
    if "clis/isolated.yaml" in files:
        steps.append("model.network.spare=3")  # a kernel for each task
    if "clis/packnet.yaml" in files:
        steps.append("model.relearn_pretraining=2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *line, *steps])
        train.main()


@pytest.fixture(scope="module")
def pretrained(root, tmp_path_factory):
    runs = {}
    for name in ("clis", *OWN):
        runs[name] = tmp_path_factory.mktemp(name)
        fit(METHODS[name], root, runs[name], "trainer.max_epochs=2")
    return runs


@pytest.fixture(scope="module")
def played(root, pretrained, tmp_path_factory):
    """The folder of a method's sequence, played when it is first asked for; CLIS' has a dashboard.

    Its page is written where it is looked at.
    """

    @cache
    def play(name):
        folder = tmp_path_factory.mktemp(name)
        checkpoint = pretrained[name if name in OWN else "clis"] / "checkpoints" / "last.ckpt"
        stage = [f"model.pretrained={checkpoint}", "protocol.sequence=1"]
        stage += [] if name in SHOWN else ["callbacks.report=null"]
        stage += ["logger=wandb"] if name == "clis" else []
        fit([*METHODS[name], "clis/tasks.yaml"], root, folder, *stage)
        return folder

    return play


@pytest.mark.parametrize("name", METHODS)
def test_every_method_plays_its_sequences(name, played):
    folder = played(name)
    figures = json.loads((folder / "transfer.json").read_text())
    assert list(figures["sequences"]) == ["1"]
    assert 0 < figures["mean"]["backward"] < 1
    if name in SHOWN:
        page = (folder / "tasks.html").read_text()
        assert page.count("<h2>Task") == 3
        assert page.count("data:image/png") == 1 + 3 * 2 + (3 if name == "clis" else 0)
        assert page.count("% of the pixels") == 3 * 2
        assert ("most like task 1" in page) == (name == "clis")
    assert "transfer/backward" in (folder / "metrics.csv").read_text().splitlines()[0]


@pytest.mark.parametrize("other", ["seed=1", "data.pretraining_images=3"])
def test_tasks_that_may_have_been_pretrained_on_are_refused(other, root, pretrained, tmp_path):
    start = f"model.pretrained={pretrained['clis'] / 'checkpoints' / 'last.ckpt'}"
    with pytest.raises(InputError, match=r"was pretrained on \d of the \d images that tasks"):
        fit(["clis/tasks.yaml"], root, tmp_path / "run", start, other)
    assert not (tmp_path / "run").exists()
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(InputError, match=r"was pretrained on \d of the \d images that tasks"):
        fit(["clis/tasks.yaml"], tmp_path / "link", tmp_path / "run", start, other)


def test_images_that_came_since_the_pretraining_make_no_task_of_its_own(root, pretrained, tmp_path):
    start = f"model.pretrained={pretrained['clis'] / 'checkpoints' / 'last.ckpt'}"
    more = shutil.copytree(root, tmp_path / "more")
    config = (pretrained["clis"] / "config.yaml").read_text()
    assert str(root) in config
    moved = shutil.copytree(pretrained["clis"], tmp_path / "run")
    content = torch.load(moved / "checkpoints" / "last.ckpt", weights_only=True)
    content["config"] = config.replace(str(root), str(more))
    torch.save(content, moved / "checkpoints" / "last.ckpt")
    start = f"model.pretrained={moved / 'checkpoints' / 'last.ckpt'}"
    for kind in ("images", "masks"):
        for number in range(5):
            shutil.copy(next((more / kind).iterdir()), more / kind / f"00{number}.png")
    with pytest.raises(InputError, match=r"was pretrained on .*and the files that were there"):
        fit(["clis/tasks.yaml"], more, tmp_path / "tasks", start)


def test_a_sequence_goes_on_with_its_own_protocol_data_and_pretraining(root, pretrained, tmp_path):
    first = shutil.copytree(pretrained["clis"], tmp_path / "first") / "checkpoints" / "last.ckpt"
    run, stage = tmp_path / "run", ["clis/none.yaml", "clis/tasks.yaml"]
    options = [f"model.pretrained={first}", "callbacks.report=null", "protocol.sequences=2"]
    fit(stage, root, run, *options, "trainer.max_epochs=1")
    learned = run / "checkpoints" / "last.ckpt"
    for other, words in (
        ("data.length=2", "data.length: 3 -> 2"),
        ("protocol.rounds=1", "protocol.rounds: 2 -> 1"),
    ):
        with pytest.raises(InputError, match=f"another part of the data .*{words}"):
            fit(stage, root, run, *options, "checkpoint=last", other)
    with pytest.raises(InputError, match="of a run that has learned tasks"):
        fit(stage, root, tmp_path / "again", f"model.pretrained={learned}")
    content = torch.load(first, weights_only=True)
    torch.save(content | {"epoch": 9}, first)
    with pytest.raises(InputError, match=r"began with .*its next sequences would begin with other"):
        fit(stage, root, run, *options, "checkpoint=last")


def test_a_stream_shows_its_rounds_and_its_matrix_on_the_dashboard(played):
    folder = played("clis")
    wandb.teardown()  # its process writes the last records when it ends
    kept, _ = records(folder)
    figures = json.loads((folder / "transfer.json").read_text())
    assert kept["transfer/backward"] == pytest.approx(figures["mean"]["backward"])
    assert (
        kept["tables/transfer/nrows"] == len((folder / "transfer.csv").read_text().splitlines()) - 1
    )
    with (folder / "transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    for key, kind in (("quality/first", "round 0"), ("quality/last", "round 1")):
        assert kept[key] == pytest.approx(
            np.mean([float(row["basic"]) for row in rows if row["kind"] == kind])
        )
    matrix = json.loads(
        next(folder.glob("wandb/offline-run-*/files/media/table/tables/matrix*.json")).read_text()
    )["data"]
    answers = {
        (row["task"], row["image"]): float(row["basic"]) for row in rows if row["kind"] == "answer"
    }
    assert {
        (str(line[0] - 1), str(i)): value for line in matrix for i, value in enumerate(line[1:])
    } == pytest.approx(answers)
    assert (
        kept["pictures/rounds/count"]
        == len(list(folder.glob("wandb/offline-run-*/files/media/images/pictures/rounds*")))
        == 6
    )
