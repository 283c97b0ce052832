"""Commands, right and wrong ones: each works, or ends in one line that says what to do."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from tests.helpers.commands import CROP, called
from tests.helpers.drawing import draw_folder

TINY = (
    "model.network={_target_: tests.helpers.tiny_network.TinyNetwork}",
    "loading.num_workers=0",
    "loading.batch_size=4",
)
QUIET = ("trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.enable_progress_bar=false")
RUN, DATA, OUT, FILES = "RUN", "DATA", "OUT", "FILES"
"""Stand for the folders of a trained run, of photos, of what a command writes, and of odd files."""

UNMADE = "the trainer cannot be made with"
NO_CPU = f"{UNMADE} trainer.accelerator=cpu"
GPU = "trainer.accelerator is gpu, and torch sees no GPU; leave gpu.yaml out on this machine"
KEPT = (
    "which it keeps; go on with the config it was trained with, "
    "or start a new run from it by weights=RUN/checkpoints/last.ckpt"
)
PRECISION = "trainer.precision is 17; it takes 64 or 32 or 16 or "
SEED = "seed is -1; give a number from 0 to 4294967295"
BINARY = "FILES/binary.yaml is no valid YAML: 'utf-8' codec can't decode byte 0x80"
NETWORK = (
    "RUN/checkpoints/last.ckpt is of another network, e.g. network.first.weight: "
    "(4, 5, 3, 3) -> (6, 5, 3, 3); go on with"
)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Photos, a run that was trained on them, and odd files."""
    base = tmp_path_factory.mktemp("commands")
    found = {DATA: draw_folder(base / "data", 5), RUN: base / "run", FILES: base / "files"}
    found[FILES].mkdir()
    (found[FILES] / "binary.yaml").write_bytes(bytes(range(256)))
    (found[FILES] / "list.yaml").write_text("- 1\n")
    (found[FILES] / "clicks.csv").write_text("image,object,y,x,label\n0.png,a,20,20,1\n")
    assert play("train", (), found | {OUT: found[RUN]}).returncode == 0
    return found


def line_of(command, words):
    """Complete a command: what comes first is what it needs, what is given comes after it."""
    if command == "train":
        files = ("--trust", "tests", "--config", "small.yaml", "--config", "data/folder.yaml")
        return (
            *files,
            *TINY,
            f"loading.augment={CROP[0]}",
            *QUIET,
            f"data.root={DATA}",
            f"run={OUT}",
            *words,
        )
    if command == "resume":
        return line_of("train", ("trainer.max_epochs=2", f"run={RUN}", "checkpoint=last", *words))
    if command == "evaluate":
        return (
            "--trust",
            "tests",
            "--checkpoint",
            RUN,
            f"run={OUT}",
            "max_clicks=2",
            "callbacks.report=null",
            *words,
        )
    if command == "classical":
        return (
            "--config",
            "classical/geodesic.yaml",
            "--config",
            "data/folder.yaml",
            f"data.root={DATA}",
            f"run={OUT}",
            *QUIET,
            *words,
        )
    return (
        "--trust",
        "tests",
        "--checkpoint",
        RUN,
        "--images",
        f"{DATA}/images",
        "--clicks",
        f"{FILES}/clicks.csv",
        "--out",
        OUT,
        *words,
    )


PROGRAM = {
    "train": "train.py",
    "resume": "train.py",
    "evaluate": "evaluate.py",
    "classical": "evaluate.py",
    "predict": "predict.py",
}


def play(command, words, places):
    """Call a command with places put in; its messages have their names again."""
    line = [str(word) for word in line_of(command, words)]
    for name, path in places.items():
        line = [re.sub(rf"\b{name}\b", str(path), word) for word in line]
    result = called(PROGRAM[command], *line)
    for name, path in places.items():
        result.stderr = result.stderr.replace(str(path), name)
        result.stdout = result.stdout.replace(str(path), name)
    return result


WORKS = [
    ("train", "trainer.max_time=10m"),
    ("train", "trainer.max_time=00:00:10:00"),
    ("train", "trainer.enable_progress_bar=false"),
    ("train", "trainer.logger=false"),
    ("train", "logger=null"),
    ("train", "callbacks={}"),
    ("train", "callbacks.checkpoint=null"),
    ("train", "callbacks.loop=null callbacks.noc=null callbacks.report=null"),
    ("train", "trainer.fast_dev_run=true"),
    ("train", "trainer.devices=2 trainer.strategy=ddp_fork loading.batch_size=2"),
    ("train", "data.loading=null"),
    ("train", "data.split=[0.8,0.2]"),
    ("evaluate", "callbacks.progress=null"),
    ("evaluate", "trainer.enable_progress_bar=false trainer.logger=false"),
    ("evaluate", "loading.num_workers=1 logger=null"),
    ("evaluate", "model.optimisation.optimizer=sgd"),
    ("classical", "trainer.max_time=1d"),
    ("predict", ""),
    ("predict", "flip=true"),
]

