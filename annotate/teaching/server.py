"""HTTP to lessons on photos; `annotate/teaching/routes.py` has what lessons on volumes need too."""

from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from annotate.folders import name_place
from annotate.guard import Guard
from annotate.server import guarded_app, png
from annotate.teaching.exports import export
from annotate.teaching.lessons import Lessons
from annotate.teaching.routes import lesson_routes


def make_app(lessons: Lessons, host: str = "127.0.0.1", token: str | None = None) -> Guard:
    """Make the application, the guard in front of it."""

    def facts() -> dict[str, Any]:
        return {"classes": lessons.classes, "notes": lessons.notes}

    def picture(request: Request) -> Response:
        return png(lessons.dataset.image(lessons.item(request.path_params["key"]).task))

    def show_map(request: Request) -> Response:
        kind, met = request.path_params["kind"], lessons.maps(request.path_params["key"])
        if kind == "segments":
            ids = met.segments
            return png(np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8))
        if kind not in ("uncertainty", "epistemic"):
            raise HTTPException(404, "there is no such map")
        most = np.log(len(lessons.classes))
        return png(np.rint(np.clip(getattr(met, kind) / most, 0, 1) * 255).astype(np.uint8))

    routes = [
        *lesson_routes(lessons, "teach.html", facts, lambda: export(lessons)),
        Route("/api/photos/{key}/picture", picture),
        Route("/api/photos/{key}/map/{kind}", show_map),
    ]
    return guarded_app(routes, host, token, name_place(lessons.out))
