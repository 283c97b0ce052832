"""Strangers' content: paths, sizes, odd file names, bodies that are no JSON."""

import errno
import http.client
import os
import re
from unittest import mock
from urllib.parse import urlsplit

import pytest

from annotate.exports import export
from annotate.folders import key_of
from annotate.journal import sync_folder
from annotate.pages import FOLDER
from annotate.server import serving
from interseg.errors import InputError
from tests.helpers.annotating import Page, ask, project_of, raw
from tests.helpers.drawing import draw, write


@pytest.mark.parametrize(
    "key",
    [
        "..",
        "../../secret",
        "..%2f..%2fsecret",
        "%2e%2e/secret",
        "/etc/passwd",
        "0.png",
        "%00",
        "a" * 5000,
    ],
)
def test_no_path_of_a_request_leads_anywhere(address, key):
    for path in (f"/api/photos/{key}/picture", f"/page/{key}", f"/{key}"):
        status, headers, content = raw(address, path)
        assert status in (400, 404)
        assert headers["content-type"] == "application/json"
        assert b"\n" not in content


def test_links_out_of_the_folder_are_left_out(folder, tmp_path):
    write(tmp_path / "secret.png", draw(1)[0])
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    project = project_of(folder, tmp_path / "out")
    assert len(project.files) == 5
    assert "link.png leads out of" in project.notes[-1]
    project.close()


def test_a_name_is_a_name(folder, tmp_path):
    name = "<img src=x onerror=alert(1)>.png"
    (folder / "images" / "0.png").rename(folder / "images" / name)
    project = project_of(folder, tmp_path / "out")
    with serving(project) as address:
        page = Page(address, name)
        page.act("click", y=3, x=3, label=1)
        assert page.show()["name"] == name
        status, headers, _ = raw(address)
        assert status == 200
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
    project.close()
    assert [path.name for path in (tmp_path / "out" / "journal").glob("*.jsonl")] == [
        f"{name}.jsonl"
    ]


def test_nothing_of_the_page_makes_html_of_text():
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.jinja")]:
        text = path.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|"
            r"DOMParser|srcdoc",
            text,
        ), path
        assert not re.search(r"\son\w+\s*=\s*[\"']|javascript:", text), path
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), f"{path} names another server"


def test_the_browser_is_told_to_run_and_load_nothing_else(address):
    policy = raw(address, "/")[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"tab": ' + b"1" * 10_000 + b"}", 400),
        (b'{"tab": "a", "version": NaN}', 400),
        (b"\xff\xfe", 400),
        (b'{"tab": "' + b"a" * 2**20 + b'"}', 413),
    ],
)
def test_bodies_are_json_and_limited(address, page, body, status):
    route = "hold" if status == 413 else "act"  # in which a mask has room
    for path in (f"/api/photos/{page.key}/{route}", "/api/export"):
        if path.endswith("export") and status == 400 and body.startswith(b'{"tab"'):
            continue
        got, answer = ask(address, path, body)
        assert got == status
        assert answer.keys() == {"error"}
        assert "\n" not in answer["error"]
    page.act("click", y=3, x=3, label=1)


def test_a_body_without_an_end_is_cut_off(address, page):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.putrequest("POST", f"/api/photos/{page.key}/hold")
    connection.putheader("transfer-encoding", "chunked")
    connection.putheader("content-type", "application/json")
    connection.endheaders()
    try:
        for _ in range(40):
            connection.send(b"10000\r\n" + b" " * 2**16 + b"\r\n")
    except OSError:
        pass  # it hung up
    else:
        assert connection.getresponse().status == 413
    connection.close()
    page.act("click", y=3, x=3, label=1)


def test_larger_photos_than_can_be_answered_are_refused(page, address, monkeypatch):
    monkeypatch.setattr("annotate.photos.LARGEST_OPENED", 5000)
    status, answer = ask(address, f"/api/photos/{key_of('4.png')}", {"tab": "one"})
    assert status == 400
    assert "4.png has 72 x 80 pixels; at most 5000" in answer["error"]


def test_a_photo_whose_journal_cannot_be_read_closes_no_other(folder, tmp_path):
    long = f"{'n' * 250}.png"
    (folder / "images" / "1.png").rename(folder / "images" / long)
    journals = tmp_path / "out" / "journal"
    (journals / "2.png.jsonl").mkdir(parents=True)
    (journals / "3.png.jsonl").write_text('{"do":"click","object":1}\n')
    project = project_of(folder, tmp_path / "out")
    with serving(project) as address:
        status, answer = ask(address, "/api/project")
        assert status == 200
        problems = {row["name"]: row["problem"] for row in answer["photos"] if "problem" in row}
        assert problems.keys() == {long, "2.png", "3.png"}
        assert problems[long].startswith(f"{long}.jsonl cannot be read (File name too long); ")
        assert "2.png.jsonl cannot be read (Is a directory); see to" in problems["2.png"]
        assert "3.png.jsonl has an event that means nothing (KeyError:" in problems["3.png"]
        for name, problem in problems.items():
            shown = ask(address, f"/api/photos/{key_of(name)}", {"tab": "one"})
            assert shown == (400, {"error": problem})
        Page(address).act("click", y=3, x=3, label=1)
    assert {f"{name}: {problem}" for name, problem in problems.items()} <= {*export(project)}
    project.close()


def test_two_annotators_do_not_write_into_one_folder(project, folder):
    with pytest.raises(InputError, match="another annotator works in"):
        project_of(folder, project.out)


def test_a_folder_that_cannot_be_claimed_is_not_said_to_be_in_use(folder, tmp_path, monkeypatch):
    refusal = OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr("fcntl.flock", mock.Mock(side_effect=refusal))
    with pytest.raises(InputError, match=r"cannot be claimed for one annotator \(No locks avail"):
        project_of(folder, tmp_path / "out")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EIO])
def test_folders_are_put_on_the_disk_where_that_may_be_asked_for(tmp_path, monkeypatch, number):
    call = "open" if number == errno.EACCES else "fsync"
    with monkeypatch.context() as patch:
        patch.setattr(os, call, mock.Mock(side_effect=OSError(number, os.strerror(number))))
        if number != errno.EIO:
            sync_folder(tmp_path)
            return
        with pytest.raises(OSError, match="Input/output"):
            sync_folder(tmp_path)


def test_what_is_wrong_here_is_one_line_too(address, page, monkeypatch):
    def broken(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("annotate.events.make_click", broken)
    status, answer = page.try_("click", y=3, x=3, label=1)
    assert status == 500
    assert answer == {"error": "unexpected RuntimeError: two lines"}
    monkeypatch.undo()
    page.act("click", y=3, x=3, label=1)
