"""Strangers: other pages, names that point here, no token."""

from urllib.parse import urlsplit

import pytest

from annotate import guard
from annotate.command import announce
from annotate.folders import key_of
from annotate.guard import Guard
from annotate.options import check_token
from annotate.server import open_socket, serving
from interseg.errors import InputError
from tests.helpers.annotating import raw

TOKEN = "abcdefghijkl"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8471",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
        None,
        "a@127.0.0.1",
        "127.0.0.1:x",
    ],
)
def test_another_host_is_refused(address, host):
    assert raw(address, host=host)[0] in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9000", "[::1]:9000"])
def test_this_machine_is_known_by_its_names_through_any_port(address, host):
    assert raw(address, host=host)[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:1",
        "file://",
    ],
)
def test_another_page_can_neither_click_nor_read(address, page, origin):
    body = b'{"tab": "evil", "take_over": true}'
    for headers in (
        {"origin": origin},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        status, _, content = raw(
            address,
            f"/api/photos/{page.key}",
            "POST",
            body,
            content_type="application/json",
            content_length=str(len(body)),
            **headers,
        )
        assert status == 403
        assert b"another page" in content
        assert raw(address, f"/api/photos/{page.key}/picture", **headers)[0] == 403
    assert page.show()["mine"]


def test_the_page_itself_may(address):
    own = {"origin": f"http://{urlsplit(address).netloc}", "sec_fetch_site": "same-origin"}
    assert raw(address, **own)[0] == 200


def test_a_link_to_the_page_may_be_anywhere(address):
    linked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert raw(address, "/", **linked)[0] == 200
    assert raw(address, "/api/project", **linked)[0] == 403


def test_a_form_of_another_page_cannot_be_json(address, page):
    body = b'{"tab": "evil"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        status, _, _ = raw(
            address,
            f"/api/photos/{page.key}",
            "POST",
            body,
            content_type=kind,
            content_length=str(len(body)),
        )
        assert status == 415


def test_a_token_is_asked_for_everywhere_and_compared_in_constant_time(project, monkeypatch):
    compared = []
    real = guard.hmac.compare_digest
    monkeypatch.setattr(
        guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )
    with serving(project, token=TOKEN) as address:
        name = f"{guard.COOKIE}_{urlsplit(address).port}"
        for path in (
            "/",
            "/page/main.js",
            "/api/project",
            f"/api/photos/{key_of('0.png')}/picture",
            "/none",
        ):
            assert raw(address, path)[0] == 401
            assert raw(address, path, cookie=f"{name}=wrong")[0] == 401
            assert raw(address, path, authorization="Bearer é")[0] == 401
        assert raw(address, "/?token=abcdefghijkm")[0] == 401
        status, headers, _ = raw(address, f"/?token={TOKEN}")
        assert (status, headers["location"]) == (303, "/"), "the token does not stay in the address"
        cookie = headers["set-cookie"]
        assert cookie.startswith(f"{name}={TOKEN}; "), "annotators on other ports have their own"
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert raw(address, cookie=cookie.split(";")[0])[0] == 200
        assert raw(address, authorization=f"Bearer {TOKEN}")[0] == 200
        assert raw(address, authorization=f"Bearer {TOKEN}", origin="http://evil.example")[0] == 403
    assert (b"wrong", TOKEN.encode()) in compared


def test_only_this_machine_is_listened_to_without_a_token():
    for host in ("127.0.0.1", "::1", "localhost"):
        assert check_token(host, None) is None
    for host in ("0.0.0.0", "192.168.1.2", "::", "annotator.example"):
        with pytest.raises(InputError, match="reached by others; give --token"):
            check_token(host, None)
        assert len(check_token(host, "")) >= 20, "one is drawn"
    for bad in ("short", "with space and more", "semicolon;semicolon"):
        with pytest.raises(InputError, match="token"):
            check_token("0.0.0.0", bad)


def test_the_start_says_who_may_ask(capsys, tmp_path):
    with open_socket("127.0.0.1", 0) as place:
        announce("annotate", place, None, tmp_path)
        announce("annotate", place, TOKEN, tmp_path)
    without, within = capsys.readouterr().out.splitlines()
    assert without.endswith("; every account of this machine may ask it, unless you give --token)")
    assert "account" not in within


def test_a_token_of_the_environment_is_checked_as_one_of_the_command(monkeypatch):
    monkeypatch.setenv("INTERSEG_TOKEN", TOKEN)
    assert check_token("0.0.0.0", "") == TOKEN
    monkeypatch.setenv("INTERSEG_TOKEN", "two\r\nlines; of it")
    with pytest.raises(InputError, match="token"):
        check_token("0.0.0.0", "")


def test_an_open_address_is_known_by_its_names_which_no_request_looks_up(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Annotator")
    monkeypatch.setattr("socket.getfqdn", lambda: "annotator.example")
    opened, closed = Guard(None, "0.0.0.0", TOKEN), Guard(None, "127.0.0.1")
    monkeypatch.delattr("socket.getfqdn")
    assert opened.known("annotator:8471")
    assert opened.known("ANNOTATOR.example")
    assert not opened.known("evil.example")
    assert not closed.known("annotator")


def test_an_open_address_is_known_by_numbers_which_no_foreign_name_can_be():
    opened = Guard(None, "0.0.0.0", TOKEN)
    assert opened.known("192.168.1.2:8471")
    assert opened.known("localhost")
    assert not opened.known("evil.example")
