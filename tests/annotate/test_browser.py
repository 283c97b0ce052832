"""The page in Debian's chromium; skipped where there is none (`apt-get install chromium`)."""

import contextlib
import socket
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from annotate.folders import key_of
from annotate.server import serving
from annotate.state import decode, mask_of
from tests.helpers.annotating import model_of_classes, project_of, tiny_model
from tests.helpers.browsing import CHROMIUM, Window
from tests.helpers.drawing import write

SIZE = (72, 96)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium; apt-get install chromium"
)


class Tab(Window):
    """A tab with a photo of the annotator."""

    def __init__(self, browser, address):
        super().__init__(browser, address, SIZE)
        self.opened()

    def opened(self):
        self.expect(self.page.locator("#facts")).to_contain_text("96 × 72")

    def click(self, y, x, count, **how):
        super().click(y, x, **how)
        self.says(f"{count} click")

    def says(self, text):
        """Expect a text in the chosen object's row."""
        self.expect(self.page.locator("#things li.on small")).to_contain_text(text)


def shown(project, name, number=1):
    photo = next(project.photo(key) for key, path in project.files.items() if path.name == name)
    thing = photo.state.things[number]
    return thing, decode(thing.runs["1"], SIZE)


def test_a_person_annotates_two_photos(browser, folder, tmp_path):
    odd = "<img src=x onerror=alert(1)>.png"
    (folder / "images" / "1.png").rename(folder / "images" / odd)
    project = project_of(folder, tmp_path / "out", classes=["cat", "dog"])
    with serving(project) as address:
        tab = Tab(browser, address)
        tab.click(30, 40, 1)
        tab.click(10, 80, 2, button="right")
        tab.page.keyboard.down("Shift")
        tab.click(60, 5, 3)
        tab.page.keyboard.up("Shift")
        session = tiny_model().session(folder / "images" / "0.png")
        for y, x, label in ((30, 40, 1), (10, 80, 0), (60, 5, 0)):
            session.click(y, x, label)
        thing, mask = shown(project, "0.png")
        assert [tuple(click) for click in thing.clicks] == [
            tuple(row) for row in session.clicks.tolist()
        ]
        assert np.array_equal(mask, session.mask), "the page's clicks give the session's masks"
        tab.press("Control+z")
        tab.says("2 clicks")
        session.undo()
        assert np.array_equal(shown(project, "0.png")[1], session.mask)
        tab.page.reload()
        tab.opened()
        tab.page.locator("#things li").first.click()
        tab.press("Control+z")
        tab.says("1 click")
        tab.press("Control+y")
        tab.says("2 clicks")
        tab.press("b")
        tab.drag((50, 60), (50, 80))
        tab.expect(tab.page.locator("#undo")).to_be_enabled()
        tab.press("c")
        tab.press("n")
        tab.press("2")
        tab.click(20, 20, 1)
        thing, mask = shown(project, "0.png")
        assert [action.kind for action in thing.actions] == ["click", "click", "stroke"]
        assert mask[50, 60:80].all()
        assert shown(project, "0.png", 2)[0].category == "dog"
        other = Tab(browser, address)
        other.expect(other.page.locator("#place")).to_have_text("2 of 5")  # which nobody has
        other.page.close()
        tab.press("n")
        tab.page.mouse.click(*tab.at(60, 60))
        tab.press("Escape")  # before the answer
        tab.expect(tab.page.locator("#things li.on")).to_have_count(0)
        tab.expect(tab.page.locator("#things li")).to_have_count(2)
        for _ in range(3):
            tab.page.keyboard.down("Enter")  # held, which would open it again
        tab.page.keyboard.up("Enter")
        tab.expect(tab.page.locator("#place")).to_have_text("2 of 5")
        tab.expect(tab.page.locator("#done")).to_have_text("1 finished")
        tab.click(30, 40, 1)
        tab.press("ArrowLeft")
        tab.expect(tab.page.locator("#place")).to_have_text("1 of 5")
        tab.press("Escape")  # what was chosen on the photo before is no object of this one
        tab.expect(tab.page.locator("#things li")).to_have_count(2)
        assert tab.page.locator("#photos option").all_inner_texts().count(odd) == 1, (
            "a name is text"
        )
        tab.page.click("#export")
        tab.expect(tab.page.locator("#toast")).to_contain_text("Written to")
        assert (tmp_path / "out" / "masks" / "0.png").exists()
        assert tab.errors == []
        tab.page.close()
    project.close()


