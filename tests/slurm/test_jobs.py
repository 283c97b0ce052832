"""Jobs of a real SLURM: a signalled run is queued again and ends as if it had not been.

Arrays leave a run each. `make test-slurm` runs them; they need root and Debian's slurm-wlm and
munge, which it installs.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import torch
import yaml

from tests.helpers.drawing import draw_folder
from tests.helpers.training import assert_equal, memory
from tests.helpers.wandb_server import serving

ROOT = Path(__file__).parent.parent.parent
CLUSTER = Path(__file__).parent / "cluster.sh"
TRAIN, AGENT = (ROOT / "configs" / "slurm" / name for name in ("train.sh", "agent.sh"))
TINY = [
    *("--config", "small.yaml", "--config", "data/folder.yaml"),
    *("model.network.options.decoder_channels=16", "loading.batch_size=2", "loading.num_workers=1"),
    *("trainer.accelerator=cpu", "callbacks.progress=null", "trainer.log_every_n_steps=1"),
    "loading.augment=[{_target_: albumentations.PadIfNeeded, min_height: 96, min_width: 96},"
    "{_target_: albumentations.CropNonEmptyMaskIfExists, height: 96, width: 96}]",
]
WAIT = 300  # seconds; a job takes some 20

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment of a running cluster's commands."""
    if os.geteuid() != 0 or shutil.which("slurmctld") is None:
        pytest.fail("the slurm tests need root and slurm-wlm; run make test-slurm")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the socket's path is short
        subprocess.run(["bash", CLUSTER, folder], check=True)
        python = str(Path(shutil.which("python") or "").parent)
        yield os.environ | {
            "SLURM_CONF": f"{folder}/slurm.conf",
            "OMP_NUM_THREADS": "1",
            "PATH": f"{python}:{os.environ['PATH']}",
        }
        subprocess.run(["bash", CLUSTER, "stop", folder], check=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 4)


