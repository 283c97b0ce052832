"""Fixtures of runs: drawn photos, a short run, processes of their own."""

import os

import pytest

from tests.configs.short_run import arguments
from tests.helpers.commands import CLOSED
from tests.helpers.drawing import draw_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 5)


@pytest.fixture(scope="module")
def run(data, forks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    result = forks.run("train.py", [*arguments(data, folder), "logger=wandb"], os.environ | CLOSED)
    assert result.returncode == 0, result.stderr
    return folder
