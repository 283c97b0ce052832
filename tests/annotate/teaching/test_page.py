"""Pages on which methods are taught, in Debian's chromium; skipped where there is none."""

import json
from itertools import pairwise

import numpy as np
import pytest

from annotate.server import running
from annotate.state import decode
from annotate.teaching import volume_server
from annotate.teaching.labels import replay
from annotate.teaching.server import make_app
from annotate.teaching.slices import slice_size
from tests.helpers.annotating import tiny_model
from tests.helpers.browsing import CHROMIUM, Touchscreen, Window
from tests.helpers.teaching import SIZE, lessons_of
from tests.helpers.volume_lessons import SHAPE
from tests.helpers.volume_lessons import lessons_of as volume_lessons_of
from tests.helpers.volumes import save

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium; apt-get install chromium"
)
LABELS = [(5, 6, 0), (20, 30, 1), (30, 50, 1)]
"""y, x and class."""


def test_a_person_teaches_a_round_and_goes_on_to_the_next_photo(
    browser, photos, pretrained, tmp_path
):
    lessons = lessons_of(pretrained("clis"), photos, tmp_path / "page")
    with running(make_app(lessons)) as address:
        lessons.start()
        tab = Window(browser, address, SIZE)
        tab.expect(tab.page.locator("#name")).to_have_text("0.png")
        tab.expect(tab.page.locator("#teach")).to_be_disabled()
        for number, (y, x, label) in enumerate(LABELS, 1):
            tab.click(y, x, button="left" if label else "right")
            tab.expect(tab.page.locator("#facts")).to_contain_text(f"{number} label")
        tab.press("b")
        tab.drag((35, 10), (35, 20))
        tab.expect(tab.page.locator("#facts")).to_contain_text("4 labels")
        tab.press("Control+z")
        tab.expect(tab.page.locator("#facts")).to_contain_text("3 labels")
        tab.page.select_option("#heat", "uncertainty")
        tab.page.select_option("#heat", "")
        tab.press("t")
        tab.expect(tab.page.locator("#facts")).to_contain_text("1 round taught")
        tab.expect(tab.page.locator("#tasks canvas")).to_have_count(1)
        tab.page.reload()
        tab.expect(tab.page.locator("#facts")).to_contain_text("1 round taught")
        tab.expect(tab.page.locator("#next")).to_be_enabled()
        tab.press("Enter")
        tab.expect(tab.page.locator("#name")).to_have_text("1.png")
        tab.expect(tab.page.locator("#done")).to_have_text("1 of 3 done")
        tab.page.locator("#tasks li").first.click()
        tab.expect(tab.page.locator("#banner")).to_be_visible()
        tab.page.click("#back")
        tab.expect(tab.page.locator("#name")).to_have_text("1.png")
        tab.page.click("#export")
        tab.expect(tab.page.locator("#toast")).to_contain_text("Written to")
        assert tab.errors == []
        tab.page.close()
        lessons.close()
    events = [
        json.loads(line)
        for line in (tmp_path / "page" / "journal" / "0.png.jsonl").read_text().splitlines()
    ]
    lecture = replay(events)
    for label, (y, x, value) in zip(lecture.labels, LABELS, strict=True):
        assert (label.kind, label.label) == ("superpixel", value)
        assert decode(label.pixels, SIZE)[y, x], "the superpixel under the pointer"
    assert lecture.finished
    assert lecture.spent > 0
    assert len(json.loads((tmp_path / "page" / "transfer.json").read_text())["photos"]) == 1


def test_a_person_labels_slices_of_a_volume_and_teaches(browser, volumes, dynamic, tmp_path):
    files = [volumes / "images" / f"c{i}.nii.gz" for i in (0, 1)]
    lessons = volume_lessons_of(dynamic, files, tmp_path, tiny_model())
    with running(volume_server.make_app(lessons)) as address:
        lessons.start()
        tab = Window(browser, address, slice_size(SHAPE, 0), "#plane0", aspect=1.0 / 0.5)
        tab.expect(tab.page.locator("#name")).to_have_text("c0.nii.gz")
        tab.expect(tab.page.locator("#asked button")).to_have_count(2)
        tab.expect(tab.page.locator("#teach")).to_be_disabled()
        tab.page.locator("#asked button", has_text="axial").click()
        number = lessons.guide(lessons.order[0].key)["asked"][0][0]
        tab.expect(tab.page.locator(".plane span").first).to_have_text(
            f"axial {number + 1} of 10 · asked for"
        )
        tab.press("c")
        tab.click(6, 6)
        tab.expect(tab.page.locator("#facts")).to_contain_text("1 slice ·")
        tab.click(1, 1, button="right")
        tab.expect(tab.page.locator("#undo")).to_be_enabled()
        session = tiny_model().session(
            np.repeat(np.ascontiguousarray(lessons.grey(0)[number])[..., None], 3, 2)
        )
        session.click(6, 6, 1)
        session.click(1, 1, 0)
        until_drawn(tab, lessons, 2)
        thing = lessons.order[0].rounds.labelled[0, number]
        assert np.array_equal(decode(thing.runs["1"], slice_size(SHAPE, 0)), session.mask), (
            "the page's clicks give the session's mask"
        )
        tab.press("Control+z")
        tab.press("b")
        tab.canvas, tab.size, tab.aspect = "#plane1", slice_size(SHAPE, 1), 2.0 / 0.5
        tab.upwards = True
        tab.page.mouse.move(*tab.at(4, 4))
        tab.page.mouse.down()
        until_drawn(tab, lessons, 1)
        tab.page.wait_for_timeout(
            500
        )  # the answer to what was done before comes in the middle of a stroke, and does not end it
        tab.page.mouse.move(*tab.at(4, 8), steps=5)
        tab.page.mouse.up()
        tab.expect(tab.page.locator("#facts")).to_contain_text("2 slices")
        tab.expect(tab.page.locator("#labour")).to_contain_text("%")
        tab.press("t")
        tab.expect(tab.page.locator("#facts")).to_contain_text("1 round taught")
        tab.page.reload()
        tab.expect(tab.page.locator("#facts")).to_contain_text("1 round taught")
        tab.expect(tab.page.locator("#next")).to_be_enabled()
        tab.press("Enter")
        tab.expect(tab.page.locator("#name")).to_have_text("c1.nii.gz")
        tab.page.click("#export")
        tab.expect(tab.page.locator("#toast")).to_contain_text("Written to")
        assert tab.errors == []
        tab.page.close()
        lessons.close()
    assert (tmp_path / "answers" / "c0.nii.gz").exists()
    drawn = lessons.order[0].rounds.labelled
    (coronal,) = [thing for place, thing in drawn.items() if place[0] == 1]
    assert decode(coronal.runs["1"], slice_size(SHAPE, 1))[4, 4:9].all(), (
        "the brush paints what is under it"
    )
    assert [action.kind for _, thing in sorted(drawn.items()) for action in thing.actions] == [
        "click",
        "stroke",
    ]


