"""What befalls runs: parts of an evaluation on several machines, disks that take nothing, a dashboard without a server."""

import datetime
import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from configs.folders import open_folder, own_folder
from configs.run import keep_rows
from configs.starting import forget_dashboard, resume_point
from interseg.errors import InputError
from tests.helpers.commands import CLOSED, CROP, ROOT, called, command, tiny
from tests.helpers.drawing import draw_folder
from tests.helpers.forking import Forks
from tests.helpers.wandb_records import records
from tests.helpers.wandb_server import Handler, serving


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 5)


@pytest.fixture(scope="module")
def forks():
    """What runs commands as processes of their own, without their imports."""
    forks = Forks()
    yield forks
    forks.close()


def arguments(data, run):
    return [
        *(
            "--config",
            "small.yaml",
            "--config",
            "data/folder.yaml",
            f"data.root={data}",
            f"run={run}",
        ),
        *(*tiny("small.yaml"), f"loading.augment={CROP[0]}", "trainer.max_epochs=1"),
    ]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    result = command("train.py", *arguments(data, folder), "logger=wandb")
    assert result.returncode == 0, result.stderr
    return folder


def evaluated(run, folder, *more, by=called):
    line = [
        "--checkpoint",
        run,
        f"run={folder}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
        *more,
    ]
    result = by("evaluate.py", *line)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_parts_of_an_evaluation_make_the_whole(run, tmp_path):
    evaluated(run, tmp_path / "whole")
    for part in (2, 0, 1):
        assert "the same command without shard=" in evaluated(
            run, tmp_path / "parts", f"shard={part}/3"
        )
        assert not (tmp_path / "parts" / "report.json").exists()
    assert "going on after 10 objects" in evaluated(run, tmp_path / "parts")
    whole, parts = ((tmp_path / name / "objects.csv").read_text() for name in ("whole", "parts"))
    assert whole == parts
    figures = [
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "parts")
    ]
    assert (
        len({json.dumps({k: v for k, v in f.items() if "seconds" not in k}) for f in figures}) == 1
    )


@pytest.mark.parametrize(("shard", "folder"), [("3/3", True), ("1", True), ("0/2", False)])
def test_a_part_that_is_none_is_named(run, tmp_path, shard, folder):
    result = called(
        "evaluate.py",
        "--checkpoint",
        run,
        f"shard={shard}",
        *([f"run={tmp_path}"] if folder else []),
    )
    assert result.returncode == 2
    assert "give shard=K/N" in result.stderr


def test_the_progress_bar_tells_the_clicks_so_far_and_the_time_left(run, tmp_path):
    bar = (
        "callbacks.progress={_target_: pytorch_lightning.callbacks.TQDMProgressBar, refresh_rate: "
        "1}"
    )
    line = [
        "--checkpoint",
        run,
        f"run={tmp_path}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
        "callbacks.report=null",
        bar,
    ]
    result = called("evaluate.py", *line, "trainer.enable_progress_bar=true")
    assert result.returncode == 0, result.stderr
    shown = re.findall(
        r"(\d)/5 \[\d\d:\d\d<(\d\d:\d\d).*?NoC@85=([\d.]+)", result.stdout + result.stderr
    )
    assert [int(batches) for batches, *_ in shown][-1] == 5
    rows = (tmp_path / "objects.csv").read_text().splitlines()
    place = rows[0].split(",").index("noc@85")
    clicks = [float(row.split(",")[place]) for row in rows[1:]]
    assert float(shown[-1][2]) == pytest.approx(sum(clicks) / len(clicks), abs=0.005)


def limited(forks, name, line, size):
    """A command whose files may have so many bytes, as on a disk that fills up."""
    return forks.run(name, line, os.environ | CLOSED, size=size)


