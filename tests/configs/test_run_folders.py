"""Folders of runs: of jobs, of ranks, and of jobs that are queued again."""

import datetime
import os
import signal
import subprocess
import time

import pytest
import torch

from configs.folders import open_folder, own_folder
from configs.starting import resume_point
from interseg.errors import InputError
from tests.helpers.commands import ROOT


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
