"""Sessions behind the page: kept or played again, the answers are the same."""

import gc
import weakref

import cv2
import numpy as np

from annotate.desk import AHEAD
from annotate.server import serving
from annotate.state import encode
from tests.helpers.annotating import (
    CLICKS,
    SIZE,
    Page,
    ask,
    clicked,
    mask,
    played,
    project_of,
    tiny_model,
)
from tests.helpers.drawing import draw, write


def test_probabilities_are_the_sessions(address, page, folder):
    clicked(page, CLICKS)
    status, content = ask(address, f"/api/photos/{page.key}/probability/1", raw=True)
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert status == 200
    assert np.array_equal(found, np.rint(played(folder, CLICKS).probabilities * 255))


def test_the_photos_that_people_work_on_are_not_encoded_again(folder, tmp_path):
    model, read = tiny_model(), []
    real = model.session
    model.session = lambda path, *rest: read.append(path.name) or real(path, *rest)
    project = project_of(folder, tmp_path / "out", model=model, keep=1)
    with serving(project) as address:
        pages = [Page(address, f"{k}.png", f"tab{k}") for k in range(4)]
        for y, x, label in CLICKS:
            for page in pages:
                page.act("click", object=1 if page.version else None, y=y, x=x, label=label)
        assert sorted(read) == ["0.png", "1.png", "2.png", "3.png"]
        for page in pages:
            assert (
                ask(address, f"/api/photos/{page.key}/hold", {"tab": page.tab, "let_go": True})[0]
                == 200
            )
        Page(address, "4.png")
        assert len(project.sessions.opened) == 1
        assert np.array_equal(mask(pages[0].act("undo", object=1)), played(folder, CLICKS[:3]).mask)
    project.close()


def test_photos_that_were_encoded_ahead_are_let_go(folder, tmp_path, monkeypatch):
    model, made = tiny_model(), []
    real = model.session

    def session(path, *rest):
        found = real(path, *rest)
        made.append((path.name, weakref.ref(found)))
        return found

    model.session = session
    project = project_of(folder, tmp_path / "out", model=model, keep=2)
    sessions = project.sessions
    for key in list(project.files):
        sessions.open(key, project.photo(key).size)
        sessions._desk.do(AHEAD + 1, lambda: None)  # what was queued before is done
    gc.collect()
    assert not sessions._queued
    assert sum(found() is not None for _, found in made) == len(sessions.opened) == 2
    monkeypatch.setattr("annotate.sessions.LARGEST_OPENED", 10)
    made.clear()
    key = next(iter(project.files))
    sessions.open(key, project.photo(key).size)
    sessions._desk.do(AHEAD + 1, lambda: None)
    assert [name for name, _ in made] == ["0.png"], "a neighbour that is refused is not encoded"
    project.close()


def test_a_photo_that_changes_on_the_disk_is_encoded_again_and_refused_in_another_size(
    page, folder, project
):
    path, events = folder / "images" / "0.png", project.photo(page.key).journal.events
    clicked(page, CLICKS[:2])
    write(path, draw(7)[0])
    thing = page.act("click", object=1, y=50, x=20, label=1)
    assert np.array_equal(mask(thing), played(folder, CLICKS[:3]).mask), "of the photo that is seen"
    write(path, np.rot90(draw(7)[0]))
    count = len(events)
    for status, answer in (
        page.try_("click", object=1, y=5, x=5, label=0),
        ask(page.address, f"/api/photos/{page.key}", {"tab": page.tab}),
        ask(page.address, f"/api/photos/{page.key}/probability/1"),
    ):
        assert status == 400
        assert "0.png has changed since it was opened: it is 96 x 72 now, not 72" in answer["error"]
    assert len(events) == count
    path.unlink()
    assert "does not exist" in page.try_("click", object=1, y=5, x=5, label=0)[1]["error"]
    write(path, draw(7)[0])
    thing = page.act("click", object=1, y=5, x=5, label=0)
    assert np.array_equal(mask(thing), played(folder, CLICKS).mask)


def test_on_large_photos_a_click_after_undo_is_answered_as_on_small_ones(page, folder, monkeypatch):
    monkeypatch.setattr("annotate.sessions.GOES_BACK", 0)
    clicked(page, CLICKS)
    page.act("undo", object=1, to=2)
    thing = page.act("click", object=1, y=40, x=70, label=0)
    assert np.array_equal(mask(thing), played(folder, [*CLICKS[:2], (40, 70, 0)]).mask)
    start = np.zeros(SIZE, bool)
    start[20:50, 30:70] = True
    page.act("start", runs={"1": encode(start)})
    page.act("click", object=2, y=30, x=40, label=1)
    page.act("undo", object=2)
    thing = page.act("click", object=2, y=60, x=10, label=0)
    assert np.array_equal(mask(thing), played(folder, [(60, 10, 0)], start).mask)


def test_undo_and_redo_are_exact_and_a_click_after_undo_is_of_the_clicks_that_are_left(
    page, folder
):
    masks = []
    for count in range(1, 5):
        thing = page.act(
            "click",
            object=None if count == 1 else 1,
            **dict(zip(("y", "x", "label"), CLICKS[count - 1], strict=True)),
        )
        masks.append(mask(thing))
    for count in (3, 2, 1):
        assert np.array_equal(mask(page.act("undo", object=1)), masks[count - 1])
    assert np.array_equal(mask(page.act("redo", object=1)), masks[1])
    thing = page.act("click", object=1, y=40, x=70, label=0)
    assert np.array_equal(mask(thing), played(folder, [*CLICKS[:2], (40, 70, 0)]).mask)
    assert page.try_("redo", object=1)[0] == 400
    assert page.act("undo", object=1, to=0)["runs"] == {}
    assert page.act("redo", object=1)["undone"] == 2, "what was cancelled can be had back"
