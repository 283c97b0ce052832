"""Starts in a folder with files: refused, resumed, overwritten; a failed start leaves nothing."""

import json
import os
import shutil

import pytest
import torch
from omegaconf import OmegaConf

from configs import load, resolve
from configs.folders import claim, open_folder
from configs.run import build_model
from configs.starting import check_free, check_named, remove_results
from interseg.checkpoints import digest
from interseg.errors import InputError
from tests.helpers.commands import CLOSED, CROP, called, refused, succeeded, tiny
from tests.helpers.drawing import draw_folder

SMALL = ["--config", "small.yaml", "--config", "data/folder.yaml"]
PLAY = ["max_clicks=2", "callbacks.report=null", "logger=csv"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 2)


def training(data, run):
    steps = [f"loading.augment={CROP[0]}", "trainer.max_epochs=1"]
    return [*SMALL, *tiny("small.yaml"), *steps, f"data.root={data}", f"run={run}"]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    succeeded(called("train.py", *training(data, folder)))
    return folder


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


PHOTOS = ["--config", "small.yaml", "--config", "data/samples.yaml"]
FAILING = {
    "data of a training": ("train.py", [*SMALL, "data.root=nowhere"]),
    "a download for a training": ("train.py", ["--config", "itis.yaml", "data.root=no/where"]),
    "a download for an evaluation": ("evaluate.py", ["--config", "itis.yaml", "data.root=nowhere"]),
    "weights": ("train.py", [*PHOTOS, "weights=nowhere"]),
    "a model that is not named": (
        "train.py",
        ["--config", "finetune.yaml", "--config", "data/samples.yaml"],
    ),
    "a checkpoint": ("train.py", [*PHOTOS, "checkpoint=nowhere.ckpt"]),
    "a callback": (
        "train.py",
        [*PHOTOS, "callbacks.noc.targets=[0.8]", "callbacks.mine=${nowhere}"],
    ),
    "the logger of a training": ("train.py", [*PHOTOS, "logger=tensorboard"]),
    "the logger of an evaluation": ("evaluate.py", [*PHOTOS, "logger=tensorboard"]),
}


@pytest.mark.parametrize("given", [[], ["run=some/where"]], ids=["own", "given"])
@pytest.mark.parametrize("what", FAILING)
def test_a_start_that_fails_leaves_nothing(what, given, tmp_path, monkeypatch):
    for key, value in CLOSED.items():
        monkeypatch.setenv(key, value)
    name, words = FAILING[what]
    refused(called(name, *words, *given, cwd=tmp_path))
    assert files(tmp_path) == {}


def test_a_run_to_go_on_with_has_to_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv("INTERSEG_STAMP", raising=False)
    monkeypatch.chdir(tmp_path)
    config = {"checkpoint": "last", "run": None, "name": "small"}
    with pytest.raises(InputError, match=r"has to be named: run=FOLDER$"):
        check_named(config)
    for time, name in enumerate(("b", "a")):
        file = tmp_path / "runs" / "small" / name / "checkpoints" / "last.ckpt"
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (time, time))
    with pytest.raises(InputError, match=r"has to be named: run=runs/small/a is the newest$"):
        check_named(config)
    check_named(config | {"run": "mine"})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("ENVIRONMENT", "BATCH")
    check_named(config)  # the folder has the job's name


def test_a_folder_of_the_time_goes_with_a_start_that_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERSEG_STAMP", "")  # which own_folder sets
    monkeypatch.delenv("INTERSEG_STAMP")
    with pytest.raises(InputError):
        fail_in(None, tmp_path / "runs" / "x")
    assert files(tmp_path) == {}
    with claim(None, tmp_path / "runs" / "x", {}) as folder:
        open_folder(folder, {})
    assert files(tmp_path / "runs" / "x").keys() == {folder.name, f"{folder.name}/config.yaml"}


def fail_in(given, parent):
    """Start in a folder, where the trainer then cannot be built."""
    with claim(given, parent, {"name": "new"}) as folder:
        assert given or folder.is_dir()
        open_folder(folder, {"name": "new"})
        raise InputError("the trainer cannot be built")


