"""Every YAML of the streams of volumes is learned by the command itself, on tiny data."""

import csv
import json
import sys
from pathlib import Path
from shutil import copyfile

import pytest
import wandb

import train
from interseg.errors import InputError
from tests.helpers.streams import VOLUMES
from tests.helpers.volumes import draw_volumes
from tests.helpers.wandb_records import records

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = {
    "": [],
    "vnet": ["data.size=[16,16,16]", "protocol.rounds=1"],
    "labelled": [],
    "offline": [],
    "static": ["protocol.rounds=2"],
}
OVERLAYS["vnet"] += ["data.stream=1", "callbacks.checkpoint=null"]  # of 45 million weights
ONE = ["protocol.sequences=1", "trainer.max_epochs=1"]
"""One permutation; the default plays two."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"), 5)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_config_learns_its_stream(name, root, tmp_path, monkeypatch):
    overlay = [f"dynamic3d/{name}.yaml"] if name else []
    files = ["dynamic3d.yaml", "data/volume_folder.yaml", *overlay]
    line = [part for file in files for part in ("--config", file)]
    small = [] if name == "vnet" else ["model.network.channels=[4,8,8,8]"]
    given = [
        *VOLUMES,
        *small,
        *OVERLAYS[name],
        f"data.root={root}",
        f"data.cache={root / 'cache'}",
        f"run={tmp_path}",
    ]
    given += ONE[name == "offline" :] if name else []  # whose epochs are no permutations
    given += ["logger=wandb"] if name == "static" else ["callbacks.report=null"]
    monkeypatch.setattr(sys, "argv", ["train.py", *line, *given])
    train.main()
    figures = json.loads((tmp_path / "dice.json").read_text())
    measured = {"vnet": {"1"}, "offline": {"2"}, "static": set()}
    assert set(figures["held_out"]) == measured.get(name, {"1", "2"})
    assert all(0 <= row["mean"]["mean"] <= 1 for row in figures["held_out"].values())
    assert len(figures["rounds"]) == {"": 6, "static": 2}.get(name, 1)
    assert "train/loss" in (tmp_path / "metrics.csv").read_text().splitlines()[0]
    if name == "static":
        text = (tmp_path / "volumes.html").read_text()
        assert text.count("<h2>Volume") == 2
        assert text.count("data:image/png") == 1 + 2 * len(figures["rounds"])
        wandb.teardown()  # its process writes the last records when it ends
        kept, _ = records(tmp_path)
        assert [kept["quality/first"], kept["quality/last"]] == pytest.approx(
            [figures["rounds"][k]["dice"] for k in (0, -1)]
        )
        assert kept["pictures/rounds/count"] == 4


def test_rows_of_a_resumed_run_are_those_of_an_undisturbed_one(root, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def killed(*_):
        raise Killed

    line = [
        "--config",
        "dynamic3d.yaml",
        "--config",
        "data/volume_folder.yaml",
        *VOLUMES,
        "model.steps=3",
        "protocol.rounds=2",
        "callbacks.report=null",
    ]
    line += [
        "model.network.channels=[4,8,8,8]",
        f"data.root={root}",
        f"data.cache={root / 'cache'}",
    ]

    def rows(run, *more):
        monkeypatch.setattr(sys, "argv", ["train.py", *line, *more, f"run={run}"])
        train.main()
        with (run / "metrics.csv").open(newline="") as file:
            return [(row["epoch"], row["step"], row["train/loss"]) for row in csv.DictReader(file)]

    whole = rows(tmp_path / "whole")
    for every in (2, 3):
        cut = tmp_path / f"cut{every}"
        with monkeypatch.context() as patch:
            patch.setattr(
                "callbacks.checkpoint.LastCheckpoint.on_train_epoch_end", killed
            )  # the last one is of the second or third round
            with pytest.raises(Killed):
                rows(cut, f"callbacks.checkpoint.every_n_steps={every}")
        copyfile(
            tmp_path / "whole" / "metrics.csv", cut / "metrics.csv"
        )  # as if it had been killed in its last round
        assert rows(cut, "checkpoint=last") == whole


def test_held_out_volumes_that_were_learned_are_refused(root, tmp_path, monkeypatch):
    """As a warm start, and where a run is resumed with another split."""
    line = ["--config", "dynamic3d.yaml", "--config", "data/volume_folder.yaml", *VOLUMES]
    line += ["model.network.channels=[4,8,8,8]", f"data.root={root}", "callbacks.report=null"]
    line += [f"data.cache={root / 'cache'}", "protocol.rounds=1", "trainer.max_epochs=1"]

    def fit(*more):
        monkeypatch.setattr(sys, "argv", ["train.py", *line, *more])
        train.main()

    fit(f"run={tmp_path / 'first'}")
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    static = ["protocol.kind=static", f"run={tmp_path / 'static'}"]
    for start in (f"model.pretrained={last}", f"weights={tmp_path / 'first'}"):
        with pytest.raises(InputError, match=r"has learned \d of the 2 volumes that are held out"):
            fit(*static, start, "seed=1")
        assert not (tmp_path / "static").exists()
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(InputError, match=r"has learned \d of the 2 volumes that are held out"):
        fit(*static, start, "seed=1", f"data.root={tmp_path / 'link'}")
    fit(*static, f"model.pretrained={last}")
    played = tmp_path / "static" / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match="as it played these; start from a run that learned the o"):
        fit("protocol.kind=static", f"run={tmp_path / 'again'}", f"model.pretrained={played}")
    resumed = [f"run={tmp_path / 'first'}", "checkpoint=last", "trainer.max_epochs=2"]
    for other, words in (
        ("seed=1", "seed: 0 -> 1"),
        ("data.held_out=1", "held_out: 2 -> 1"),
        ("protocol.rounds=2", "protocol.rounds: 1 -> 2"),
        ("protocol.volumes=held_out", "protocol.volumes: rest -> held_out"),
    ):
        with pytest.raises(InputError, match=f"trained on another part of the data .*{words}"):
            fit(*resumed, other)
    fit(*resumed, "data.normalise=set")  # as it was by default


def test_there_is_a_test_for_every_overlay():
    assert {p.stem for p in (ROOT / "configs" / "dynamic3d").glob("*.yaml")} == set(OVERLAYS) - {""}
