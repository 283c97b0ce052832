"""Runs with a dashboard: offline, with a server that vanishes or never answers, resumed."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from configs.starting import forget_dashboard
from tests.configs.short_run import arguments, evaluated
from tests.helpers.commands import CLOSED
from tests.helpers.wandb_records import records
from tests.helpers.wandb_server import Handler, serving


def test_an_offline_evaluation_holds_what_the_dashboard_shows(run, forks, tmp_path):
    evaluated(
        run,
        tmp_path / "eval",
        "logger=wandb",
        "trainer.limit_test_batches=2",
        by=lambda name, *line: forks.run(name, line, os.environ | CLOSED),
    )
    kept, config = records(tmp_path / "eval")
    figures = json.loads((tmp_path / "eval" / "report.json").read_text())
    assert config["evaluated"]
    for key in ("noc@85", "miou@3", "auc", "failures@90"):
        assert kept[f"test/{key}"] == pytest.approx(figures[key])
    assert kept["tables/objects/nrows"] == 4
    assert kept["quality/curve_table/nrows"] == 3
    assert [kept["quality/first"], kept["quality/last"]] == pytest.approx(
        [figures["miou@1"], figures["miou@3"]]
    )
    (media,) = (tmp_path / "eval").glob("wandb/offline-run-*/files/media")
    table = json.loads(next((media / "table" / "tables").glob("objects*.json")).read_text())
    assert table["columns"][:3] == ["id", "name", "noc@80"]
    assert len(list(media.glob("images/pictures/clicks*"))) == kept["pictures/clicks/count"] == 12


BRIEFLY = {"WANDB_INIT_TIMEOUT": "2", "WANDB_FINISH_TIMEOUT": "2"}


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
    training, config = records(tmp_path / "run")
    assert config["model"]["_target_"] == "lightning_modules.itis.ITIS"
    assert "train/loss" in training


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


@pytest.mark.parametrize("links", [True, False])
def test_a_folders_run_has_one_id_and_a_folder_that_is_made_again_another(
    links, tmp_path, monkeypatch
):
    from callbacks.dashboard import run_id

    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError(1, "no links here")))
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
