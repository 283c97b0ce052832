"""Guard of the server: only its own page may ask, on this machine or with the token.

A web page elsewhere can neither click nor read.

`Host` is checked against rebinding of names (a stranger's name that points here), `Origin` and
`Sec-Fetch-Site` against requests that a stranger's page makes, the token against people who reach
the address.
"""

import base64
import hmac
import ipaddress
import json
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLACE = "x-interseg-place"
"""Header of a page's requests: a page that stayed open while the annotator went on to another
folder may have photos of the same names."""
COOKIE = "interseg_token"
"""Beginning of the cookie's name; the port follows, since a browser has one set of cookies for all
ports of a machine."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer."""


class Guard:
    """Refuses what does not come from the server's own page; in front of everything else.

    Args:
        app: Application behind the guard.
        host: Address that is listened on.
        token: Token that whoever asks must have; None for none.
        place: Name of the folders behind it, which its pages send along as `PLACE`; None for any.
    """

    def __init__(
        self, app: ASGIApp, host: str, token: str | None = None, place: str | None = None
    ) -> None:
        self.app, self.host, self.token, self.place = app, host, token, place
        self.names: set[str] = set()
        if not is_loopback(host):  # once: a look-up at each request would hold up all others
            self.names = {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            key.decode("latin-1").lower(): value.decode("latin-1")
            for key, value in scope["headers"]
        }
        navigates = (scope["method"], scope["path"]) == ("GET", "/")
        navigates = navigates and headers.get("sec-fetch-mode") == "navigate"
        hosts = [key for key, _ in scope["headers"]].count(b"host")
        refusal = self.refusal(headers, hosts, navigates)
        if refusal is None and self.token is not None:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if scope["path"] == "/" and given and same(given, self.token):
                name = cookie_name(headers)
                # Lax: the address may be opened from a mail, and what is posted needs an `Origin`
                cookie = f"{name}={self.token}; HttpOnly; SameSite=Lax; Path=/"
                await answer(send, 303, b"", {"location": "/", "set-cookie": cookie})
                return
            if not self.has_token(headers):
                refusal = (
                    401,
                    "give the token: open the address that the annotator printed at its start",
                )
        if refusal is None and headers.get(PLACE, self.place) != self.place:
            refusal = 409, "this page is of another folder than the annotator is now; reload it"
        if refusal is not None:
            body = json.dumps({"error": refusal[1]}).encode()
            await answer(send, refusal[0], body, {"content-type": "application/json"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((key.encode(), value.encode()) for key, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def refusal(
        self, headers: dict[str, str], hosts: int, navigates: bool = False
    ) -> tuple[int, str] | None:
        """Give status and reason where a request is refused for where it comes from.

        A link to the page may be anywhere: who `navigates` there changes nothing.
        """
        host = headers.get("host", "")
        if hosts != 1 or not self.known(host):
            return 403, "Host is no name of this machine; open the address that was printed"
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (
            f"http://{host}".lower(),
            f"https://{host}".lower(),
        ):
            return 403, "Origin is another page; use the annotator's own"
        elsewhere = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if elsewhere and not navigates:
            return 403, "the request comes from another page; use the annotator's own"
        return None

    def known(self, host: str) -> bool:
        """Tell whether a `Host` names this machine.

        An address does, since no foreign name can be one, and so do the machine's own names.
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
            urlsplit(f"//{host}").port  # noqa: B018 (raises ValueError for what is no port)
        except ValueError:
            return False
        if "@" in host or "/" in host:
            return False
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return address.is_loopback or not is_loopback(self.host)

    def has_token(self, headers: dict[str, str]) -> bool:
        """Tell whether a request has the token: as cookie, `Bearer`, or password of `Basic`."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(cookie_name(headers))
        except CookieError:
            cookie = None
        given = cookie.value if cookie else bearer(headers.get("authorization", ""))
        return self.token is not None and same(given, self.token)


def cookie_name(headers: dict[str, str]) -> str:
    """Name the cookie of the port that is asked."""
    host = headers.get("host", "")
    return f"{COOKIE}_{urlsplit(f'//{host}').port or 80}"


def bearer(authorization: str) -> str:
    """Read the token of an `Authorization`; of `Basic` the password, for any user's name."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return base64.b64decode(given, validate=True).decode("latin-1").partition(":")[2]
    except ValueError:
        return ""


def same(given: str, token: str) -> bool:
    """Compare in a time that does not tell how much is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Send a short answer."""
    every = HEADERS | headers | {"content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in every.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