def test_a_photo_in_two_tabs_is_annotated_in_one_of_them(browser, folder, tmp_path):
    project = project_of(folder, tmp_path / "out")
    with serving(project) as address:
        one, two = Tab(browser, address), Tab(browser, f"{address}/#{key_of('0.png')}")
        one.click(30, 40, 1)
        two.expect(two.page.locator("#banner")).to_be_visible()
        two.page.mouse.click(*two.at(10, 10))
        two.expect(two.page.locator("#toast")).to_contain_text("Another tab annotates this photo")
        two.page.click("#take")
        two.expect(two.page.locator("#banner")).to_be_hidden()
        two.page.locator("#things li").first.click()
        two.click(10, 80, 2, button="right")
        one.page.mouse.click(*one.at(50, 50))
        one.expect(one.page.locator("#banner")).to_be_visible()
        assert len(shown(project, "0.png")[0].clicks) == 2, (
            "the one that looks on has changed nothing"
        )
        one.press("ArrowRight")
        one.expect(one.page.locator("#place")).to_have_text("2 of 5")
        one.expect(one.page.locator("#banner")).to_be_hidden()
        one.click(30, 40, 1)
        assert one.errors + two.errors == []
        one.page.close()
        two.page.close()
    project.close()


def test_a_click_while_the_server_has_too_many_connections_is_not_lost(browser, project, address):
    tab, parts = Tab(browser, address), urlsplit(address)
    with contextlib.ExitStack() as idle:
        for _ in range(128):
            idle.enter_context(socket.create_connection((parts.hostname, parts.port)))
        tab.page.mouse.click(*tab.at(30, 40))
        tab.expect(tab.page.locator("#busy")).to_contain_text("the server is away")
    tab.says("1 click")
    tab.expect(tab.page.locator("#busy")).to_be_empty()
    assert len(shown(project, "0.png")[0].clicks) == 1
    assert tab.errors == []
    tab.page.close()


def colours(tab):
    """The overlay's pixels (H, W, 4), as the page draws them over the photo."""
    script = """async () => {
      const { page } = await import("/page/photo.js"), [canvas] = page.view.layers;
      return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
    }"""
    return np.array(tab.page.evaluate(script)).reshape(*SIZE, 4)


def test_brush_eraser_and_classes_of_a_network(browser, folder, tmp_path):
    project = project_of(
        folder, tmp_path / "out", model=model_of_classes(), classes=["road", "tree"]
    )
    with serving(project) as address:
        tab = Tab(browser, address)
        tab.expect(tab.page.locator("#things .empty")).to_have_text(
            "Click where the answer is wrong."
        )
        first = model_of_classes().session(folder / "images" / "0.png").mask
        overlay = colours(tab)
        assert (overlay[..., 3] > 0).tolist() == (first > 0).tolist(), "its answer is seen"
        tab.press("2")
        tab.click(30, 40, 1)
        tab.press("1")
        tab.click(10, 80, 2)
        for key, at in (("b", 60), ("e", 20)):
            tab.press(key)
            tab.drag((60, at), (60, at + 10))
            tab.expect(tab.page.locator("#undo")).to_be_enabled()
        tab.press("Control+z")
        tab.press("Control+y")
        tab.page.click("#export")
        tab.expect(tab.page.locator("#toast")).to_contain_text("Written to")
        photo = next(photo for photo in map(project.photo, project.files) if photo.name == "0.png")
        thing = photo.state.things[1]
        assert [(action.kind, action.label) for action in thing.actions[2:]] == [
            ("stroke", 1),
            ("stroke", 0),
        ]
        assert [click.label for click in thing.clicks] == [2, 1]
        mask = mask_of(thing.runs, photo.size, 3)
        assert (mask[60, 60:71] == 1).all()
        assert (mask[60, 20:31] == 0).all()
        tab.press("ArrowRight")
        tab.expect(tab.page.locator("#place")).to_have_text("2 of 5")
        labels = np.repeat(np.array([0, 2, 1], np.uint8), 24)[:, None].repeat(96, 1)
        write(tmp_path / "labels.png", labels)
        tab.page.set_input_files("input[type=file]", tmp_path / "labels.png")
        tab.expect(tab.page.locator("#undo")).to_be_enabled()
        photo = next(photo for photo in map(project.photo, project.files) if photo.name == "1.png")
        assert np.array_equal(mask_of(photo.state.things[1].runs, photo.size, 3), labels)
        tab.press("b")
        tab.page.mouse.move(*tab.at(30, 20))
        tab.page.mouse.down()
        tab.page.mouse.move(*tab.at(30, 40))
        tab.press("ArrowRight")  # before the button is up
        tab.expect(tab.page.locator("#place")).to_have_text("3 of 5")
        tab.page.mouse.up()
        cv2.imwrite(str(tmp_path / "deep.png"), labels.astype(np.uint16) * 300)
        tab.page.set_input_files("input[type=file]", tmp_path / "deep.png")
        tab.expect(tab.page.locator("#toast")).to_contain_text("has 16 bits")
        photo = next(photo for photo in map(project.photo, project.files) if photo.name == "2.png")
        assert not photo.state.things, "the stroke was one of the photo before"
        assert tab.errors == []
        tab.page.close()
    project.close()
