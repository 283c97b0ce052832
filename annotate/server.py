"""HTTP server of a project's photos: JSON but for pictures and the page, one line an error."""

import contextlib
import errno
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.exports import export
from annotate.guard import Guard
from annotate.pages import page_routes
from annotate.photos import HeldError, Project, StaleError
from interseg.clicks.layout import KINDS
from interseg.errors import InputError
from interseg.images import image_header, read_image

LARGEST_BODY = 2**20
"""Bytes of a request, unless its route takes more."""
LARGEST_MASK = 2**24
"""Bytes of a request that may hold the run lengths of a whole mask."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that is full."""
ASKED_AGAIN = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds after which a silent connection's other side is asked whether it is there, and between
that and the next times, and how often: one that is gone would count for hours."""
SHOWN_AS_IT_IS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Formats that every browser shows, if nothing is to be turned or scaled."""


def make_app(project: Project, host: str = "127.0.0.1", token: str | None = None) -> Guard:
    """Make the application, the guard in front of it."""
    exporting = threading.Lock()

    def overview(request: Request) -> Response:
        segmenter = project.model.segmenter
        kinds = [KINDS[kind] for kind in segmenter.kinds]
        facts = {
            "classes": project.classes,
            "outputs": segmenter.outputs,
            "kinds": kinds,
            "truth": project.truth is not None,
        }
        return JSONResponse(facts | {"photos": project.summary(), "notes": project.notes})

    def picture(request: Request) -> Response:
        photo = project.photo(request.path_params["key"])
        return Response(*encode_photo(photo.path))

    def probability(request: Request) -> Response:
        found = project.probabilities(request.path_params["key"], request.path_params["number"])
        return png(np.rint(found * 255).astype(np.uint8))

    def look(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return project.look(request.path_params["key"], tab_of(body), body.get("take_over") is True)

    def act(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("version")
        if type(version) is not int:
            raise InputError("version is missing; reload the page")
        return project.act(request.path_params["key"], tab_of(body), version, body)

    def hold(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        key, tab = project.photo(request.path_params["key"]).key, tab_of(body)
        if body.get("let_go") is True:
            project.tabs.let_go(key, tab)
            return {"mine": False}
        return {"mine": project.tabs.hold(key, tab)}

    def write(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        tolerance = body.get("tolerance", 1.0)
        if type(tolerance) not in (int, float):
            raise InputError(f"tolerance is {str(tolerance)[:40]}; give pixels")
        with exporting:  # one export does not take another's files for somebody else's
            return {"out": str(project.out), "notes": export(project, float(tolerance))}

    routes = [
        *page_routes("index.html", project.place),
        Route("/api/project", overview),
        Route("/api/photos/{key}", json_route(look), methods=["POST"]),
        Route("/api/photos/{key}/picture", picture),
        Route("/api/photos/{key}/probability/{number:int}", probability),
        Route("/api/photos/{key}/act", json_route(act, LARGEST_MASK), methods=["POST"]),
        Route("/api/photos/{key}/hold", json_route(hold), methods=["POST"]),
        Route("/api/export", json_route(write), methods=["POST"]),
    ]
    return guarded_app(routes, host, token, project.place)


def guarded_app(
    routes: list[Route], host: str, token: str | None, place: str | None = None
) -> Guard:
    """Make an application of routes, its errors one line of JSON each, the guard in front of it."""
    handlers: dict[Any, Any] = {
        InputError: answer_refusal,
        HTTPException: answer_refusal,
        OSError: answer_unwritable,
        Exception: answer_unexpected,
    }
    return Guard(Starlette(routes=routes, exception_handlers=handlers), host, token, place)


def json_route(
    work: Callable[[Request, dict[str, Any]], dict[str, Any]], largest: int = LARGEST_BODY
) -> Callable[[Request], Awaitable[Response]]:
    """Make a route of a function that takes a JSON body and runs in a thread.

    `Server-Timing` tells its time, in parts if its result has `seconds`.

    Args:
        work: Function of the request and its body.
        largest: Number of bytes that a body may have.
    """

    async def route(request: Request) -> Response:
        started = time.perf_counter()
        body = await body_of(request, largest)
        result = await run_in_threadpool(work, request, body)
        parts = result.pop("seconds", {})
        response = JSONResponse(result)
        parts["total"] = time.perf_counter() - started
        response.headers["server-timing"] = ", ".join(
            f"{name};dur={1000 * seconds:.2f}" for name, seconds in parts.items()
        )
        return response

    return route


async def body_of(request: Request, largest: int) -> dict[str, Any]:
    """Read a JSON object of limited size; raises `HTTPException` for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body is not application/json")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > largest:
            raise HTTPException(413, f"the body has more than {largest} bytes; send less")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body cannot be read as JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body holds something else than a JSON object")
    return body


def tab_of(body: dict[str, Any]) -> str:
    """Read which tab asks."""
    tab = body.get("tab")
    if not isinstance(tab, str) or not 1 <= len(tab) <= 64:
        raise InputError("tab is missing; reload the page")
    return tab


def encode_photo(path: Path) -> tuple[bytes, int, dict[str, str]]:
    """Encode a photo as the network sees it for browsers: content, status and headers."""
    header = image_header(path)
    with Image.open(path) as file:
        kind = SHOWN_AS_IT_IS.get(file.format or "")
    if kind and header.size.orientation == 1 and not header.deep:
        return path.read_bytes(), 200, {"content-type": kind}
    return bytes(png(read_image(path)).body), 200, {"content-type": "image/png"}


def png(pixels: NDArray[np.uint8]) -> Response:
    """Make the answer of a picture: (H, W), or (H, W, 3) RGB."""
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return Response(
        cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(),
        media_type="image/png",
    )


def problem(status: int, line: str) -> Response:
    """Make the answer of an error."""
    return JSONResponse({"error": " ".join(line.split())[:500]}, status)


def answer_refusal(request: Request, error: Exception) -> Response:
    """Answer what was asked wrongly."""
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail)
    return problem(
        423 if isinstance(error, HeldError) else 409 if isinstance(error, StaleError) else 400,
        str(error),
    )


def answer_unwritable(request: Request, error: Exception) -> Response:
    """Answer where the disk takes nothing: what was asked has not happened."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)
    reason = getattr(error, "strerror", None) or error
    file = getattr(error, "filename", None)
    where = f", {file}" if file else ""
    full = getattr(error, "errno", None) in NO_ROOM
    advice = "make room" if full else "see to the folder on the annotator's machine"
    return problem(507, f"it was not kept: {reason}{where}; {advice} and do it again")


def answer_unexpected(request: Request, error: Exception) -> Response:
    """Answer where the annotator is wrong; the traceback is on its terminal."""
    return problem(500, f"unexpected {type(error).__name__}: {error}")


def make_server(app: Guard) -> uvicorn.Server:
    """Make the server of an application; it is run on a socket."""
    settings: dict[str, Any] = {
        "lifespan": "off",
        "ws": "none",
        "access_log": False,
        "log_level": "error",
        "server_header": False,
    }
    return uvicorn.Server(
        uvicorn.Config(
            app,
            **settings,
            timeout_keep_alive=30,
            limit_concurrency=128,
            timeout_graceful_shutdown=3,
        )
    )


def serve(app: Guard, place: socket.socket) -> None:
    """Answer on a socket until Ctrl+C; requests under way are finished."""
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
        make_server(app).run(sockets=[place])


def open_socket(host: str, port: int) -> socket.socket:
    """Open a socket; raises `InputError` where the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ASKED_AGAIN.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}:{port} cannot be listened on ({reason}); give another --port or --host"
        ) from None
    return found


@contextlib.contextmanager
def serving(project: Project, token: str | None = None) -> Iterator[str]:
    """Run a project's server in a thread, for tests and benchmarks; gives its address."""
    with running(make_app(project, token=token)) as address:
        yield address


@contextlib.contextmanager
def running(app: Guard) -> Iterator[str]:
    """Run an application in a thread, on a free port of this machine; gives its address."""
    place = open_socket("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        place.close()
