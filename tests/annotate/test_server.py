"""A person's requests: the masks are the session's, undo is exact, two tabs stay whole."""

import contextlib
import errno
import os
import signal
import socket
import threading
import time
from unittest import mock

import cv2
import numpy as np
import pytest

from annotate.folders import key_of
from annotate.requests import stroke_of
from annotate.server import make_app, open_socket, serve, serving
from annotate.state import encode
from benchmarks.annotate import answer_parts, draw_photos, people
from interseg.errors import InputError
from interseg.images import read_image
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


def test_clicks_give_the_masks_that_a_session_gives_object_by_object(page, folder):
    first = clicked(page, CLICKS, category="dog")
    second = clicked(page, CLICKS[::-1][1:])
    assert (first["number"], first["category"], second["number"], second["category"]) == (
        1,
        "dog",
        2,
        "cat",
    )
    again = page.act("click", object=1, y=60, x=60, label=1)
    assert np.array_equal(mask(second), played(folder, CLICKS[::-1][1:]).mask)
    assert np.array_equal(mask(again), played(folder, [*CLICKS, (60, 60, 1)]).mask), (
        "one comes back to an object"
    )
    assert again["clicks"] == [[*click, "region"] for click in [*CLICKS, (60, 60, 1)]]
    assert 0 < mask(again).mean() < 1
    assert (mask(first) != mask(second)).any()


def test_another_server_shows_what_this_one_had_and_undo_goes_on(folder, tmp_path):
    with_one = project_of(folder, tmp_path / "out", classes=["cat"])
    with serving(with_one) as address:
        page = Page(address)
        clicked(page, CLICKS)
        page.act("undo", object=1)
        page.act("finish")
        before = page.show()
    with_one.close()
    with_another = project_of(folder, tmp_path / "out", classes=["cat"])
    with serving(with_another) as address:
        page = Page(address, tab="two")
        assert page.show() == before
        photos = ask(address, "/api/project")[1]["photos"]
        assert [(photo["objects"], photo["finished"]) for photo in photos] == [
            (1, True),
            *[(0, False)] * 4,
        ]
        assert np.array_equal(mask(page.act("redo", object=1)), played(folder, CLICKS).mask)
        assert np.array_equal(mask(page.act("undo", object=1)), played(folder, CLICKS[:3]).mask)
        thing = page.act("click", object=1, y=40, x=70, label=0)
        assert np.array_equal(mask(thing), played(folder, [*CLICKS[:3], (40, 70, 0)]).mask)
    with_another.close()


def test_brush_and_eraser_overrule_the_network_until_a_click_says_otherwise(page, folder):
    answer = mask(clicked(page, CLICKS[:2]))
    spot = stroke_of({"points": [[20, 60]], "radius": 6}, SIZE)
    distance = np.hypot(*(np.indices(SIZE) - np.array([20, 60])[:, None, None]))
    assert spot[distance <= 5].all()
    assert not spot[distance > 7].any()
    label = int(not answer[20, 60])
    thing = page.act("stroke", object=1, points=[[20, 60]], radius=6, label=label)
    assert np.array_equal(mask(thing), np.where(spot, label, answer))
    thing = page.act("click", object=1, y=50, x=20, label=1)
    answer = played(folder, [*CLICKS[:2], (50, 20, 1)]).mask
    assert np.array_equal(mask(thing), np.where(spot, label, answer)), (
        "elsewhere the network answers"
    )
    thing = page.act("click", object=1, y=20, x=60, label=1 - label)
    answer = played(folder, [*CLICKS[:2], (50, 20, 1), (20, 60, 1 - label)]).mask
    assert np.array_equal(mask(thing), answer)
    assert np.array_equal(mask(page.act("undo", object=1))[spot], np.full(spot.sum(), bool(label)))


def test_a_brush_goes_along_its_way(page):
    thing = page.act("stroke", points=[[10, 10], [10, 60.4]], radius=3, label=1)
    found = mask(thing)
    assert found[10, 8:62].all()
    assert found[7:14, 30].all()
    assert not found[5, 30]
    assert not found[15, 30]
    assert not found[10, 66]


def test_an_object_starts_from_a_mask(page, folder):
    start = np.zeros(SIZE, bool)
    start[20:50, 30:70] = True
    thing = page.act("start", runs={"1": encode(start)})
    assert np.array_equal(mask(thing), start)
    thing = page.act("click", object=1, y=30, x=40, label=1)
    assert np.array_equal(mask(thing), played(folder, [(30, 40, 1)], start).mask)
    assert np.array_equal(mask(page.act("undo", object=1)), start)
    assert page.try_("start", object=1, runs={"1": encode(start)})[0] == 400
    for bad in (
        {"1": encode(start[:-1])},
        {"1": "x"},
        {"1": "é"},
        {"2": encode(start)},
        {"1": 3},
        {},
        [1],
    ):
        assert page.try_("start", runs=bad)[0] == 400, bad


def test_objects_are_removed_and_come_back_and_change_their_category(page):
    clicked(page, CLICKS)
    assert page.act("remove", object=1)["removed"]
    assert clicked(page, CLICKS[2:])["number"] == 2, "numbers are not used again"
    assert not page.act("restore", object=1)["removed"]
    assert page.act("category", object=1, category="dog")["category"] == "dog"
    assert page.try_("category", object=1, category="<b>")[0] == 400


