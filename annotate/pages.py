"""Files of the pages: markup from templates that share its parts, scripts and styles."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}


def page_routes(index: str, place: str) -> list[Route]:
    """Make the routes of a page and its files.

    Args:
        index: Name of the page that "/" gives: `index.html`, `teach.html` or `volume.html`.
        place: Name of the folders that it is of, see `Guard`.
    """
    files = {index: render(index, place)}
    for path in FOLDER.iterdir():
        if path.suffix in MEDIA_TYPES:
            files[path.name] = path.read_bytes()

    def page(request: Request) -> Response:
        name = request.path_params.get("name", index)
        if name not in files:
            raise HTTPException(404, "there is no such file")
        return Response(files[name], media_type=MEDIA_TYPES[Path(name).suffix])

    return [Route("/", page), Route("/page/{name}", page)]


def render(name: str, place: str) -> bytes:
    """Make a page's markup from its template."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.jinja").render(place=place).encode()
