"""What befalls runs: parts of an evaluation on several machines, disks that take nothing, a dashboard without a server."""

import json
import os
import resource
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from wandb.proto import wandb_internal_pb2

from tests.commands import CLOSED, CROP, ROOT, called, command, tiny
from tests.conftest import draw_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 5)


def arguments(data, run):
    return [
        *("--config", "small.yaml", "--config", "data/folder.yaml", f"data.root={data}", f"run={run}"),
        *(*tiny("small.yaml"), f"loading.augment={CROP[0]}", "trainer.max_epochs=1"),
    ]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    result = command("train.py", *arguments(data, folder), "logger=wandb")
    assert result.returncode == 0, result.stderr
    return folder


def evaluated(run, folder, *more, by=called):
    line = ["--checkpoint", run, f"run={folder}", "max_clicks=3", "loading.eval_batch_size=2", "logger=csv", *more]
    result = by("evaluate.py", *line)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_parts_of_an_evaluation_make_the_whole(run, tmp_path):
    evaluated(run, tmp_path / "whole")
    for part in (2, 0, 1):
        assert "the same command without shard=" in evaluated(run, tmp_path / "parts", f"shard={part}/3")
        assert not (tmp_path / "parts" / "report.json").exists()
    assert "going on after 10 objects" in evaluated(run, tmp_path / "parts")
    whole, parts = ((tmp_path / name / "objects.csv").read_text() for name in ("whole", "parts"))
    assert whole == parts
    figures = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "parts")]
    assert len({json.dumps({k: v for k, v in f.items() if "seconds" not in k}) for f in figures}) == 1
    assert not list((tmp_path / "parts").glob("*.jsonl"))


@pytest.mark.parametrize(("shard", "folder"), [("3/3", True), ("1", True), ("0/2", False)])
def test_a_part_that_is_none_is_named(run, tmp_path, shard, folder):
    result = called("evaluate.py", "--checkpoint", run, f"shard={shard}", *([f"run={tmp_path}"] if folder else []))
    assert result.returncode == 2
    assert "give shard=K/N" in result.stderr


