"""A fresh project on drawn photos and its server for each test, and a browser for each file."""

import asyncio
from types import SimpleNamespace

import pytest

from annotate.server import serving
from tests.helpers.annotating import Page, project_of
from tests.helpers.browsing import CHROMIUM


@pytest.fixture(scope="session", autouse=True)
def servers_end_at_once():
    """Let uvicorn, which looks ten times a second whether it is to end, look more often."""

    async def sleep(seconds):
        await asyncio.sleep(min(seconds, 0.01))

    with pytest.MonkeyPatch.context() as patch:
        eager = SimpleNamespace(**vars(asyncio) | {"sleep": sleep})
        patch.setattr("uvicorn.server.asyncio", eager)
        yield


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


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed; pip install 'interseg[test]'"
    )
    with playwright.sync_playwright() as run:
        opened = run.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()