REFUSED = [
    ("train", "--config gpu.yaml trainer.accelerator=gpu", GPU),
    ("train", "trainer.accelerator=gpu", GPU),
    ("train", "trainer.accelerator=cuda", GPU.replace("is gpu", "is cuda")),
    (
        "train",
        "trainer.devices=-1",
        f"{NO_CPU} trainer.devices=-1: `devices` selected with `CPUAccelerator` should be an int "
        "> 0.",
    ),
    (
        "train",
        "trainer.accelerator=auto trainer.devices=-1",
        f"{UNMADE} trainer.accelerator=auto trainer.devices=-1: ",
    ),
    (
        "train",
        "trainer.devices=0",
        f"{NO_CPU} trainer.devices=0: `Trainer(devices=0)` value is not a valid input using cpu "
        "accelerator.",
    ),
    (
        "train",
        "trainer.num_nodes=0",
        f"{UNMADE} trainer.num_nodes=0: `num_nodes` must be a positive integer, but got 0.",
    ),
    (
        "train",
        "trainer.strategy=fast",
        f"{UNMADE} trainer.strategy=fast: You selected an invalid strategy name: ",
    ),
    ("train", "trainer.precision=17", PRECISION),
    (
        "train",
        "trainer.max_time=soon",
        "trainer.max_time is 'soon'; write 10m, 1h30m, 2d or DD:HH:MM:SS",
    ),
    ("train", "trainer.max_epochs=-5", f"{UNMADE} trainer.max_epochs=-5: "),
    ("train", "trainer.limit_train_batches=7.5", f"{UNMADE} trainer.limit_train_batches=7.5: "),
    ("train", "trainer.profiler=best", f"{UNMADE} trainer.profiler=best: "),
    (
        "train",
        "trainer.accumulate_grad_batches=0",
        "trainer.accumulate_grad_batches is 0; give 1 or more",
    ),
    (
        "train",
        "trainer.check_val_every_n_epoch=0",
        "trainer.check_val_every_n_epoch is 0; give 1 or more",
    ),
    (
        "train",
        "trainer.gradient_clip_val=-1",
        "trainer.gradient_clip_val is -1; give 0 or more, or null for none",
    ),
    (
        "train",
        "trainer.callbacks=[]",
        "trainer.callbacks is []; leave it out: callbacks.NAME._target_=CLASS adds one",
    ),
    (
        "train",
        "trainer.enable_checkpointing=false",
        "trainer.enable_checkpointing is False; leave it out: callbacks.checkpoint=null",
    ),
    (
        "train",
        "trainer.logger=true",
        "trainer.logger is True; use logger=csv, logger=wandb, or trainer.logger=false for none",
    ),
    ("train", "logger=tensorboard", "logger is 'tensorboard'; use csv, wandb or null"),
    ("train", "callbacks=null", "callbacks is null; it takes {str: a mapping or null}"),
    (
        "train",
        "callbacks.loop=null trainer.limit_val_batches=1.0",
        "no callback plays the clicks, and there is nothing to count; ",
    ),
    ("train", "loading.batch_size=0", "batch_size is 0; give 1 or more"),
    (
        "train",
        "loading.batch_size=100",
        "10 training objects do not fill a batch of 100 on 1 processes; lower loading.batch_size",
    ),
    (
        "train",
        "trainer.devices=2 trainer.strategy=ddp_fork loading.batch_size=8",
        "the training objects do not fill a batch on each of 2 processes; lower loading.batch_size",
    ),
    ("train", "trainer.max_epochs=0", "trainer.max_epochs is 0, which trains nothing; give more"),
    ("train", "trainer.max_steps=0", "trainer.max_steps is 0, which trains nothing; give more"),
    (
        "train",
        "trainer.limit_train_batches=0",
        "trainer.limit_train_batches is 0, which trains nothing; give more",
    ),
    ("train", "loading.eval_batch_size=0", "eval_batch_size is 0; give 1 or more"),
    ("train", "loading.num_workers=-1", "num_workers is -1; give 0 or more"),
    ("train", "loading.train_objects=0", "train_objects is 0; give 1 or more"),
    ("train", "seed=-1", SEED),
    ("train", "seed=4294967296", "seed is 4294967296; give a number from 0 to 4294967295"),
    ("train", "max_clicks=0", "max_clicks is 0; give 1 or more"),
    ("train", "targets=[]", "targets is []; give IoUs above 0, 1 at most, e.g. targets=[0.85,0.9]"),
    (
        "train",
        "targets=[85]",
        "targets is [85]; give IoUs above 0, 1 at most, e.g. targets=[0.85,0.9]",
    ),
    ("train", "--config FILES/binary.yaml", BINARY),
    (
        "train",
        "--config FILES/list.yaml",
        "FILES/list.yaml: a config is a mapping of keys, got list",
    ),
    ("train", "--config RUN/checkpoints/last.ckpt", "RUN/checkpoints/last.ckpt is no valid YAML: "),
    (
        "train",
        "--config none.yaml",
        "there is no config none.yaml, neither here nor in configs/; it has ",
    ),
    ("train", "weights=FILES/binary.yaml", "FILES/binary.yaml cannot be read as a checkpoint: "),
    (
        "resume",
        "model.optimisation.optimizer=sgd",
        "RUN/checkpoints/last.ckpt was trained with another optimiser "
        f"(model.optimisation.optimizer: adamw -> sgd), {KEPT}",
    ),
    (
        "resume",
        "model.optimisation.learning_rate=0.1",
        "RUN/checkpoints/last.ckpt was trained with another optimiser "
        f"(model.optimisation.learning_rate: 0.0003 -> 0.1), {KEPT}",
    ),
    ("resume", "model.network.width=6", NETWORK),
    ("train", "checkpoint=FILES/binary.yaml", "FILES/binary.yaml cannot be read as a checkpoint: "),
    (
        "train",
        "checkpoint=FILES/none.ckpt",
        "there is no checkpoint FILES/none.ckpt; give a file, or checkpoint=last with run=FOLDER",
    ),
    ("evaluate", "trainer.accelerator=gpu", GPU),
    (
        "evaluate",
        "trainer.devices=-1",
        f"{NO_CPU} trainer.devices=-1: `devices` selected with `CPUAccelerator` should be an int "
        "> 0.",
    ),
    ("evaluate", "trainer.precision=17", PRECISION),
    (
        "evaluate",
        "trainer.max_time=soon",
        "trainer.max_time is 'soon'; write 10m, 1h30m, 2d or DD:HH:MM:SS",
    ),
    (
        "evaluate",
        "trainer.limit_test_batches=0.0001",
        "You requested to check 0.0001 of the `test_dataloader` but 0.0001 * ",
    ),
    ("evaluate", "callbacks=null", "callbacks is null; it takes {str: a mapping or null}"),
    (
        "evaluate",
        "callbacks.noc=null",
        "no callback is a NumberOfClicks; add one with _target_: callbacks.noc.NumberOfClicks",
    ),
    (
        "evaluate",
        "callbacks.loop=null",
        "no callback plays the clicks, and there is nothing to count; "
        "leave callbacks.loop as it is",
    ),
    ("evaluate", "loading.eval_batch_size=0", "eval_batch_size is 0; give 1 or more"),
    ("evaluate", "seed=-1", SEED),
    (
        "evaluate",
        "model.network.width=6",
        "RUN/checkpoints/last.ckpt does not fit ITIS: size mismatch for network.first.weight",
    ),
    ("evaluate", "--config FILES/binary.yaml", BINARY),
    (
        "evaluate",
        "--checkpoint FILES/binary.yaml",
        "FILES/binary.yaml cannot be read as a checkpoint: ",
    ),
    (
        "evaluate",
        "--checkpoint FILES",
        "FILES is no run: there is no FILES/checkpoints/last.ckpt; "
        "give the folder that train.py printed",
    ),
    ("classical", "trainer.devices=-1", f"{NO_CPU} trainer.devices=-1: "),
    ("predict", "--clicks FILES/binary.yaml", "FILES/binary.yaml cannot be read as clicks ("),
    ("predict", "--clicks FILES", "FILES cannot be read as clicks ([Errno 21] Is a directory"),
    (
        "predict",
        "--checkpoint FILES/binary.yaml",
        "FILES/binary.yaml cannot be read as a checkpoint: ",
    ),
    ("predict", "--device abc", "device is 'abc', which cannot be used ("),
    (
        "predict",
        "--images FILES/none",
        "there is no folder FILES/none; give the photos' by --images",
    ),
    ("predict", "seed=-1", SEED),
    (
        "predict",
        "model.network.width=6",
        "RUN/checkpoints/last.ckpt does not fit ITIS: size mismatch for network.first.weight",
    ),
]