def submit(cluster, log, arguments, *options, script=TRAIN):
    """Queue a script from the project's folder; the job's number."""
    line = ["sbatch", "--parsable", f"--output={log}", *options, script, *map(str, arguments)]
    done = subprocess.run(line, cwd=ROOT, env=cluster, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def states(cluster, job):
    """Of a job's tasks, and how often each was queued again."""
    shown = subprocess.run(
        ["scontrol", "show", "job", job], env=cluster, capture_output=True, text=True, check=True
    ).stdout
    return re.findall(r"JobState=(\w+)", shown), [
        int(n) for n in re.findall(r"Restarts=(\d+)", shown)
    ]


def until(condition, log):
    """Wait for something; what the jobs printed is shown if it does not come."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "".join(
            file.read_text() for file in log.parent.glob("*.log")
        )
        time.sleep(0.2)


def tell(cluster, job):
    """Send what SLURM sends before a time limit, to whom it does."""
    subprocess.run(["scancel", "--signal=USR1", "--batch", job], env=cluster, check=True)


def ended(cluster, job, log):
    until(
        lambda: (
            not {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"} & set(states(cluster, job)[0])
        ),
        log,
    )
    return states(cluster, job)


def test_a_job_that_is_queued_again_ends_with_the_weights_of_an_undisturbed_one(
    cluster, data, tmp_path
):
    runs = {name: tmp_path / name for name in ("whole", "cut")}
    logs = {name: tmp_path / f"{name}.log" for name in runs}
    jobs = {}
    for name, run in runs.items():
        arguments = [
            *TINY,
            f"data.root={data}",
            f"run={run}",
            "trainer.max_epochs=15",
            "logger=wandb",
        ]
        jobs[name] = submit(cluster, logs[name], arguments, "--ntasks-per-node=2")
        if name == "cut":
            until((run / "checkpoints" / "last.ckpt").exists, logs[name])
            before = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
            tell(cluster, jobs[name])
        assert ended(cluster, jobs[name], logs[name]) == (["COMPLETED"], [int(name == "cut")]), (
            logs[name].read_text()
        )
    whole, cut = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in runs.values()
    )
    assert before < whole["global_step"] == cut["global_step"] == 15 * 2
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(whole[part], cut[part], part)
    assert_equal(memory(whole), memory(cut))
    assert "Traceback" not in logs["cut"].read_text()
    offline = {
        file.name.rsplit("-", 1)[1] for file in (runs["cut"] / "wandb").glob("offline-run-*")
    }
    assert len(offline) == 1, "one run on the dashboard"


def test_a_run_before_its_first_step_is_queued_again_too(cluster, data, tmp_path):
    log, run = tmp_path / "early.log", tmp_path / "run"
    job = submit(cluster, log, [*TINY, f"data.root={data}", f"run={run}", "trainer.max_epochs=1"])
    until(lambda: "RUNNING" in states(cluster, job)[0], log)
    time.sleep(1)  # the interpreter is importing
    tell(cluster, job)
    assert ended(cluster, job, log) == (["COMPLETED"], [1]), log.read_text()
    assert (run / "checkpoints" / "last.ckpt").exists()


def test_a_pre_empted_run_makes_room_and_goes_on(cluster, data, tmp_path):
    log, run = tmp_path / "low.log", tmp_path / "run"
    job = submit(cluster, log, [*TINY, f"data.root={data}", f"run={run}", "trainer.max_epochs=15"])
    until((run / "checkpoints" / "last.ckpt").exists, log)
    urgent = [
        "sbatch",
        "--parsable",
        "--partition=urgent",
        "--exclusive",
        f"--output={tmp_path}/urgent.log",
        "--wrap=echo played",
    ]
    other = subprocess.run(
        urgent, env=cluster, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert ended(cluster, other, log) == (["COMPLETED"], [0])
    assert ended(cluster, job, log) == (["COMPLETED"], [1]), log.read_text()
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 15 * 4
    assert "Traceback" not in log.read_text()


def test_an_evaluation_in_an_arrays_parts_is_the_whole_one(cluster, data, tmp_path):
    run, whole, parts = (tmp_path / name for name in ("run", "whole", "parts"))
    log = tmp_path / "run.log"
    assert ended(
        cluster,
        submit(cluster, log, [*TINY, f"data.root={data}", f"run={run}", "trainer.max_epochs=1"]),
        log,
    )[0] == ["COMPLETED"]
    play = [
        "--checkpoint",
        run,
        "trainer.devices=1",
        "trainer.accelerator=cpu",
        "callbacks.progress=null",
    ]
    environment = cluster | {"COMMAND": "evaluate.py"}
    job = submit(
        environment,
        log,
        [*play, f"run={parts}", "shard=%a/2"],
        "--array=0-1",
        f"--output={tmp_path}/part-%a.log",
    )
    assert set(ended(cluster, job, log)[0]) == {"COMPLETED"}
    assert not (parts / "report.json").exists()
    for folder in (whole, parts):
        assert ended(cluster, submit(environment, log, [*play, f"run={folder}"]), log)[0] == [
            "COMPLETED"
        ], log.read_text()
    assert (whole / "objects.csv").read_text() == (parts / "objects.csv").read_text()
    assert len((whole / "objects.csv").read_text().splitlines()) > 3


def test_an_array_leaves_a_run_for_each_task(cluster, data, tmp_path):
    log = tmp_path / "array.log"
    arguments = [*TINY, f"data.root={data}", f"run={tmp_path}/seed-%a", "trainer.max_epochs=1"]
    (tmp_path / "jobs.txt").write_text(
        "".join(f"seed={k} name='line {k}'\n" for k in range(4))
    )  # as sweep.py writes it
    jobs = cluster | {"JOBS": str(tmp_path / "jobs.txt")}
    job = submit(jobs, log, arguments, "--array=0-3", f"--output={tmp_path}/%a.log")
    assert set(ended(cluster, job, log)[0]) == {"COMPLETED"}
    weights = [
        torch.load(tmp_path / f"seed-{k}" / "checkpoints" / "last.ckpt", weights_only=True)[
            "state_dict"
        ]
        for k in range(4)
    ]
    names = [(tmp_path / f"seed-{k}" / "config.yaml").read_text().splitlines()[0] for k in range(4)]
    assert names == [f"name: line {k}" for k in range(4)]
    key = next(key for key in weights[0] if key.endswith("weight"))
    assert len({tuple(w[key].flatten()[:50].tolist()) for w in weights}) == 4


def test_an_array_of_agents_plays_a_wandb_sweep(cluster, data, tmp_path):
    values = {
        "seed": [3, 4],
        "model.guidance._target_": ["interseg.clicks.guidance.GaussianGuidance"],
    }
    sweep = {
        "project": "interseg",
        "program": str(ROOT / "train.py"),
        "method": "grid",
        "parameters": {key: {"values": listed} for key, listed in values.items()},
        "command": [
            *("${env}", "python", "${program}", *TINY, "data.root=${envvar:DATA}"),
            *("trainer.max_epochs=1", "logger=wandb", "${args_no_hyphens}"),
        ],
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    with serving() as (server, address):
        account = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0" * 40, "DATA": str(data)}
        given = ["wandb", "sweep", tmp_path / "sweep.yaml"]
        made = subprocess.run(
            given, cwd=tmp_path, env=cluster | account, capture_output=True, text=True, timeout=WAIT
        )
        (name,) = re.findall(r"wandb agent (\S+)", made.stderr)
        log = tmp_path / "agents.log"
        options = ("--array=0-1", f"--chdir={tmp_path}", f"--output={tmp_path}/%a.log")
        job = submit(cluster | account, log, [name], *options, script=AGENT)
        assert set(ended(cluster, job, log)[0]) == {"COMPLETED"}
        printed = "".join((tmp_path / f"{k}.log").read_text() for k in range(2))
        assert set(server.buckets) == {"swept0", "swept1"}, printed
        assert all(
            any("train/loss" in line for line in server.history[name]) for name in server.buckets
        ), printed
    folders = sorted((tmp_path / "runs" / "small").iterdir(), key=lambda folder: folder.name[-1])
    assert [folder.name.rsplit("-", 1)[1] for folder in folders] == ["swept0", "swept1"]
    for folder, seed in zip(folders, values["seed"], strict=True):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert (config["seed"], config["model"]["guidance"]["_target_"]) == (
            seed,
            *values["model.guidance._target_"],
        )
        assert (folder / "checkpoints" / "last.ckpt").exists()
