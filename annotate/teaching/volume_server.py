"""HTTP to lessons on volumes; what is common to all of the annotator's servers is in `annotate.server`."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.guard import Guard
from annotate.server import guarded_app, page_routes, posted
from annotate.teaching.volume_exports import export
from annotate.teaching.volumes import VolumeLessons
from interseg.errors import InputError


def make_app(lessons: VolumeLessons, host: str = "127.0.0.1", token: str | None = None) -> Guard:
    """Make the application, the guard in front of it."""

    def told(request: Request) -> Response:
        return JSONResponse({"clicks": bool(lessons.known.kinds), "photos": lessons.summary(), "axes": list(lessons.user.axes)})

    def status(request: Request) -> Response:
        return JSONResponse(lessons.status())

    def look(request: Request) -> Response:
        return JSONResponse(lessons.told(request.path_params["key"]))

    def guide(request: Request) -> Response:
        return JSONResponse(lessons.guide(request.path_params["key"]))

    def voxels(request: Request) -> Response:
        grey = lessons.grey(lessons.item(request.path_params["key"]).task)
        return Response(np.ascontiguousarray(grey).tobytes(), media_type="application/octet-stream")

    def act(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        version = body.get("version")
        if type(version) is not int:
            raise InputError("version is missing; reload the page")
        return lessons.act(request.path_params["key"], version, body)

    def write(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"out": str(lessons.out), "notes": export(lessons)}

    routes = [
        *page_routes("volume.html"),
        Route("/api/lessons", told),
        Route("/api/status", status),
        Route("/api/photos/{key}", look),
        Route("/api/photos/{key}/guide", guide),
        Route("/api/photos/{key}/voxels", voxels),
        Route("/api/photos/{key}/act", posted(act), methods=["POST"]),
        Route("/api/export", posted(write), methods=["POST"]),
    ]
    return guarded_app(routes, host, token)