@pytest.mark.parametrize(("command", "words"), WORKS)
def test_what_works(command, words, places, tmp_path, caplog):
    caplog.set_level("INFO", "pytorch_lightning")
    result = play(command, words.split(" ") if words else (), places | {OUT: tmp_path / "out"})
    assert result.returncode == 0, result.stderr
    assert command == "predict" or "GPU available" in caplog.text
    assert "Tip" not in caplog.text, "Lightning advertises"
    if "progress" in words:
        assert "/s]" not in result.stdout + result.stderr, "one key turns the bar off"


@pytest.mark.parametrize(("command", "words", "message"), REFUSED)
def test_what_is_refused_in_one_line(command, words, message, places, tmp_path):
    result = play(command, words.split(" "), places | {OUT: tmp_path / "out"})
    assert result.returncode == 2, result.stdout
    errors = [
        line for line in result.stderr.splitlines() if line and not re.search(r"\d/\d+ \[", line)
    ]
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"error: {message}"), errors[0]


def test_a_key_alone_turns_the_bar_off_and_neither_leaves_it(places, tmp_path):
    for number, (word, shown) in enumerate(
        {
            "callbacks.progress=null": False,
            "trainer.enable_progress_bar=false": False,
            "name=a": True,
        }.items()
    ):
        line = ["trainer.enable_progress_bar=true"] if word == "name=a" else []
        result = play("evaluate", (word, *line), places | {OUT: tmp_path / str(number)})
        assert result.returncode == 0, result.stderr
        assert ("/s" in result.stdout + result.stderr) == shown


