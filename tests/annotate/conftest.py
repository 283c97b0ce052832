"""A fresh project on drawn photos and its server for each test."""

import pytest

from annotate.server import serving
from tests.helpers.annotating import Page, project_of


@pytest.fixture
def project(folder, tmp_path):
    made = project_of(folder, tmp_path / "out", classes=["cat", "dog"])
    yield made
    made.close()


@pytest.fixture
def address(project):
    with serving(project) as found:
        yield found


@pytest.fixture
def page(address):
    return Page(address)
