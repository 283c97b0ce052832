"""Label Studio's ML backend: its smart keypoints, answered by brush labels or polygons.

Label Studio asks `/health`, `/setup` once a project, and `/predict` with all keypoints of an object
whenever one is added. Photos are looked up by their names in the folder of `--images`: nothing is
fetched from addresses that a request names.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from annotate.guard import Guard
from annotate.interactor import Interactor
from annotate.outlines import polygons
from annotate.server import guarded_app, json_route
from annotate.sessions import version_of
from interseg.clicks.layout import Click
from interseg.errors import InputError
from interseg.images import image_header
from interseg.listing import list_images

WORD, SIZES = 8, (3, 4, 8, 16)
"""Bits of a value, and of the four kinds of run lengths, in Label Studio's own encoding."""
LARGEST_BODY = 2**26
"""Bytes of a request: it brings all regions that the task has, a list of numbers each."""
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""Begins the names of files that were uploaded to Label Studio."""


class Tags(NamedTuple):
    """Tags of a labelling config that answers name."""

    kind: str
    """"brushlabels" or "polygonlabels"."""
    name: str
    """Name of the tag that answers belong to."""
    image: str
    """Name of the image's tag."""
    value: str
    """Key of the photo among a task's data."""


def make_backend(
    interactor: Interactor,
    images: Path,
    version: str,
    host: str = "127.0.0.1",
    token: str | None = None,
) -> Guard:
    """Make the application.

    Args:
        interactor: Interactor that answers.
        images: Folder of the tasks' photos.
        version: Version of the model, which Label Studio notes beside answers.
        host: Address that is listened on.
        token: See `Guard`; Label Studio sends it as the password of its basic authentication.
    """
    if not images.is_dir():
        raise InputError(
            f"there is no folder {images}; give the one of the tasks' photos by --images"
        )
    files = {path.name: path for path in list_images(images).files.values()}

    def find(value: object) -> Path:
        nonlocal files
        try:
            return file_of(value, files)
        except InputError:  # it may have come since
            files = {path.name: path for path in list_images(images).files.values()}
            return file_of(value, files)

    def health(request: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "interseg"})

    def setup(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"model_version": version}

    def predict(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        try:
            results = predictions(interactor, find, version, body)
        except InputError as error:
            # Label Studio's page shows the status alone
            print(f"not answered: {error}", file=sys.stderr, flush=True)
            raise
        return {"results": results, "model_version": version}

    def acknowledge(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {}  # events and trainings of Label Studio change nothing here

    routes = [Route("/", health), Route("/health", health)]
    for path, work in {
        "/setup": setup,
        "/predict": predict,
        "/webhook": acknowledge,
        "/train": acknowledge,
    }.items():
        routes.append(Route(path, json_route(work, LARGEST_BODY), methods=["POST"]))
    return guarded_app(routes, host, token)


def predictions(
    interactor: Interactor, find: Callable[[object], Path], version: str, body: dict[str, Any]
) -> list[dict[str, Any]]:
    """Answer `/predict`: nothing without keypoints, else one prediction.

    Args:
        interactor: Interactor that answers.
        find: Function that finds a task's photo, see `file_of`.
        version: Version of the model.
        body: `tasks` with `data`, `label_config`, and in `params` the `context`, whose `result` has
            the keypoints.

    Raises:
        InputError: another kind of request, or a photo that is not there.
    """
    params = body.get("params")
    context = (
        (params if isinstance(params, dict) else {}).get("context") or body.get("context") or {}
    )
    marks = context.get("result") if isinstance(context, dict) else None
    if not marks:
        return []
    tags, tasks = tags_of(body.get("label_config")), body.get("tasks")
    if (
        not isinstance(tasks, list)
        or not tasks
        or not isinstance(tasks[0], dict)
        or not isinstance(tasks[0].get("data"), dict)
    ):
        raise InputError("tasks hold no data; send a task of Label Studio's")
    path = find(tasks[0]["data"].get(tags.value))
    size = image_header(path).size.upright
    clicks, label = keypoints(marks, size)
    mask, score = interactor.answer(f"{path} {version_of(path)}", lambda: path, clicks)
    base = {
        "from_name": tags.name,
        "to_name": tags.image,
        "type": tags.kind,
        "image_rotation": 0,
        "readonly": False,
        "score": score,
    }
    base |= {"original_width": size[1], "original_height": size[0]}
    if tags.kind == "brushlabels":
        values: list[dict[str, Any]] = (
            [{"format": "rle", "rle": encode_brush(mask), "brushlabels": [label]}]
            if mask.any()
            else []
        )
    else:
        per_cent = 100 / np.array(size[::-1])
        values = [
            {"points": (ring * per_cent).tolist(), "closed": True, "polygonlabels": [label]}
            for ring in polygons(mask, 1.0)
        ]
    # an accepted region replaces one of the same id, so that each answer has ids of its own
    result = [base | {"id": uuid4().hex[:10], "value": value} for value in values]
    return [{"result": result, "model_version": version, "score": score}]


def tags_of(config: object) -> Tags:
    """Read a labelling config.

    Raises `InputError` for one without brush labels or polygon labels on an image.
    """
    if not isinstance(config, str) or "<!" in re.sub(r"<!--.*?-->", "", config, flags=re.DOTALL):
        raise InputError("label_config is missing, or declares entities; send the project's")
    try:
        root = ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise InputError(f"label_config cannot be read ({error})") from None
    images = {tag.get("name"): tag.get("value", "").removeprefix("$") for tag in root.iter("Image")}
    for kind in ("BrushLabels", "PolygonLabels"):
        for tag in root.iter(kind):
            if tag.get("toName") in images:
                return Tags(
                    kind.lower(),
                    tag.get("name", ""),
                    tag.get("toName", ""),
                    images[tag.get("toName")],
                )
    raise InputError("label_config has neither BrushLabels nor PolygonLabels on an Image; add one")


def file_of(value: object, files: dict[str, Path]) -> Path:
    """Find a task's photo by its file's name; raises `InputError` where it is not in the folder.

    Values are addresses, `/data/local-files/?d=folder/name.jpg`, or
    `/data/upload/1/01234567-name.jpg` of uploaded files.
    """
    if not isinstance(value, str):
        raise InputError("the task has no photo under the key that label_config names")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise InputError(f"{value[:80]} is not an address") from None
    name = unquote(parse_qs(parts.query).get("d", [parts.path])[0]).rpartition("/")[2]
    uploaded = UPLOADED.sub("", name)
    for known in (name, uploaded):
        if known in files:
            return files[known]
    same = [path for known, path in files.items() if clean_name(known) == uploaded]
    if len(same) == 1:
        return same[0]
    if same:
        raise InputError(
            f"{same[0].name} and {same[1].name} are both {uploaded[:80]} in Label Studio; "
            "rename one"
        )
    raise InputError(
        f"{name[:80]} is not in the folder of --images; give the one that has the tasks' photos"
    )


def clean_name(name: str) -> str:
    """Write a file's name as Label Studio does when it is uploaded.

    Spaces become underscores, and what is no letter, digit, dash, underscore or dot is removed
    (Django, `get_valid_filename`).
    """
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def keypoints(marks: object, size: tuple[int, int]) -> tuple[list[Click], str]:
    """Read keypoints as clicks in their order, and the label of the last one.

    A keypoint has `value` with `x` and `y` in per cent of the photo, and `is_positive`; one without
    that is of the object.
    """
    clicks: list[Click] = []
    label = ""
    for mark in marks if isinstance(marks, list) else []:
        value = mark.get("value") if isinstance(mark, dict) else None
        if not isinstance(value, dict) or mark.get("type") != "keypointlabels":
            raise InputError(
                "context holds something else than keypoints; "
                "use Label Studio's smart KeyPointLabels"
            )
        given = (mark.get("original_height", size[0]), mark.get("original_width", size[1]))
        if given != size:
            raise InputError(
                f"the photo is {size[0]} x {size[1]} here and {given[0]} x {given[1]} there; "
                "give its folder by --images"
            )
        place: list[Any] = [value.get(axis) for axis in "yx"]
        if not all(type(part) in (int, float) and 0 <= part <= 100 for part in place):
            raise InputError(f"a keypoint is at {str(place)[:60]}; it is in per cent of the photo")
        y, x = (
            min(int(part * side / 100), side - 1) for part, side in zip(place, size, strict=True)
        )
        names = value.get("keypointlabels")
        if isinstance(names, list) and names and isinstance(names[0], str):
            label = names[0]
        clicks.append(Click(y, x, int(bool(mark.get("is_positive", True))), 0))
    if not clicks:
        raise InputError("context has no keypoints; use Label Studio's smart KeyPointLabels")
    return clicks, label


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Encode a mask (H, W) as the bytes of a brush label.

    They are run lengths over 4 channels a pixel, each 0 or 255.

    The format is that of rle-pack: 32 bits number of values, 5 bits word size - 1, 4 bits each of
    the four run sizes - 1; then for each run 1, 2 bits which of the sizes, the length - 1 in so
    many bits, and the value.
    """
    values = mask.ravel()
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, len(values))
    bits = [f"{4 * len(values):032b}{WORD - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    longest = 1 << SIZES[-1]
    start = 0
    for end in ends.tolist():
        word, rest = f"{255 if values[start] else 0:08b}", 4 * (end - start)
        while rest:
            run = min(rest, longest)
            which = next(k for k, size in enumerate(SIZES) if run <= 1 << size)
            bits.append(f"1{which:02b}{run - 1:0{SIZES[which]}b}{word}")
            rest -= run
        start = end
    joined = "".join(bits)
    padded = joined + "0" * (-len(joined) % 8)
    return list(int(padded, 2).to_bytes(len(padded) // 8, "big"))
