"""Fixtures of trainings: photos, checkpoints to begin with, a run that nothing disturbs."""

import pytest

from tests.helpers import click_runs, task_streams
from tests.helpers.drawing import draw_classes, draw_sizes
from tests.helpers.once import once


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return draw_sizes(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a training that nothing disturbs, and of its photos."""
    root = tmp_path_factory.mktemp("undisturbed")
    photos = draw_sizes(root / "folder")
    click_runs.trainer(root).fit(click_runs.module(), click_runs.data(photos))
    return root


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """The checkpoint that each method's sequences begin with, by its name."""

    def pretrain(root):
        folder = draw_classes(root / "classes", 9)
        for name in ("clis", "naive"):
            epochs = 3  # so that something is left to be taught
            task_streams.trainer(root / name, epochs=epochs).fit(
                task_streams.METHODS[name](), task_streams.data(folder, "offline")
            )

    root = once(tmp_path_factory, "pretrained", pretrain)
    files = {name: str(root / name / "checkpoints" / "last.ckpt") for name in ("clis", "naive")}
    return files | dict.fromkeys(("lwf", "ewc", "packnet"), files["naive"])