def test_a_folder_that_was_there_is_put_back(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for before in (None, "name: old\n"):
        if before:
            (tmp_path / "config.yaml").write_text(before)
        kept = files(tmp_path)
        with pytest.raises(InputError):
            fail_in(str(tmp_path), tmp_path)
        assert files(tmp_path) == kept


def test_a_start_that_is_refused_does_not_touch_the_config(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("name: old\n")
    before = config.stat()
    with pytest.raises(InputError), claim(str(tmp_path), tmp_path, {"name": "new"}):
        raise InputError("holds a trained run")
    assert (config.stat().st_ino, config.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_trained_run_is_not_begun_again_unasked(run, data, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "notes.txt").write_text("mine")
    (folder / "checkpoints" / "mine.ckpt").write_text("mine")
    (folder / "dice.csv").write_text("of a run")
    before = files(folder)
    line = training(data, folder)
    refused(called("train.py", *line), "holds a trained run;", "checkpoint=last", "overwrite=true")
    refused(called("train.py", *line, "overwrite=true", "trainer.precision=16-true"), "16-true")
    refused(called("train.py", *line, "seed=3"), "another config (seed: 0 -> 3)")
    refused(called("train.py", *line, "overwrite=true", "checkpoint=last"), "give one of them")
    refused(called("train.py", *line, "overwrite=true", "logger=tensorboard"), "tensorboard")
    assert files(folder) == before
    goes_on = called("train.py", *line, "trainer.max_epochs=2", "checkpoint=last")
    succeeded(goes_on)
    assert state(folder)["epoch"] == 1
    succeeded(called("train.py", *line, "overwrite=true", "seed=3"))
    assert state(folder)["epoch"] == 0
    assert "overwrite: false" in (folder / "config.yaml").read_text(), "the next command does not"
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "checkpoints" / "mine.ckpt").read_text() == "mine"
    assert not (folder / "dice.csv").exists()
    steps = [line.split(",")[1] for line in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert len(steps) == len(set(steps)) == 1


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_job_that_is_queued_again_overwrites_nothing(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    for name in ("checkpoints/last.ckpt", "metrics.csv", "config.yaml"):
        (tmp_path / name).write_text("name: x")
    before, given = files(tmp_path), {"overwrite": True, "checkpoint": None}
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    check_free(tmp_path, given, {"name": "x"})
    remove_results(tmp_path)
    assert files(tmp_path) == before
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    remove_results(tmp_path)
    assert files(tmp_path).keys() == {"checkpoints", "config.yaml"}


@pytest.mark.parametrize("key", ["weights", "model.pretrained"])
def test_a_run_does_not_overwrite_the_weights_that_it_starts_from(tmp_path, key):
    own = str(tmp_path / "checkpoints" / "last.ckpt")
    given = {"weights": own} if key == "weights" else {"model": {"pretrained": own}}
    with pytest.raises(InputError, match=f"which {key} starts from"):
        check_free(tmp_path, {"overwrite": True, "checkpoint": None} | given, {})
    check_free(tmp_path / "other", {"overwrite": True, "checkpoint": None} | given, {})


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(run, data, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    config = (run / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace(str(run), str(folder)))
    error = refused(called("train.py", *training(data, folder), "seed=3"), "seed: 0 -> 3")
    assert "trained" not in error
    (folder / "metrics.csv").write_text("epoch,step\n9,9\n")
    succeeded(called("train.py", *training(data, folder)))
    assert state(folder)["epoch"] == 0
    assert "9,9" not in (folder / "metrics.csv").read_text()


def evaluate(run, folder, *more):
    return called("evaluate.py", "--checkpoint", run, f"run={folder}", *PLAY, *more)


def test_another_evaluations_folder_is_refused_with_what_differs(run, tmp_path):
    folder = tmp_path / "eval"
    succeeded(evaluate(run, folder))
    before = files(folder)
    for change, named in (
        (["max_clicks=3"], "max_clicks: 2 -> 3"),
        (["trainer.limit_test_batches=1"], "trainer.limit_test_batches: None -> 1"),
        (["--config", "users/cluster.yaml"], "callbacks.loop.user"),
    ):
        refused(evaluate(run, folder, *change), "holds another evaluation", named, "overwrite=true")
    assert files(folder) == before
    same = ["trainer.devices=1", "trainer.log_every_n_steps=3", "loading.eval_batch_size=1"]
    assert "going on" not in succeeded(evaluate(run, folder, *same)), "it is finished"
    succeeded(evaluate(run, folder, "max_clicks=3", "overwrite=true"))
    assert json.loads((folder / "report.json").read_text())["max_clicks"] == 3
    assert "overwrite: false" in (folder / "config.yaml").read_text()
    assert len(list(folder.glob("objects.*.jsonl"))) == 1


def test_an_evaluation_of_before_is_refused_in_its_old_form_and_replaced(run, tmp_path):
    folder = tmp_path / "eval"
    succeeded(evaluate(run, folder))
    report = json.loads((folder / "report.json").read_text())
    del report["fingerprint_played"]
    report["fingerprint"] = "0123456789ab"
    (folder / "report.json").write_text(json.dumps(report))
    (next(folder.glob("objects.*.jsonl"))).unlink()
    for line in ("", '{"id": [0], "curves": [[1.0]]}\n'):
        if line:
            (folder / "objects.0123456789ab.0.jsonl").write_text(line)
        refused(evaluate(run, folder), "of other objects, or of an earlier version")
    config = OmegaConf.load(folder / "config.yaml")
    config.weights, config.evaluated = config.evaluated, None  # as it was written then
    OmegaConf.save(config, folder / "config.yaml")
    refused(evaluate(run, folder), "evaluated: None -> ")
    succeeded(evaluate(run, folder, "overwrite=true"))
    assert json.loads((folder / "report.json").read_text())["objects"] == 4


def replace(file):
    """Write other weights under a checkpoint's path."""
    content = torch.load(file, weights_only=True)
    weights = content["state_dict"]
    other = {
        key: 1.01 * value if value.is_floating_point() else value for key, value in weights.items()
    }
    torch.save(content | {"state_dict": other}, file)


def test_a_checkpoint_that_is_replaced_under_its_path_is_another_evaluation(run, tmp_path):
    copied, folder = shutil.copytree(run, tmp_path / "run"), tmp_path / "eval"
    succeeded(evaluate(copied, folder))
    replace(copied / "checkpoints" / "last.ckpt")
    refused(evaluate(copied, folder), "evaluated: ")
    succeeded(evaluate(copied, folder, "overwrite=true"))


def test_a_file_that_a_config_names_is_known_by_its_content(data, tmp_path):
    file, folder = tmp_path / "selection.ckpt", tmp_path / "eval"
    method = ["--config", "two_in_one.yaml", "--config", "data/folder.yaml", f"data.root={data}"]
    line = [*method, *tiny("two_in_one.yaml"), *PLAY, f"run={folder}"]
    torch.save(
        {
            "state_dict": build_model(
                resolve(load([method[1]], tiny("two_in_one.yaml")))
            ).state_dict()
        },
        file,
    )
    line.append(f"model.network.selection_from={file}")
    played = succeeded(called("evaluate.py", *line))
    again = succeeded(called("evaluate.py", *line))
    assert again == played[played.index(again) :], "finished: it is not played again"
    replace(file)
    error = refused(called("evaluate.py", *line), f"digests.{file}: ")
    assert f"-> {digest(file)[:12]})" in error


def test_a_checkpoint_alone_is_evaluated_into_a_run_of_its_own(run, tmp_path):
    file = tmp_path / "elsewhere" / "x.ckpt"
    file.parent.mkdir()
    shutil.copy(run / "checkpoints" / "last.ckpt", file)
    succeeded(called("evaluate.py", "--checkpoint", file, *PLAY, cwd=tmp_path))
    (report,) = tmp_path.rglob("report.json")
    assert report.parent == tmp_path / "runs" / "small" / "called"
    assert [path.name for path in file.parent.iterdir()] == ["x.ckpt"]
    torch.save({"state_dict": {}}, file)
    refused(called("evaluate.py", "--checkpoint", file, *PLAY, cwd=tmp_path), "holds no config")


def test_an_evaluation_does_not_take_a_trainings_folder(run):
    before = files(run)
    for more in ([], ["overwrite=true"]):
        refused(evaluate(run, run, *more), "holds a trained run")
    assert files(run) == before
