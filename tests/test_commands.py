"""Commands, right and wrong ones: each works, or ends in one line that says what to do."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from tests.helpers.commands import CROP, called
from tests.helpers.drawing import draw_folder
from tests.helpers.refused_commands import REFUSED

TINY = (
    "model.network={_target_: tests.helpers.tiny_network.TinyNetwork}",
    "loading.num_workers=0",
    "loading.batch_size=4",
)
QUIET = ("trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.enable_progress_bar=false")
RUN, DATA, OUT, FILES = "RUN", "DATA", "OUT", "FILES"
"""Stand for the folders of a trained run, of photos, of what a command writes, and of odd files."""


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
            "max_clicks=2",
            "callbacks.report=null",
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
