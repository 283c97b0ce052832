"""HTTP to the lessons; what is common to all of the annotator's servers is in `annotate.server`."""

from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.guard import Guard
from annotate.server import guarded_app, page_routes, png, posted
from annotate.teaching.exports import export
from annotate.teaching.lessons import Lessons
from interseg.errors import InputError


def make_app(lessons: Lessons, host: str = "127.0.0.1", token: str | None = None) -> Guard:
    """Make the application, the guard in front of it."""

    def told(request: Request) -> Response:
        return JSONResponse({"classes": lessons.classes, "photos": lessons.summary(), "notes": lessons.notes})

    def status(request: Request) -> Response:
        return JSONResponse(lessons.status())

    def look(request: Request) -> Response:
        return JSONResponse(lessons.told(request.path_params["key"]))

    def picture(request: Request) -> Response:
        return png(lessons.dataset.image(lessons.item(request.path_params["key"]).task))

    def seen(request: Request) -> Response:
        kind, met = request.path_params["kind"], lessons.maps(request.path_params["key"])
        if kind == "segments":
            ids = met.segments
            return png(np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8))
        if kind not in ("uncertainty", "epistemic"):
            raise HTTPException(404, "there is no such map")
        most = np.log(len(lessons.classes))
        return png(np.rint(np.clip(getattr(met, kind) / most, 0, 1) * 255).astype(np.uint8))

    def act(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("version")
        if type(version) is not int:
            raise InputError("version is missing; reload the page")
        return lessons.act(request.path_params["key"], version, body)

    def write(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"out": str(lessons.out), "notes": export(lessons)}

    routes = [
        *page_routes("teach.html"),
        Route("/api/lessons", told),
        Route("/api/status", status),
        Route("/api/photos/{key}", look),
        Route("/api/photos/{key}/picture", picture),
        Route("/api/photos/{key}/map/{kind}", seen),
        Route("/api/photos/{key}/act", posted(act), methods=["POST"]),
        Route("/api/export", posted(write), methods=["POST"]),
    ]
    return guarded_app(routes, host, token)
