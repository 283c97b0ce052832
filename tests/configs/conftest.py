"""Fixtures of runs: drawn photos, a short run."""

import pytest

from tests.configs.short_run import arguments
from tests.helpers.commands import called, succeeded
from tests.helpers.drawing import draw_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data"), 5)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trained"
    succeeded(called("train.py", *arguments(data, folder)))
    return folder
