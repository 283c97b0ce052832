"""HTTP routes that lessons on photos and on volumes share."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.folders import name_place
from annotate.pages import page_routes
from annotate.server import json_route
from annotate.teaching.lessons import Lessons
from annotate.teaching.volumes import VolumeLessons
from interseg.errors import InputError


def lesson_routes(
    lessons: Lessons | VolumeLessons,
    page: str,
    facts: Callable[[], dict[str, Any]],
    export: Callable[[], list[str]],
) -> list[Route]:
    """Make the routes of lessons.

    Args:
        lessons: Photos or volumes that are taught.
        page: File that "/" gives.
        facts: What a page shows of all of them, beside their summary.
        export: Writes what came of them; gives its notes.
    """

    def overview(request: Request) -> Response:
        return JSONResponse({"photos": lessons.summary(), **facts()})

    def status(request: Request) -> Response:
        return JSONResponse(lessons.status())

    def look(request: Request) -> Response:
        return JSONResponse(lessons.describe(request.path_params["key"]))

    def act(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("version")
        if type(version) is not int:
            raise InputError("version is missing; reload the page")
        return lessons.act(request.path_params["key"], version, body)

    def write(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"out": str(lessons.out), "notes": export()}

    return [
        *page_routes(page, name_place(lessons.out)),
        Route("/api/lessons", overview),
        Route("/api/status", status),
        Route("/api/photos/{key}", look),
        Route("/api/photos/{key}/act", json_route(act), methods=["POST"]),
        Route("/api/export", json_route(write), methods=["POST"]),
    ]
