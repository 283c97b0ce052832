"""HTTP to lessons on volumes; `annotate/teaching/routes.py` has what lessons on photos need too."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.folders import name_place
from annotate.guard import Guard
from annotate.server import guarded_app
from annotate.teaching.routes import lesson_routes
from annotate.teaching.volume_exports import export
from annotate.teaching.volumes import VolumeLessons


def make_app(lessons: VolumeLessons, host: str = "127.0.0.1", token: str | None = None) -> Guard:
    """Make the application, the guard in front of it."""

    def facts() -> dict[str, Any]:
        return {"clicks": bool(lessons.known.kinds), "axes": list(lessons.user.axes)}

    def guide(request: Request) -> Response:
        return JSONResponse(lessons.guide(request.path_params["key"]))

    def voxels(request: Request) -> Response:
        grey = lessons.grey(lessons.item(request.path_params["key"]).task)
        return Response(np.ascontiguousarray(grey).tobytes(), media_type="application/octet-stream")

    routes = [
        *lesson_routes(lessons, "volume.html", facts, lambda: export(lessons)),
        Route("/api/photos/{key}/guide", guide),
        Route("/api/photos/{key}/voxels", voxels),
    ]
    return guarded_app(routes, host, token, name_place(lessons.out))
