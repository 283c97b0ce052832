"""What people type: each command works, or says in one line what is wrong and what to do."""

import csv
import json

import pytest

from tests.helpers.commands import CROP, called, tiny
from tests.helpers.drawing import draw_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 3)


def line(data):
    configs = ["--config", "small.yaml", "--config", "data/folder.yaml", f"data.root={data}"]
    return [*configs, *tiny("small.yaml"), f"loading.augment={CROP[0]}", "trainer.max_epochs=1", "trainer.limit_train_batches=1"]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    result = called("train.py", *line(data), "trainer.log_every_n_steps=10", f"run={folder}")
    assert result.returncode == 0, result.stderr
    (folder / "printed.txt").write_text(result.stdout)
    (folder / "complained.txt").write_text(result.stderr)
    return folder


MADE = "error: the trainer cannot be made with "


@pytest.mark.parametrize(
    ("more", "beginning", "part"),
    [
        (
            ["--config", "gpu.yaml", "trainer.accelerator=gpu"],
            "error: trainer.accelerator is gpu, and torch sees no GPU",
            "leave gpu.yaml out",
        ),
        (["trainer.devices=-1"], MADE, "devices=-1"),
        (["trainer.max_time=soon"], "error: trainer.max_time is 'soon'; write 10m, 1h30m, 2d or DD:HH:MM:SS", ""),
        (["trainer.precision=17"], "error: trainer.precision is 17; it takes 64 or 32", "'bf16-mixed'"),
        (["trainer.max_epoch=3"], "error: unknown key trainer.max_epoch", "did you mean max_epochs?"),
        (["trainer.logger=tensorboard"], "error: trainer.logger is 'tensorboard'; use logger=csv", "trainer.logger=false"),
        (["trainer.callbacks=[]"], "error: trainer.callbacks is []; leave it out: callbacks.NAME", ""),
        (["trainer.default_root_dir=x"], "error: trainer.default_root_dir is 'x'; leave it out: run=PATH", ""),
        (["trainer.enable_checkpointing=false"], "error: trainer.enable_checkpointing is False; leave it out", "callbacks.checkpoint=null"),
        (["trainer=null"], "error: trainer is null; it takes a mapping", ""),
        (["callbacks=null"], "error: callbacks is null; it takes ", ""),
        (
            ["callbacks.progress=null", "callbacks.progress.refresh_rate=5"],
            "error: callbacks.progress is {'refresh_rate': 5}, which names no _target_",
            "=null",
        ),
        (["loading.batch_size=0"], "error: batch_size is 0; give 1 or more", ""),
        (["loading.eval_batch_size=0"], "error: eval_batch_size is 0; give 1 or more", ""),
        (["loading.train_objects=0"], "error: train_objects is 0; give 1 or more", ""),
        (["loading.num_workers=-1"], "error: num_workers is -1; give 0 or more", ""),
        (["seed=-1"], "error: seed is -1; give a number from 0 to 4294967295", ""),
        (["seed=4294967296"], "error: seed is 4294967296; give a number from 0", ""),
        (["logger=tensorboard"], "error: logger is 'tensorboard'; use csv, wandb or null", ""),
        (["model=null"], "error: no model is configured", "--config itis.yaml"),
        (["data=null"], "error: no data is configured", "--config data/samples.yaml"),
        (["data.root=nowhere"], "error: ", "nowhere"),
        (["weights=nowhere"], "error: nowhere is no run", "the folder that train.py printed"),
        (["checkpoint=nowhere.ckpt"], "error: there is no checkpoint nowhere.ckpt", "checkpoint=last"),
        (["--config", "binary.yaml"], "error: binary.yaml is no valid YAML: ", "can't decode byte"),
        (["--config", "list.yaml"], "error: list.yaml: a config is a mapping of keys, got list", ""),
        (["--config", "nowhere.yaml"], "error: there is no config nowhere.yaml", "itis.yaml"),
        (["--config", "."], "error: there is no config ., neither", ""),
        (["name"], "error: 'name' is no override; write key=value", ""),
    ],
)
def test_a_training_that_cannot_be_is_one_line_and_leaves_nothing(data, tmp_path, more, beginning, part):
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    before = sorted(tmp_path.iterdir())
    result = called("train.py", *line(data), f"run={tmp_path / 'run'}", *more, cwd=tmp_path)
    assert result.returncode == 2
    (error,) = [text for text in result.stderr.splitlines() if "error: " in text]
    assert error.startswith(beginning)
    assert part in error
    assert "Traceback" not in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("model.optimisation.optimizer=sgd", "trained with another optimiser (model.optimisation.optimizer: adamw -> sgd)"),
        ("model.optimisation.learning_rate=1.0", "trained with another optimiser (model.optimisation.learning_rate: 0.0003 -> 1.0)"),
        ("model.network.options.decoder_channels=32", "is of another network, e.g. network."),
    ],
)
def test_a_run_does_not_go_on_as_another_model(data, run, change, named):
    before = {file: file.read_bytes() for file in run.rglob("*.*")}
    result = called("train.py", *line(data), f"run={run}", "checkpoint=last", "trainer.max_epochs=2", change)
    assert result.returncode == 2
    assert named in result.stderr
    assert "weights=" in result.stderr
    assert {file: file.read_bytes() for file in run.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("more", "beginning", "part"),
    [
        (["trainer.devices=-1"], MADE, "devices=-1"),
        (["loading.eval_batch_size=0"], "error: eval_batch_size is 0", "1 or more"),
        (["max_clicks=0"], "error: max_clicks is 0; give 1 or more", ""),
        (["targets=[1.5]"], "error: targets is [1.5]; give IoUs above 0", ""),
        (["targets=[]"], "error: targets is []; give IoUs above 0", ""),
        (["shard=4/4"], "error: shard=4/4", "give shard=K/N"),
        (["seed=-1"], "error: seed is -1", ""),
    ],
)
def test_an_evaluation_that_cannot_be_is_one_line(run, tmp_path, more, beginning, part):
    result = called("evaluate.py", "--checkpoint", run, f"run={tmp_path / 'eval'}", *more, cwd=tmp_path)
    assert result.returncode == 2, result.stdout
    (error,) = [text for text in result.stderr.splitlines() if "error: " in text]
    assert error.startswith(beginning)
    assert part in error
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize(
    "more",
    [
        ["logger=null"],
        ["trainer.max_time=10m"],
        ["trainer.max_time=00:00:10:00"],
        ["trainer.logger=false"],
        ["callbacks.report=null", "callbacks.noc=null"],
    ],
)
def test_a_training_without_what_it_does_not_need_is_one(data, tmp_path, more):
    assert called("train.py", *line(data), f"run={tmp_path / 'run'}", *more).returncode == 0


