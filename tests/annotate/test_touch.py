"""Fingers on the page in Debian's chromium; skipped where there is none."""

import numpy as np
import pytest
import torch

from annotate.server import serving
from annotate.state import decode
from interseg.inference.model import Model
from lightning_modules.two_in_one import TwoInOne
from tests.helpers.annotating import SIZE, project_of
from tests.helpers.browsing import CHROMIUM, Touchscreen
from tests.helpers.two_in_one import network

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium; apt-get install chromium"
)


class Tablet(Touchscreen):
    """A tab under fingers, on the annotator's first photo."""

    def __init__(self, browser, address):
        super().__init__(browser, address, SIZE)
        self.expect(self.page.locator("#facts")).to_contain_text("96 × 72")

    def tap(self, y, x, count):
        self.page.touchscreen.tap(*self.at(y, x))
        self.expect(self.page.locator("#things li.on small")).to_contain_text(f"{count} click")

    def seen(self):
        """Scale of the photo and the pixel of the screen at its upper left corner."""
        script = """async () => {
          const { page } = await import("/page/photo.js");
          const box = page.view.canvas.getBoundingClientRect();
          return [page.view.scale, box.left + page.view.left, box.top + page.view.top];
        }"""
        return self.page.evaluate(script)


@pytest.fixture
def tablet(browser, address):
    opened = Tablet(browser, address)
    yield opened
    assert opened.errors == []
    opened.page.close()


def clicks_of(project):
    (thing,) = project.photo(next(iter(project.files))).state.things.values()
    return [tuple(click) for click in thing.clicks]


def test_a_finger_says_object_and_background(tablet, project):
    background = tablet.page.locator("#background")
    tablet.tap(30, 40, 1)
    background.tap()
    tablet.expect(background).to_have_attribute("aria-pressed", "true")
    tablet.tap(10, 80, 2)
    tablet.press("-")
    tablet.expect(background).to_have_attribute("aria-pressed", "false")
    tablet.tap(50, 20, 3)
    assert [click[:3] for click in clicks_of(project)] == [(30, 40, 1), (10, 80, 0), (50, 20, 1)]


def test_two_fingers_zoom_and_neither_clicks_nor_draws(tablet, project):
    """The photo keeps to both fingers; a tap afterwards means the pixel under it."""
    tablet.tap(30, 40, 1)
    scale, left, top = tablet.seen()
    begins = [(left + 20 * scale, top + 20 * scale), (left + 40 * scale, top + 30 * scale)]
    ends = [(left + 10 * scale, top + 25 * scale), (left + 50 * scale, top + 45 * scale)]
    for tool in ("c", "b"):
        tablet.press(tool)
        tablet.press("0")
        tablet.pinch(*zip(begins, ends, strict=True))
        grown, x, y = tablet.seen()
        assert grown == pytest.approx(scale * np.hypot(40, 20) / np.hypot(20, 10), rel=1e-3)
        middle = (left + 30 * scale, top + 35 * scale)  # of the fingers in the end
        assert np.allclose((middle[0] - x, middle[1] - y), (30 * grown, 25 * grown), atol=0.5)
    tablet.press("c")
    tablet.page.touchscreen.tap(x + 35.5 * grown, y + 28.5 * grown)
    tablet.expect(tablet.page.locator("#things li.on small")).to_contain_text("2 clicks")
    assert [click[:3] for click in clicks_of(project)] == [(30, 40, 1), (28, 35, 1)]
    assert len(project.photo(next(iter(project.files))).state.things[1].actions) == 2


def test_a_palm_does_not_end_a_stroke(tablet, project):
    tablet.press("b")
    (x, y), (right, down) = tablet.at(20, 20), tablet.at(40, 60)
    tablet.touch("Start", a=(x, y))
    for share in (0.2, 0.4, 0.6, 0.8):
        tablet.touch("Move", a=(x + share * (right - x), y + share * (down - y)))
    tablet.touch("Start", a=(right - 9, down), b=(x, down))
    tablet.touch("Move", a=(right - 9, down), b=(x + 5, down))
    tablet.touch("End", b=(x + 5, down))
    tablet.touch("Move", a=(right, down))
    tablet.touch("End", a=(right, down))
    tablet.expect(tablet.page.locator("#undo")).to_be_enabled()
    (thing,) = project.photo(next(iter(project.files))).state.things.values()
    assert [action.kind for action in thing.actions] == ["stroke"]
    painted = decode(thing.runs["1"], SIZE)
    assert painted[20, 20]
    assert painted[40, 60], "the stroke goes on after the palm was lifted"
    assert not painted[40, 20]


def test_a_network_of_boundary_clicks_has_a_tool_for_them(browser, tablet, folder, tmp_path):
    """It is not there for a network of signed clicks."""
    tablet.expect(tablet.page.locator("[data-tool=boundary]")).to_be_hidden()
    model = Model(TwoInOne(network(), long_side=48).eval(), torch.device("cpu"))
    project = project_of(folder, tmp_path / "two", model=model, digest="two")
    with serving(project) as address:
        other = Tablet(browser, address)
        other.tap(30, 40, 1)
        other.page.locator("[data-tool=boundary]").tap()
        other.tap(20, 50, 2)
        assert clicks_of(project) == [(30, 40, 1, 0), (20, 50, 1, 1)]
        assert other.errors == []
        other.page.close()
    project.close()