def test_two_tabs_stay_whole(page, address):
    clicked(page, CLICKS[:2])
    other = Page(address, tab="two")
    assert not other.show()["mine"]
    status, answer = other.try_("click", y=3, x=3, label=1)
    assert status == 423
    assert "another tab" in answer["error"]
    assert Page(address, "1.png", "two").act("click", y=3, x=3, label=1)["number"] == 1, (
        "another photo is free"
    )
    assert other.show(take_over=True)["mine"]
    other.act("click", y=3, x=3, label=1)
    assert page.try_("undo", object=1)[0] == 423
    assert ask(address, f"/api/photos/{page.key}/hold", {"tab": "two", "let_go": True}) == (
        200,
        {"mine": False},
    )
    status, answer = page.try_("undo", object=1)
    assert status == 409, "it has not seen what the other one did"
    page.show()
    assert page.act("undo", object=1)["actions"] == 1


def test_what_is_sent_twice_happens_once(page):
    page.act("click", y=3, x=3, label=1)
    version = page.version
    page.act("click", object=1, y=30, x=30, label=1)
    page.version = version
    assert page.try_("click", object=1, y=30, x=30, label=1)[0] == 409
    assert len(page.show()["things"][0]["clicks"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"y": 72},
        {"y": -1},
        {"x": 1.5},
        {"x": True},
        {"x": None},
        {"x": 10**30},
        {"label": 2},
        {"kind": "boundary"},
        {"kind": 7},
        {"object": 5},
        {"object": "1"},
        {"category": "cow"},
        {"spent": -1},
        {"spent": "long"},
        {"do": "jump"},
        {"do": None},
        {"do": "undo"},
        {"do": "stroke"},
        {"do": "stroke", "points": [[1]], "radius": 3},
        {"do": "stroke", "points": [[1, 1e9]], "radius": 3},
        {"do": "stroke", "points": [[1, 1]], "radius": 0},
        {"do": "stroke", "points": [[1, 1]] * 20_001, "radius": 1},
    ],
)
def test_what_cannot_be_is_one_line_and_the_session_goes_on(page, project, change):
    status, answer = page.try_(**{"do": "click", "y": 3, "x": 3, "label": 1} | change)
    assert status == 400
    assert answer.keys() == {"error"}
    assert "\n" not in answer["error"]
    assert not project.journal_path(page.key).exists(), "nothing is kept of it"
    page.act("click", y=3, x=3, label=1)


def test_a_disk_that_takes_nothing_is_said_and_the_click_has_not_happened(
    page, monkeypatch, folder
):
    clicked(page, CLICKS[:2])

    for number, reason, advice in (
        (errno.ENOSPC, "No space left on device", "make room"),
        (errno.EACCES, "Permission denied", "see to the folder"),
    ):
        monkeypatch.setattr(
            "annotate.journal.write_all", mock.Mock(side_effect=OSError(number, reason))
        )
        status, answer = page.try_("click", object=1, y=50, x=20, label=1)
        assert status == 507
        assert reason in answer["error"]
        assert advice in answer["error"]
        monkeypatch.undo()
    thing = page.act("click", object=1, y=5, x=5, label=0)
    assert np.array_equal(mask(thing), played(folder, [*CLICKS[:2], (5, 5, 0)]).mask)


def test_the_page_gets_the_pixels_that_the_network_sees(address, page, folder):
    status, content = ask(address, f"/api/photos/{page.key}/picture", raw=True)
    assert status == 200
    assert content == (folder / "images" / "0.png").read_bytes()
    deep = np.arange(72 * 96, dtype=np.uint16).reshape(72, 96) * 9
    cv2.imwrite(str(folder / "images" / "1.png"), deep)
    other = Page(address, "1.png")
    content = ask(address, f"/api/photos/{other.key}/picture", raw=True)[1]
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(pixels, read_image(folder / "images" / "1.png"))


def test_a_photo_that_is_no_image_is_said_and_the_others_go_on(folder, tmp_path):
    (folder / "images" / "3.png").write_bytes(b"none")
    project = project_of(folder, tmp_path / "out")
    with serving(project) as address:
        status, answer = ask(address, f"/api/photos/{key_of('3.png')}", {"tab": "one"})
        assert status == 400
        assert "3.png cannot be read as an image" in answer["error"]
        clicked(Page(address, "2.png"), CLICKS)
    project.close()


def test_a_click_tells_where_its_time_went(address, page):
    body = {"tab": page.tab, "version": page.version, "do": "click", "y": 3, "x": 3, "label": 1}
    parts = answer_parts(address, f"/api/photos/{page.key}/act", body)
    assert list(parts) == ["network", "mask", "disk", "total"]
    assert 0 < sum(parts.values()) - parts["total"] <= parts["total"]
    assert min(parts.values()) >= 0


def test_eight_people_at_once_have_all_their_clicks_in_their_order(tmp_path):
    people(tiny_model(), draw_photos(tmp_path / "photos", 8, SIZE), tmp_path / "out", 8, 20)


def test_ctrl_c_ends_it_without_a_word(project, capfd):
    place = open_socket("127.0.0.1", 0)
    address = f"http://127.0.0.1:{place.getsockname()[1]}"

    answered = []

    def interrupt():
        for _ in range(200):
            time.sleep(0.02)
            with contextlib.suppress(OSError):
                answered.append(ask(address, "/api/project")[0])
                if answered[-1] == 200:
                    break
        os.kill(os.getpid(), signal.SIGINT)

    person = threading.Thread(target=interrupt)
    person.start()
    serve(make_app(project), place)
    person.join()
    place.close()
    assert answered[-1] == 200
    assert capfd.readouterr() == ("", "")


def test_connections_of_machines_that_are_gone_end():
    with open_socket("127.0.0.1", 0) as place:
        place.listen()
        with socket.create_connection(place.getsockname()), place.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_a_port_that_is_none_is_one_line():
    with pytest.raises(InputError, match="99999 cannot be listened on"):
        open_socket("127.0.0.1", 99999)