def test_a_full_disk_ends_training_with_one_error_and_a_whole_checkpoint(data, forks, tmp_path):
    run = tmp_path / "run"
    assert called("train.py", *arguments(data, run)).returncode == 0
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    result = limited(
        forks,
        "train.py",
        [*arguments(data, run), "trainer.max_epochs=3", "checkpoint=last"],
        len(before) // 2,
    )
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot be written" in errors[0]
    assert "checkpoint=last" in errors[0]
    assert "Traceback" not in result.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert (
        called(
            "train.py", *arguments(data, run), "trainer.max_epochs=3", "checkpoint=last"
        ).returncode
        == 0
    )
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_full_disk_ends_an_evaluation_that_goes_on_later(run, forks, tmp_path):
    evaluated(run, tmp_path / "whole")
    line = [
        "--checkpoint",
        run,
        f"run={tmp_path / 'cut'}",
        "max_clicks=3",
        "loading.eval_batch_size=2",
        "logger=csv",
    ]
    config = (tmp_path / "whole" / "config.yaml").stat().st_size
    result = limited(forks, "evaluate.py", line, 3 * config)
    assert result.returncode == 2, result.stdout
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    evaluated(run, tmp_path / "cut")
    assert (tmp_path / "whole" / "objects.csv").read_text() == (
        tmp_path / "cut" / "objects.csv"
    ).read_text()
    page = tmp_path / "cut" / "report.html"
    page.unlink()
    (tmp_path / "cut" / "report.json").unlink()  # which is written last
    evaluated(run, tmp_path / "cut")
    assert page.exists()


def test_an_offline_run_holds_what_the_dashboard_shows(run, tmp_path):
    training, config = records(run)
    assert config["model"]["_target_"] == "lightning_modules.itis.ITIS"
    assert "train/loss" in training
    evaluated(run, tmp_path / "eval", "logger=wandb", by=command)
    kept, config = records(tmp_path / "eval")
    figures = json.loads((tmp_path / "eval" / "report.json").read_text())
    assert config["evaluated"]
    for key in ("noc@85", "miou@3", "auc", "failures@90"):
        assert kept[f"test/{key}"] == pytest.approx(figures[key])
    assert kept["tables/objects/nrows"] == 10
    assert kept["quality/curve_table/nrows"] == 3
    assert [kept["quality/first"], kept["quality/last"]] == pytest.approx(
        [figures["miou@1"], figures["miou@3"]]
    )
    (media,) = (tmp_path / "eval").glob("wandb/offline-run-*/files/media")
    table = json.loads(next((media / "table" / "tables").glob("objects*.json")).read_text())
    assert table["columns"][:3] == ["id", "name", "noc@80"]
    assert len(list(media.glob("images/pictures/clicks*"))) == kept["pictures/clicks/count"] == 30


BRIEFLY = {"WANDB_INIT_TIMEOUT": "5", "WANDB_FINISH_TIMEOUT": "2"}


def online(forks, data, run, server, *more, waits=BRIEFLY):
    """Train with a server at an address, which is waited for; what was printed."""
    environment = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server, **waits}
    result = forks.run(
        "train.py", [*arguments(data, run), *more, "logger=wandb"], os.environ | environment
    )
    assert result.returncode == 0, result.stderr
    assert (run / "checkpoints" / "last.ckpt").exists()
    return result.stderr


def test_a_server_that_does_not_answer_stops_nothing(forks, data, tmp_path):
    assert "Weights & Biases cannot be reached" in online(
        forks, data, tmp_path / "run", "http://127.0.0.1:9"
    )
    assert "train/loss" in records(tmp_path / "run")[0]


class Vanishing(Handler):
    """A server that lets a run begin, and is gone when the run sends its first figures."""

    def do_POST(self):
        if self.path == "/graphql":
            super().do_POST()
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.asked.set()
            self.server.socket.close()


def test_a_server_that_vanishes_stops_nothing(forks, data, tmp_path):
    with serving(Vanishing) as (server, address):
        server.asked = threading.Event()
        printed = online(forks, data, tmp_path / "run", address)
        assert server.asked.is_set()
    assert "cannot be reached" not in printed, printed
    assert "wandb sync" in printed, printed
    assert "train/loss" in records(tmp_path / "run", "run-*")[0]


def test_a_run_that_goes_on_is_one_run_on_the_server(forks, data, tmp_path):
    with serving() as (server, address):
        printed = online(forks, data, tmp_path / "run", address, waits={})
        (first,) = server.history.values()
        assert first, printed
        printed = online(
            forks,
            data,
            tmp_path / "run",
            address,
            "trainer.max_epochs=2",
            "checkpoint=last",
            waits={},
        )
    ((name, lines),) = server.history.items()
    assert name == (tmp_path / "run" / "wandb.id").read_text()
    steps = [line["trainer/global_step"] for line in lines if "train/loss" in line]
    assert len(steps) > 1
    assert steps == sorted(set(steps)), printed
    assert [line["_step"] for line in lines] == list(range(len(lines)))


