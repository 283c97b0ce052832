"""Tiny trained runs, their photos and their volumes, once a session."""

import pytest

from tests.helpers.drawing import draw_classes
from tests.helpers.once import once
from tests.helpers.teaching import photos_of, pretrain
from tests.helpers.volume_lessons import config_of, fit
from tests.helpers.volumes import draw_volumes

FILES = {
    "clis": [],
    "naive": ["clis/naive.yaml"],
    "lwf": ["clis/lwf.yaml"],
    "ewc": ["clis/ewc.yaml"],
    "packnet": ["clis/packnet.yaml"],
}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return once(tmp_path_factory, "taught-classes", draw_classes)


@pytest.fixture(scope="session")
def photos(root, tmp_path_factory):
    return photos_of(root, tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def pretrained(root, tmp_path_factory):
    """The run of a method, made when it is first asked for."""

    def made(name):
        return once(
            tmp_path_factory, f"taught-{name}", lambda run: pretrain(root, run, *FILES[name])
        )

    return made


@pytest.fixture(scope="session")
def volumes(tmp_path_factory):
    return draw_volumes(tmp_path_factory.mktemp("volumes"), 5)


@pytest.fixture(scope="session")
def dynamic(volumes, tmp_path_factory):
    """A run that has learned volumes."""
    folder = tmp_path_factory.mktemp("dynamic")
    fit(config_of(volumes), folder)
    return folder