def test_superior_is_at_the_top_of_a_plane_and_under_the_pointer(
    browser, volumes, dynamic, tmp_path
):
    """The head of a volume is bright, in LPS the last slices."""
    bright = tmp_path / "head.nii.gz"
    values = np.repeat(np.arange(SHAPE[0], dtype=np.float32), SHAPE[1] * SHAPE[2]).reshape(SHAPE)
    save(values, bright)
    lessons = volume_lessons_of(dynamic, [bright], tmp_path / "out")
    with running(volume_server.make_app(lessons)) as address:
        lessons.start()
        for axis in (1, 2):
            size = slice_size(SHAPE, axis)
            aspect = 2.0 / (0.5, 1.0)[axis - 1]
            tab = Touchscreen(browser, address, size, f"#plane{axis}", aspect, upwards=True)
            tab.expect(tab.page.locator("#name")).to_have_text("head.nii.gz")
            sides = tab.page.locator(f".plane:has(#plane{axis}) i").all_inner_texts()
            assert "".join(sides) == ("SLIR", "SPIA")[axis - 1]
            for row in (1, 8):
                tab.page.mouse.click(*tab.at(row, 3))
                shown = tab.page.locator(".plane span").first
                tab.expect(shown).to_contain_text(f"axial {row + 1} of 10")
            middle, aside = tab.at(4, 3), tab.at(6, 5)
            tab.pinch((middle, middle), (aside, tab.at(8, 7)))
            tab.press("0")
            tab.expect(shown).to_contain_text("axial 9 of 10")  # two fingers choose no slices
            tab.page.touchscreen.tap(*middle)
            tab.expect(shown).to_contain_text("axial 5 of 10")
            tab.page.touchscreen.tap(*tab.at(8, 3))
            tab.press("h")
            greys = [grey_at(tab, row, 6) for row in range(SHAPE[0])]
            assert greys == sorted(greys)
            assert greys[-1] > greys[0] + 100
            assert tab.at(9, 6)[1] < tab.at(0, 6)[1], "the last slice is the upper one"
            tab.press("ArrowUp")
            tab.page.mouse.move(*middle)
            label = tab.page.locator(".plane span").nth(axis)
            slices = [int(label.inner_text().split()[1])]
            for turn in (100, -30, -30, 100):  # notches of a wheel, and steps of a trackpad
                notch = -120 * np.sign(turn) if abs(turn) > 50 else -3 * turn  # as Chromium says
                send = """([selector, deltaY, wheelDeltaY]) => document.querySelector(selector)
                  .dispatchEvent(new WheelEvent("wheel", { deltaY, wheelDeltaY }))"""
                tab.page.evaluate(send, [tab.canvas, turn, int(notch)])
                slices.append(int(label.inner_text().split()[1]))
            assert [abs(b - a) for a, b in pairwise(slices)] == [1, 0, 1, 1]
            assert tab.errors == []
            tab.page.close()
        lessons.close()


def grey_at(tab, y, x):
    """Read the grey value at a place of the window's canvas."""
    left, top = tab.at(y, x)
    box = tab.page.locator(tab.canvas).bounding_box()
    place = [left - box["x"], top - box["y"]]
    read = """([selector, x, y]) => {
      const pen = document.querySelector(selector).getContext("2d");
      return pen.getImageData(x, y, 1, 1).data[0];
    }"""
    return tab.page.evaluate(read, [tab.canvas, *place])


def until_drawn(tab, lessons, actions):
    """Wait until the first slice that was drawn on has so many actions."""
    for _ in range(300):
        if [len(thing.actions) for thing in lessons.order[0].rounds.labelled.values()] == [actions]:
            return
        tab.page.wait_for_timeout(50)
    raise AssertionError(f"{actions} actions were never there")