def test_only_a_key_for_the_server_counts_as_logged_in(tmp_path, monkeypatch):
    from callbacks.dashboard import logged_in

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine physionet.org login a password b")
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password c")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not logged_in()
    monkeypatch.delenv("WANDB_BASE_URL")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    (tmp_path / "settings").write_text(
        "[default]\nbase_url = https://wandb.example.org:8080\n"
    )  # as `wandb login --host` keeps it
    assert not logged_in()
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password c")
    assert logged_in()


def test_a_folders_run_has_one_id_and_a_folder_that_is_made_again_another(tmp_path, monkeypatch):
    from callbacks.dashboard import run_id

    with ThreadPoolExecutor(8) as pool:
        (first,) = set(pool.map(lambda _: run_id(tmp_path), range(8)))
    assert [file.name for file in tmp_path.iterdir()] == ["wandb.id"]
    forget_dashboard(tmp_path)
    second = run_id(tmp_path)
    assert second != first
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    forget_dashboard(tmp_path)
    assert run_id(tmp_path) == second
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "swept7")
        assert run_id(tmp_path) == "swept7"
    assert run_id(tmp_path) == "swept7", "a sweep's run that goes on without its agent"


@pytest.fixture
def job(monkeypatch):
    """Make this process one of a SLURM step with further variables; uncalled, it has none."""
    for key in ("INTERSEG_STAMP", "SLURM_STEP_ID", "SLURM_JOB_NAME", "WANDB_SWEEP_ID"):
        monkeypatch.delenv(key, raising=False)

    def begin(**variables):
        for key, value in (
            {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"} | variables
        ).items():
            monkeypatch.setenv(key, value)

    return begin


def test_commands_of_one_job_have_folders_of_their_own(tmp_path, job):
    job()
    for config, expected in (
        ({"a": 1}, "7"),
        ({"a": 2}, "7-2"),
        ({"a": 1}, "7"),
        ({"a": 3}, "7-3"),
        ({"a": 2}, "7-2"),
    ):
        assert open_folder(own_folder(tmp_path, config), config).name == expected
    job(SLURM_STEP_ID="1")
    assert own_folder(tmp_path, {"a": 1}).name == "7-1"


def test_commands_of_one_second_have_folders_of_their_own_and_their_ranks_share_them(
    tmp_path, job, monkeypatch
):
    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2024, 5, 6, 7, 8, 9)

    monkeypatch.setattr("configs.folders.datetime.datetime", Frozen)
    for name in ("20240506-070809", "20240506-070809-2", "20240506-070809-3"):
        if name.endswith("-3"):
            job(SLURM_JOB_NAME="interactive")  # a shell in an allocation
        monkeypatch.delenv("INTERSEG_STAMP", raising=False)
        assert open_folder(own_folder(tmp_path, {"a": 1}), {"a": 1}).name == name
        assert own_folder(tmp_path, {"a": 1}).name == name  # a rank that this process starts
    (tmp_path / "file").touch()
    monkeypatch.delenv("INTERSEG_STAMP")
    with pytest.raises(InputError, match="cannot be written"):
        own_folder(tmp_path / "file", {})


RANKS = """
import os, sys, time
from pathlib import Path
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from configs.folders import own_folder

def rank(parent):
    time.sleep(1.5 * int(os.environ["RANK"]))
    return str(own_folder(parent, {}))

one = {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 2}
one |= {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "start_method": "fork"}
config = LaunchConfig(**one, run_id="one")
print(*elastic_launch(config, rank)(Path(sys.argv[1])).values(), sep="\\n")
"""
"""What torchrun --standalone does, its ranks forked."""


def test_ranks_of_torchrun_share_a_folder(forks, tmp_path):
    (tmp_path / "ranks.py").write_text(RANKS)
    environment = {key: value for key, value in os.environ.items() if key != "INTERSEG_STAMP"}
    result = forks.run(tmp_path / "ranks.py", [tmp_path], environment)
    assert result.returncode == 0, result.stderr
    folders = result.stdout.split()
    assert len(folders) == 2
    assert len(set(folders)) == 1
    assert str(tmp_path) in folders[0]