BAR = "callbacks.progress={_target_: pytorch_lightning.callbacks.TQDMProgressBar, refresh_rate: 1}"


@pytest.mark.parametrize(
    ("more", "bar"),
    [
        ([BAR, "trainer.enable_progress_bar=true"], True),
        ([BAR, "trainer.enable_progress_bar=false"], False),
        (["callbacks.progress=null", "trainer.enable_progress_bar=true"], False),
    ],
)
def test_one_key_hides_the_progress_bar(data, tmp_path, more, bar):
    result = called("train.py", *line(data), f"run={tmp_path / 'run'}", *more)
    assert result.returncode == 0, result.stderr
    assert ("Epoch 0" in result.stdout + result.stderr) == bar


def test_a_small_run_logs_its_loss_and_prints_no_advertisement(run):
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert float(rows[-1]["train/loss"]) > 0
    printed = (run / "printed.txt").read_text() + (run / "complained.txt").read_text()
    assert "Tip" not in printed
    assert "litlogger" not in printed
    assert "smaller than the logging interval" not in printed


def test_what_was_decided_about_files_is_told_once_and_stands_in_the_report(data, run, tmp_path):
    (data / "images" / "notes.txt").write_text("not a photo")
    note, unused = "note: training and evaluation see the same objects", "left out: files in images/ that are no images by their suffix: 1"
    assert (run / "printed.txt").read_text().count(note) == 1
    result = called("evaluate.py", "--checkpoint", run, "max_clicks=1", f"run={tmp_path / 'eval'}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(note) == result.stdout.count(unused) == 1
    assert "clicked_wrong: clicked pixels" in result.stdout, "figures whose names do not say what they are"
    page = (tmp_path / "eval" / "report.html").read_text()
    assert "<li>training and evaluation see the same objects" in page
    assert "<li>left out: files in images/ that are no images by their suffix: 1 (notes.txt)" in page
    assert json.loads((tmp_path / "eval" / "report.json").read_text())["objects"] == 6


@pytest.mark.parametrize("name", ["train.py", "evaluate.py"])
def test_help_lists_methods_data_and_examples(name):
    result = called(name, "--help")
    assert result.returncode == 0
    for known in ("itis.yaml", "two_in_one.yaml", "clis.yaml", "data/berkeley.yaml", "data/brats.yaml"):
        assert known in result.stdout
    assert f"python {name} --" in result.stdout.split("examples:")[1]


def test_a_data_node_of_ones_own_gets_the_loading_of_the_top_level(data, tmp_path):
    own = f"data={{_target_: datamodules.folder.FolderDataModule, root: {data}}}"
    arguments = ["--config", "small.yaml", own, *tiny("small.yaml"), f"run={tmp_path / 'run'}"]
    result = called("train.py", *arguments, "loading.batch_size=7")
    assert result.returncode == 2
    assert "6 training objects do not fill a batch of 7" in result.stderr
    assert called("train.py", *arguments, "loading.batch_size=7", "--print").stdout.count("batch_size: 7") == 2