def limited(name, line, size):
    """A command whose files may have so many bytes, as on a disk that fills up."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    words = [sys.executable, ROOT / name, *map(str, line)]
    return subprocess.run(words, cwd=ROOT, env=os.environ | CLOSED, capture_output=True, text=True, timeout=300, preexec_fn=limit)


def test_a_full_disk_ends_training_with_one_error_and_a_whole_checkpoint(data, tmp_path):
    run = tmp_path / "run"
    assert called("train.py", *arguments(data, run)).returncode == 0
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    result = limited("train.py", [*arguments(data, run), "trainer.max_epochs=3", "checkpoint=last"], len(before) // 2)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot be written" in errors[0]
    assert "checkpoint=last" in errors[0]
    assert "Traceback" not in result.stderr
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert called("train.py", *arguments(data, run), "trainer.max_epochs=3", "checkpoint=last").returncode == 0
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_full_disk_ends_an_evaluation_that_goes_on_later(run, tmp_path):
    evaluated(run, tmp_path / "whole")
    line = ["--checkpoint", run, f"run={tmp_path / 'cut'}", "max_clicks=3", "loading.eval_batch_size=2", "logger=csv"]
    config = (tmp_path / "whole" / "config.yaml").stat().st_size
    result = limited("evaluate.py", line, 3 * config)
    assert result.returncode == 2, result.stdout
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    evaluated(run, tmp_path / "cut")
    assert (tmp_path / "whole" / "objects.csv").read_text() == (tmp_path / "cut" / "objects.csv").read_text()


def scanned(content):
    """The records of a .wandb file: LevelDB's log format after 7 bytes of its own, blocks of 32 KiB, records in parts."""
    position, record = 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768  # padding at a block's end
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def records(folder, run="offline-run-*"):
    """Keys and values that a run kept for Weights & Biases, and its config."""
    (file,) = folder.glob(f"wandb/{run}/*.wandb")
    found, config = {}, {}
    for content in scanned(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        for item in record.history.item:
            found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.run.config.update:
            config[item.key] = json.loads(item.value_json)
    return found, config


def test_an_offline_run_holds_what_the_dashboard_shows(run, tmp_path):
    training, config = records(run)
    assert config["model"]["_target_"] == "lightning_modules.itis.ITIS"
    assert "train/loss" in training
    evaluated(run, tmp_path / "eval", "logger=wandb", by=command)
    kept, config = records(tmp_path / "eval")
    figures = json.loads((tmp_path / "eval" / "report.json").read_text())
    assert config["weights"]
    for key in ("noc@85", "miou@3", "auc", "failures@90"):
        assert kept[f"test/{key}"] == pytest.approx(figures[key])
    assert kept["tables/objects/nrows"] == 10
    assert kept["quality/curve_table/nrows"] == 3
    assert [kept["quality/first"], kept["quality/last"]] == pytest.approx([figures["miou@1"], figures["miou@3"]])
    (media,) = (tmp_path / "eval").glob("wandb/offline-run-*/files/media")
    table = json.loads(next((media / "table" / "tables").glob("objects*.json")).read_text())
    assert table["columns"][:3] == ["id", "name", "noc@80"]
    assert len(list(media.glob("images/pictures/clicks*"))) == kept["pictures/clicks/count"] == 30


def online(data, run, server):
    """Train with a server at an address, which is waited for briefly; what was printed."""
    waits = {"WANDB_INIT_TIMEOUT": "5", "WANDB_FINISH_TIMEOUT": "2"}
    environment = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server, **waits}
    words = [sys.executable, ROOT / "train.py", *map(str, arguments(data, run)), "logger=wandb"]
    result = subprocess.run(
        words, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stderr
    assert (run / "checkpoints" / "last.ckpt").exists()
    return result.stderr


def test_a_server_that_does_not_answer_stops_nothing(data, tmp_path):
    assert "Weights & Biases cannot be reached" in online(data, tmp_path / "run", "http://127.0.0.1:9")
    assert "train/loss" in records(tmp_path / "run")[0]


class Vanishing(BaseHTTPRequestHandler):
    """A server that lets a run begin, and is gone when the run sends its first figures."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/graphql":
            self.server.asked.set()
            self.server.socket.close()
            return
        bucket = {"id": "1", "name": "1", "config": "{}", "project": {"name": "interseg", "entity": {"name": "someone"}}}
        answer = json.dumps({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_a_server_that_vanishes_stops_nothing(data, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Vanishing) as server:
        server.asked = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        printed = online(data, tmp_path / "run", f"http://127.0.0.1:{server.server_port}")
        assert server.asked.is_set()
    assert "cannot be reached" not in printed, printed
    assert "wandb sync" in printed, printed
    assert "train/loss" in records(tmp_path / "run", "run-*")[0]


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


def test_commands_of_one_job_have_folders_of_their_own(tmp_path):
    from configs.run import open_folder, own_folder

    base = tmp_path / "7"
    for config, expected in (({"a": 1}, "7"), ({"a": 2}, "7-2"), ({"a": 1}, "7"), ({"a": 3}, "7-3"), ({"a": 2}, "7-2")):
        assert open_folder(own_folder(base, config), config).name == expected


def test_a_job_that_was_queued_again_takes_no_other_runs_checkpoint(tmp_path, monkeypatch):
    from configs.run import open_folder, resume_point

    folder = open_folder(tmp_path / "run", {"name": "new"})
    (folder / "checkpoints").mkdir()
    file, config = folder / "checkpoints" / "last.ckpt", {"checkpoint": None}
    torch.save({"state_dict": {}, "config": "name: old\n"}, file)
    assert resume_point(config, folder) is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert resume_point(config, folder) is None
    torch.save({"state_dict": {}, "config": (folder / "config.yaml").read_text()}, file)
    assert resume_point(config, folder) == file