def test_a_job_that_was_queued_again_takes_no_other_runs_checkpoint(tmp_path, monkeypatch):
    new = {"name": "new", "model": {"width": 3}}
    folder = open_folder(tmp_path / "run", new)
    (folder / "checkpoints").mkdir()
    file, config = folder / "checkpoints" / "last.ckpt", {"checkpoint": None}
    torch.save({"state_dict": {}, "config": "name: old\n"}, file)
    assert resume_point(config, folder, new) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert resume_point(config, folder, new) is None
    torch.save({"state_dict": {}, "config": (folder / "config.yaml").read_text()}, file)
    assert resume_point(config, folder, new) == file


def test_a_job_whose_config_was_changed_before_it_was_queued_again_does_not_start_anew(
    tmp_path, monkeypatch, job
):
    old, new = {"name": "x", "model": {"width": 3}}, {"name": "x", "model": {"width": 4}}
    job()
    folder = open_folder(own_folder(tmp_path, old), old)
    (folder / "checkpoints").mkdir()
    file = folder / "checkpoints" / "last.ckpt"
    torch.save({"state_dict": {}, "config": (folder / "config.yaml").read_text()}, file)
    job(SLURM_RESTART_COUNT="1")
    assert own_folder(tmp_path, new) == folder
    with pytest.raises(
        InputError, match=r"another config \(model\.width: 3 -> 4\).*checkpoint=last.*run=PATH"
    ):
        resume_point({"checkpoint": None}, folder, new)
    assert resume_point({"checkpoint": "last"}, folder, new) == file
    assert resume_point({"checkpoint": None}, folder, old) == file
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert resume_point({"checkpoint": None}, folder, new) is None


def test_a_job_whose_step_does_not_end_is_queued_again(tmp_path):
    programs = {
        "srun": f"trap '' USR1; echo $WANDB_FINISH_TIMEOUT > {tmp_path}/begun; "
        "for _ in {1..200}; do /bin/sleep 0.1; done",
        "sleep": f"echo $1 > {tmp_path}/slept",
        "scontrol": f"echo $* > {tmp_path}/asked",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    with subprocess.Popen(
        ["bash", ROOT / "configs" / "slurm" / "train.sh"], env=environment
    ) as script:
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        script.send_signal(signal.SIGUSR1)
        assert script.wait(30) == 128 + signal.SIGKILL
    said = {name: (tmp_path / name).read_text().strip() for name in ("begun", "slept", "asked")}
    assert said == {"begun": "30", "slept": "60", "asked": "requeue 7"}


def test_a_table_of_metrics_is_replaced_in_one_move(tmp_path, monkeypatch):
    file = tmp_path / "metrics.csv"
    file.write_text(
        "epoch,step,loss\n0,0,1\n0,10,2\n0,20,3\n0,1"
    )  # a full disk has cut the last row

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("csv.DictWriter.writerows", full)
        with pytest.raises(OSError, match="No space"):
            keep_rows(CSVLogger(tmp_path, name="", version=""), file, 20)
    assert file.read_text().endswith("0,1")
    keep_rows(CSVLogger(tmp_path, name="", version=""), file, 20)
    assert file.read_text().split() == ["epoch,step,loss", "0,0,1", "0,10,2"]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_finished_evaluation_is_not_played_again(run, tmp_path, monkeypatch):
    folder = tmp_path / "eval"
    first = evaluated(run, folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".yaml"}
    with monkeypatch.context() as patch:
        patch.setattr("callbacks.user_loop.UserLoop.play", None)
        again = evaluated(run, folder)
        assert again == first[first.index(again) :]
        evaluated(run, folder, "shard=0/2")
        evaluated(run, folder, "loading.eval_batch_size=1")
    assert {
        file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".yaml"
    } == files
    assert "going on after 10 objects" in evaluated(run, folder, "callbacks.report.spread=2"), (
        "the record tells their outcomes again"
    )
    for damaged in (files["objects.csv"][:-20], b""):
        (folder / "objects.csv").write_bytes(damaged)
        assert "going on after 10 objects" in evaluated(run, folder, "callbacks.report.spread=2")
        assert (folder / "objects.csv").read_bytes() == files["objects.csv"]
    for change, rounds, objects in (
        (["max_clicks=2"], 2, 10),
        (["trainer.limit_test_batches=2"], 3, 4),
        (["trainer.limit_test_batches=2"], 3, 4),
        ([], 3, 10),
    ):
        evaluated(run, folder, *change, "overwrite=true")
        report = json.loads((folder / "report.json").read_text())
        assert (report["max_clicks"], report["objects"]) == (rounds, objects)
