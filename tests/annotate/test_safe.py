"""Strangers: other pages, names that point here, no token, paths, sizes, odd file names."""

import http.client
import re
from urllib.parse import urlsplit

import pytest

from annotate import guard
from annotate.folders import key_of
from annotate.guard import Guard
from annotate.options import check_token
from annotate.pages import FOLDER
from annotate.server import serving
from interseg.errors import InputError
from tests.helpers.annotating import Page, ask, project_of
from tests.helpers.drawing import draw, write

TOKEN = "abcdefghijkl"


def raw(address, path="/api/project", method="GET", body=None, **headers):
    """A request with exactly these headers; gives status, headers and content."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for key, value in ({"host": parts.netloc} | headers).items():
        if value is not None:
            connection.putheader(key.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


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


def test_a_token_of_the_environment_is_checked_as_one_of_the_command(monkeypatch):
    monkeypatch.setenv("INTERSEG_TOKEN", TOKEN)
    assert check_token("0.0.0.0", "") == TOKEN
    monkeypatch.setenv("INTERSEG_TOKEN", "two\r\nlines; of it")
    with pytest.raises(InputError, match="token"):
        check_token("0.0.0.0", "")


def test_an_open_address_is_known_by_numbers_which_no_foreign_name_can_be():
    opened = Guard(None, "0.0.0.0", TOKEN)
    assert opened.known("192.168.1.2:8471")
    assert opened.known("localhost")
    assert not opened.known("evil.example")


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
    for path in (f"/api/photos/{page.key}/act", "/api/export"):
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
    connection.putrequest("POST", f"/api/photos/{page.key}/act")
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


def test_two_annotators_do_not_write_into_one_folder(project, folder):
    with pytest.raises(InputError, match="another annotator works in"):
        project_of(folder, project.out)


def test_what_is_wrong_here_is_one_line_too(address, page, monkeypatch):
    def broken(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("annotate.events.make_click", broken)
    status, answer = page.try_("click", y=3, x=3, label=1)
    assert status == 500
    assert answer == {"error": "unexpected RuntimeError: two lines"}
    monkeypatch.undo()
    page.act("click", y=3, x=3, label=1)