def test_a_training_of_two_steps_has_its_table(places):
    with (places[RUN] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1], "ten objects in batches of four are two steps"
    assert float(rows[0]["train/loss"]) > 0


def test_a_photo_that_a_loader_process_cannot_read_is_one_line(places, tmp_path):
    root = draw_folder(tmp_path / "data", 5)
    whole = (root / "images" / "1.png").read_bytes()
    (root / "images" / "1.png").write_bytes(whole[: len(whole) // 2])
    result = play("train", ("loading.num_workers=1",), places | {DATA: root, OUT: tmp_path / "out"})
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line]
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: DATA/images/1.png cannot be read as an image"), errors


def test_what_was_decided_about_the_data_is_said_once_and_stands_in_the_report(places, tmp_path):
    root = draw_folder(tmp_path / "data", 5)
    (root / "images" / "notes.txt").write_text("mine")
    Image.fromarray(np.zeros((72, 96), np.uint8)).save(root / "masks" / "alone.png")
    here = places | {DATA: root, OUT: tmp_path / "out"}
    same = (
        "training and evaluation see the same objects: DATA has no train/ and test/; "
        "data.split=[0.8,0.2] parts them by image"
    )
    lines = [
        f"note: {same}",
        "left out: files in images/ that are no images by their suffix: 1 (notes.txt)",
        "left out: masks in masks/ without an image: 1 (alone.png)",
    ]
    trained = play("train", (), here).stdout.splitlines()
    assert [line for line in trained if line.startswith(("note", "left"))] == lines
    here |= {RUN: tmp_path / "out", OUT: tmp_path / "evaluated"}
    line = ("callbacks.report={_target_: callbacks.report.Report, spread: 1, hardest: 0}",)
    result = play("evaluate", line, here)
    assert result.returncode == 0, result.stderr
    assert [
        line for line in result.stdout.splitlines() if line.startswith(("note", "left"))
    ] == lines
    page = (tmp_path / "evaluated" / "report.html").read_text().replace(str(root), "DATA")
    assert "About the data" in page
    assert all(line.removeprefix("note: ") in page for line in lines)
    parted = play("train", ("data.split=[0.8,0.2]",), here | {OUT: tmp_path / "parted"})
    assert "same objects" not in parted.stdout
    assert parted.returncode == 0


@pytest.mark.parametrize("name", ["train.py", "evaluate.py", "predict.py"])
def test_help_lists_what_the_folder_of_configs_has(name, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "mine.yaml").write_text("# A method of mine.\nmodel:\n  _target_: a.B\n")
    (tmp_path / "over.yaml").write_text("# No method.\nmodel: {width: 3}\n")
    (tmp_path / "data" / "heaps.yaml").write_text("# Heaps of photos.\ndata: {}\n")
    shown = called(name, "--help").stdout
    assert f"examples:\n  python {name} --" in shown
    assert re.search(r"^  itis\.yaml +ITIS \(Mahadevan et al\., BMVC 2018\)", shown, re.MULTILINE)
    assert "itis/distance.yaml" in shown
    assert re.search(r"^  itis/once\.yaml +A frozen encoder", shown, re.MULTILINE), (
        "it stands alone"
    )
    assert ("  data/folder.yaml " in shown) == (name != "predict.py")
    assert "gpu.yaml  " not in shown, "what names no model is no method"
    assert max(map(len, shown.splitlines())) <= 150
    monkeypatch.setattr("configs.options.FOLDER", tmp_path)
    shown = called(name, "--help").stdout
    assert "  mine.yaml                    A method of mine." in shown
    assert "over.yaml" not in shown
    assert ("data/heaps.yaml              Heaps of photos." in shown) == (name != "predict.py")
